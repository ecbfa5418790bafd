"""The schema is the single source: it is valid and complete."""

import inspect

import jsonschema
import keras
import pytest

from barrage_mlflow.config.schema import SCHEMA, dereferenced, schema_at


def blocks(node, path="$"):
    node = dereferenced(node)
    for key, child in node.get("properties", {}).items():
        yield f"{path}.{key}", dereferenced(child), key in node.get("required", ())
        yield from blocks(child, f"{path}.{key}")
    if "items" in node:
        yield f"{path}[]", dereferenced(node["items"]), True
        yield from blocks(node["items"], f"{path}[]")


def test_every_key_says_what_it_means():
    for path, node, _ in blocks(SCHEMA):
        assert node["description"].endswith((".", "`")), path


@pytest.mark.parametrize(
    ("path", "callback"),
    [
        (("solver", "learning_rate_reducer"), keras.callbacks.ReduceLROnPlateau),
        (("services", "tensorboard"), keras.callbacks.TensorBoard),
        (("services", "train_early_stopping"), keras.callbacks.EarlyStopping),
        (("services", "validation_early_stopping"), keras.callbacks.EarlyStopping),
    ],
)
def test_the_params_of_callbacks_are_those_of_the_installed_keras(path, callback):
    params = {name for name in inspect.signature(callback).parameters if name != "kwargs"}
    assert set(schema_at(path)["properties"]) == params - {"log_dir"}


def test_defaults_and_examples_fit_their_own_schema():
    for path, node, _ in blocks(SCHEMA):
        inner = {**node, "$defs": SCHEMA["$defs"]}
        validator = jsonschema.Draft202012Validator(inner)
        given = [*node.get("examples", ()), *([node["default"]] if "default" in node else ())]
        for value in given:
            assert list(validator.iter_errors(value)) == [], path
