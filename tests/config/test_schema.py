"""The schema is the single source: it is valid, complete, and docs/config.md comes from it."""

import subprocess
import sys
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest

from barrage_mlflow.config import schema
from barrage_mlflow.config.reference_page import main, render
from barrage_mlflow.config.schema import dereferenced, schema_at

ROOT = Path(__file__).parents[2]


def blocks(node, path="$"):
    node = dereferenced(node)
    for key, child in node.get("properties", {}).items():
        yield f"{path}.{key}", dereferenced(child), key in node.get("required", ())
        yield from blocks(child, f"{path}.{key}")
    if "items" in node:
        yield f"{path}[]", dereferenced(node["items"]), True
        yield from blocks(node["items"], f"{path}[]")


def test_is_a_valid_schema():
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema_rs.meta.validate(schema())


@pytest.mark.parametrize(("path", "node"), [(path, node) for path, node, _ in blocks(schema())])
def test_every_key_says_what_it_means(path, node):
    assert node["description"].endswith((".", "`")), path


NO_DEFAULT = {
    "$.$schema",
    "$.dataset.sample_count",
    "$.dataset.seed",
    "$.dataset.workers",
    "$.dataset.cache",
    "$.dataset.shuffle_window",
    "$.model.outputs[].loss_weight",
    "$.solver.steps",
    "$.solver.steps_per_execution",
    "$.solver.jit_compile",
    "$.solver.dtype_policy",
    "$.solver.learning_rate_reducer",
    "$.services.resume_checkpoint",
    "$.services.resume_checkpoint.every_steps",
    "$.services.resume_checkpoint.every_minutes",
    "$.services.resume_checkpoint.keep",
}


def test_every_optional_key_has_a_default_but_those_that_mean_something_by_their_absence():
    found = {
        path for path, node, required in blocks(schema()) if not required and "default" not in node
    }
    assert found == NO_DEFAULT


def test_defaults_and_examples_fit_their_own_schema():
    for path, node, _ in blocks(schema()):
        inner = {**node, "$defs": schema()["$defs"]}
        validator = jsonschema.Draft202012Validator(inner)
        given = [*node.get("examples", ()), *([node["default"]] if "default" in node else ())]
        for value in given:
            assert list(validator.iter_errors(value)) == [], path


def test_each_call_gives_a_copy():
    schema()["properties"].clear()
    assert "solver" in schema()["properties"]


def test_the_schema_at_a_path():
    assert schema_at(())["title"] == "Barrage config"
    assert schema_at(("model", "outputs", 0, "loss", "import"))["type"] == "string"
    assert schema_at(("solver", "optimizer", "learning_rate", "params"))["default"] == {}
    assert schema_at(("services", "train_early_stopping", "baseline")) == {}
    assert schema_at(("services", "best_checkpoint", "verbose")) is None


def test_the_reference_page_is_current():
    text = (ROOT / "docs" / "config.md").read_text("utf-8")
    assert text == render(), "run: python -m barrage_mlflow.config.reference_page docs/config.md"


def test_the_page_is_written_or_printed(tmp_path, capsys):
    assert main(["page.md"]) == 0
    assert (tmp_path / "page.md").read_text("utf-8") == render()
    assert main([]) == 0
    assert capsys.readouterr().out == render()


def test_the_command():
    command = [sys.executable, "-m", "barrage_mlflow.config.reference_page"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8")
    assert done.stdout == render()
