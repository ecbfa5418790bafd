"""The schema for editors: two validators that are not ours accept it and agree with the engine."""

import copy
import json
import random
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from recipes import RECIPES, write_project

from barrage_mlflow.config import find_faults, read_config, schema
from barrage_mlflow.config.editor_schema import editor_schema
from barrage_mlflow.config.paths import show_path
from barrage_mlflow.errors import ImportPathError

TESTS = Path(__file__).parents[1]
GOLDEN = TESTS / "config" / "golden"
EXAMPLES = TESTS.parent / "examples"
VALID = sorted(path.parent for path in GOLDEN.glob("*/resolved.json"))
# Of the others there is nothing to hold against a schema: their text is no JSON.
FAULTY = sorted(
    {path.parent.name for path in GOLDEN.glob("*/faults.txt")} - {"duplicate_key", "not_json"}
)


class Validators:
    """A schema in two validators, neither of them ours."""

    def __init__(self, tree):
        self.tree = tree
        self.python = jsonschema.Draft202012Validator(tree)
        self.rust = jsonschema_rs.Draft202012Validator(tree)

    def accepts(self, data):
        accepted = self.python.is_valid(data)
        assert self.rust.is_valid(data) is accepted
        return accepted

    def errors(self, data):
        """Path and keyword of every error, those of the choices of an ``anyOf`` too."""
        return {(path, word) for path, word, _ in self.all_errors(data)}

    def all_errors(self, data):
        """Path, keyword and message."""
        rest = list(self.python.iter_errors(data))
        found = set()
        while rest:
            error = rest.pop()
            rest += error.context
            found.add((show_path(tuple(error.absolute_path)), error.validator, error.message))
        return found


@pytest.fixture(scope="module")
def plain():
    return Validators(editor_schema())


@pytest.fixture(scope="module")
def golden():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(GOLDEN))
        return Validators(editor_schema("golden_parts"))


@pytest.fixture(scope="module")
def penguins():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(EXAMPLES / "penguins"))
        return Validators(editor_schema("penguins"))


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The folder with all the code that the configs name."""
    folder = tmp_path_factory.mktemp("code")
    write_project(folder)
    return folder


@pytest.fixture(scope="module")
def my_project(code):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(code))
        return Validators(editor_schema("my_project"))


@pytest.fixture(autouse=True)
def _project(monkeypatch, code):
    monkeypatch.syspath_prepend(str(code))


@pytest.mark.parametrize("name", ["plain", "golden", "penguins"])
def test_it_is_a_valid_schema(name, request):
    tree = request.getfixturevalue(name).tree
    jsonschema.Draft202012Validator.check_schema(tree)
    jsonschema_rs.meta.validate(tree)
    assert tree["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "x-" not in {key[:2] for node in nodes(tree) for key in node}


def nodes(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from nodes(inner)


def test_every_reference_leads_somewhere_and_every_definition_is_used(golden):
    used = {node["$ref"] for node in nodes(golden.tree) if "$ref" in node}
    assert used == {f"#/$defs/{name}" for name in golden.tree["$defs"]}


def test_keys_descriptions_and_defaults_are_those_of_the_schema(plain, golden):
    for tree in (plain.tree, golden.tree):
        assert told(tree, tree) == told(schema(), schema())


def told(node, root, path="$"):
    """Description, default and requirement of each key."""
    target = root["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    node = {**target, **node}
    found = {}
    for key, child in node.get("properties", {}).items():
        if path.endswith(("_stopping", "reducer", "tensorboard")):
            continue  # here stand the params of the callbacks too
        child = {**root["$defs"].get(child.get("$ref", "").rpartition("/")[2], {}), **child}
        where = f"{path}.{key}"
        found[where] = (child["description"], child.get("default"), key in node.get("required", ()))
        found |= told(child, root, where)
        if "items" in child:
            found |= told(child["items"], root, f"{where}[]")
    return found


@pytest.mark.parametrize("folder", VALID, ids=lambda folder: folder.name)
def test_what_is_valid_for_the_engine_is_valid_for_the_schemas(folder, plain, golden):
    (path,) = folder.glob("config.*")
    for data in (read_config(path).data, json.loads((folder / "resolved.json").read_text())):
        assert find_faults(read_config(data)) == []
        assert plain.accepts(data)
        assert golden.accepts(data)


@pytest.mark.parametrize("example", ["iris", "penguins"])
def test_the_examples_are_valid(example, plain, golden, penguins):
    data = read_config(EXAMPLES / example / "config.json").data
    assert find_faults(read_config(data)) == []
    assert plain.accepts(data)
    assert golden.accepts(data)
    assert penguins.accepts(data)


@pytest.mark.parametrize("name", RECIPES)
def test_whole_configs_are_valid(name, plain, my_project):
    assert find_faults(read_config(RECIPES[name])) == []
    assert plain.accepts(RECIPES[name])
    assert my_project.accepts(RECIPES[name])


# What no schema can see of the golden configs: where an import leads, which placeholders there
# are, what outputs produce; and JSON Schema takes 10.0 for an integer.
UNSEEN = {
    "imports": [
        "$.dataset.loader.import: 'golden_parts.Loder'",
        "$.dataset.transformer.import: 'golden_parts.Loader'",
        "$.dataset.augmentor[0].import: 'golden_parts.Layer'",
        "$.model.network.params.layers[1].import: 'Dnse'",
        "$.model.network.params.layers[2]: missing param 'units'",
        "$.model.network.params.layers[6].import: 'golden_parts.NUMBER'",
        # The params of a network may be there for placeholders alone.
        "$.model.network.params: unknown param 'layer'",
        "$.model.outputs[0].loss: a plain function 'plain_loss'",
        "$.model.outputs[0].metrics[0]: a plain function 'mean_squared_error'",
        "$.model.outputs[0].metrics[2].import: 'golden_parts'",
        "$.model.outputs[0].metrics[3].import: 'not a path'",
        "$.model.outputs[1].loss.import: 'tf.keras.metrics.MeanSquaredError'",
        "$.model.outputs[1].metrics[0].import: 'keras.metrics.AUCC'",
        "$.model.outputs[1].metrics[1].import: 'tensorflow.python.keras.metrics.Precison'",
        "$.model.outputs[1].metrics[2].import: 'no_such_module.Metric'",
        "$.model.outputs[1].metrics[3].import: 'golden_parts.Loader.load.more'",
        "$.solver.optimizer.import: 'adamm'",
        "$.solver.optimizer.learning_rate.import: 'keras.losses.Huber'",
    ],
    "placeholders": [
        "$.model.network.params.units: unknown placeholder 'vocabulry'",
        "$.model.network.params.classes: the transformer's network_params hold 'classes'",
        "$.model.network.params.copy: unknown placeholder 'copy'",
        "$.model.outputs[0].name: unknown placeholder 'name'",
        "$.model.outputs[0].loss.import: unknown placeholder 'loss'",
    ],
    "services": [
        "$.solver.learning_rate_reducer.monitor: no output produces 'val_acuracy'",
    ],
    "ten_faults": [
        "$.dataset.loader.import: 'KeySelecter'",
    ],
    # What a mistyped key holds is free for a schema.
    "unknown_keys": ["$.datset: missing key 'loader'"],
    "mistyped_sections": [
        *("$.datset:", "$.datset.", "$.model.output[0]", "$.slover:", "$.slover."),
        *("$.service:", "$.service."),
        "$.model.network.params.layers[0].params: unknown param 'unit'",
        "$.model.network.params.layers[1]: missing param 'units'",
    ],
    "outputs": [
        "$.dataset.loader.params.inputs: expected at least one name",
        "$.dataset.loader.params.outputs: lacks 'mass'",
        "$.dataset.loader.params.outputs: the model has no output 'sexx'",
        "$.dataset.loader.params.outputs: the model has no output 'spare'",
        "$.dataset.loader.params.outputs.spare: expected a record key or a list of them",
        "$.dataset.loader.params.sample_weights: 'speices'",
        "$.services.best_checkpoint.monitor: no output produces 'val_specis_mae'",
        "$.services.train_early_stopping.monitor: no output produces 'sex_los'",
    ],
    # Code may register further names with Keras.
    "params": [
        "$.model.network.params.layers[0].params.activation: 'rleu'",
        "$.model.network.params.layers[2].params.kernel_initializer: 'glorot_unifrom'",
    ],
    "wrong_types": [
        "$.solver.batch_size: expected an integer ≥ 1, got 10.0",
    ],
}

# What only a schema that knows Keras and the project sees.
SEEN_WITH_PROJECT = {
    "imports": [
        "$.dataset.augmentor[1].params: param 'rng'",
        "$.dataset.augmentor[1].params: unknown param 'scal'",
        "$.dataset.augmentor[2].params: param 'data_record'",
        "$.model.network.params.layers[0]: expected an import block",
        "$.model.network.params.layers[2]: unknown key 'imports'",
        "$.model.network.params.layers[3]: missing key 'import'",
        "$.model.network.params.layers[3].params: expected an object, got 3",
        "$.model.network.params.layers[4].import: expected a non-empty string, got 3",
        "$.model.network.params.layers[5]: missing param 'units'",
        "$.model.outputs[0].metrics[1].params: unknown param 'threshold'",
    ],
    "services": [
        "$.solver.optimizer.learning_rate: missing param 'decay_rate'",
        "$.solver.learning_rate_reducer: unknown key 'epsilon'",
        "$.services.tensorboard: key 'log_dir'",
        "$.services.tensorboard: unknown key 'histogram_frequency'",
        "$.services.validation_early_stopping: unknown key 'baselin'",
        "$.services.validation_early_stopping: unknown key 'log_dir'",
    ],
    "ten_faults": ["$.model.network.params: unknown param 'unit'"],
    "mistyped_sections": [
        "$.model.network.params.layers[0]: unknown key 'imprt'",
        "$.model.network.params.layers[1]: unknown key 'prams'",
    ],
    "params": [
        "$.dataset.loader.params.columns: expected a list of strings",
        "$.dataset.loader.params: param 'mode'",
        "$.dataset.transformer.params.how: expected",
        "$.dataset.transformer.params.size[1]: expected an integer",
        "$.dataset.transformer.params: unknown param 'extra'",
        "$.dataset.augmentor[0].params.scale: expected a number",
        "$.model.network.params.layers[0].params: unknown param 'kernal_size'",
        "$.model.network.params.layers[1].params: unknown param 'recurent_activation'",
        "$.model.network.params.layers[1].params: unknown param 'nmae'",
        "$.model.network.params.layers[2]: missing param 'units'",
        "$.model.network.params.layers[3].params: unknown param 'unit'",
        "$.model.outputs[0].loss.params: unknown param 'from_logit'",
        "$.model.outputs[0].metrics[0].params: unknown param 'curv'",
        "$.model.outputs[0].metrics[1].params: unknown param 'nam'",
        "$.solver.optimizer.learning_rate.params: unknown param 'decay_step'",
        "$.solver.optimizer.params: unknown param 'momentun'",
        "$.services.tensorboard: unknown key 'histogram_frequency'",
    ],
}

KEYWORDS = {
    "unknown": "additionalProperties",
    "param": "additionalProperties",
    "key": "additionalProperties",
    "missing": "required",
    "cannot": "not",
}


def is_seen(fault, errors):
    """Whether an error of a schema stands where a fault does, is of its kind and names its key."""
    keyword = KEYWORDS.get(fault.message.split()[0])
    here = {word for path, word, _ in errors if path == fault.path}
    if keyword is None:
        return bool(here - set(KEYWORDS.values()))
    if keyword == "not":
        return any((path, word) == ("$.solver", "not") for path, word, _ in errors)
    # A mistyped key may show as the lack of the right one.
    names = re.findall("'([^']*)'", fault.message)[:1]
    names += re.findall("did you mean '([^']*)'", fault.remedy)
    return any(
        path in (fault.path, f"{fault.path}.params")
        and word in (keyword, "required")
        and any(f"'{name}'" in text for name in names)
        for path, word, text in errors
    )


def begins(fault, starts):
    return any(f"{fault.path}: {fault.message}".startswith(start) for start in starts)


@pytest.mark.parametrize("name", FAULTY)
def test_what_a_schema_can_see_is_invalid_for_it(name, plain, golden):
    document = read_config(GOLDEN / name / "config.json")
    faults = find_faults(document)
    unseen, extra = UNSEEN.get(name, []), SEEN_WITH_PROJECT.get(name, [])
    for validators, blind in ((plain, [*unseen, *extra]), (golden, unseen)):
        errors = validators.all_errors(document.data)
        assert [str(f) for f in faults if not is_seen(f, errors)] == [
            str(f) for f in faults if begins(f, blind)
        ]
        assert validators.accepts(document.data) is (not errors)
        assert bool(errors) is any(not begins(f, blind) for f in faults)
    for start in [*unseen, *extra]:
        assert any(begins(fault, [start]) for fault in faults), start


# Path, value, and whether it is valid for the engine, the plain schema and that of the project.
PLANTED = [
    ("dataset.loader.params.columns", ["a"], True, True, True),
    ("dataset.loader.params.column", ["a"], False, True, False),
    (
        "dataset.loader",
        {"import": "golden_parts.Loader", "params": {"mode": 1}},
        False,
        True,
        False,
    ),
    ("dataset.loader", {"import": "KeySelector"}, False, True, False),
    (
        "dataset.loader",
        {"import": "KeySelector", "params": {"inputs": {"x": "a"}, "outputs": {"y": 3}}},
        False,
        True,
        False,
    ),
    (
        "dataset.loader",
        {"import": "barrage.dataset.KeySelector", "params": {"inputs": {}, "output": {}}},
        False,
        True,
        False,
    ),
    (
        "dataset.transformer",
        {"import": "IdentityTransformer", "params": {"a": 1}},
        False,
        True,
        False,
    ),
    ("dataset.augmentor", [{"import": "golden_parts.jitter"}], False, True, False),
    (
        "dataset.augmentor",
        [{"import": "golden_parts.flip", "params": {"axis": 1}}],
        True,
        True,
        True,
    ),
    (
        "dataset.augmentor",
        [{"import": "golden_parts.flip", "params": {"axes": 1}}],
        False,
        True,
        False,
    ),
    ("model.outputs.0.loss", {"import": "mse", "params": {"reduction": "sum"}}, True, True, True),
    ("model.outputs.0.loss", {"import": "mse", "params": {"reducton": "sum"}}, False, True, False),
    (
        "model.outputs.0.loss",
        {"import": "Huber", "params": {"delta": "{{units}}"}},
        True,
        True,
        True,
    ),
    (
        "model.outputs.0.loss",
        {"import": "tf.keras.losses.Huber", "params": {"d": 1}},
        False,
        True,
        False,
    ),
    ("model.outputs.0.loss", {"import": "ce", "params": {"name": "a"}}, True, True, True),
    ("model.outputs.0.loss", {"import": "ce", "params": {"axis": 1}}, False, True, False),
    ("model.outputs.0.loss.import", "{{loss}}", False, True, True),
    ("model.outputs.0.loss_weight", "{{units}}", True, True, True),
    ("model.outputs.0.loss_weight", "{{ units }}!", False, False, False),
    ("model.outputs.0.sample_weight_mode", "{{units}}", True, True, True),
    ("model.outputs.0.sample_weight_mode", "temporl", False, False, False),
    ("model.outputs.0.metrics", [{"import": "AUC", "params": {"thresholds": 1}}], True, True, True),
    ("model.outputs.0.metrics", [{"import": "AUC", "params": {"treshold": 1}}], False, True, False),
    ("model.outputs.0.metrics", [{"import": "acc", "params": {"top": 1}}], False, True, False),
    ("model.outputs.0.metrics", ["accuracy"], False, False, False),
    (
        "solver.optimizer",
        {"import": "adam", "learning_rate": 1, "params": {"beta": 1}},
        False,
        True,
        False,
    ),
    (
        "solver.optimizer",
        {"import": "SGD", "learning_rate": 1, "params": {"momentum": 1}},
        True,
        True,
        True,
    ),
    (
        "solver.optimizer",
        {"import": "Adam", "learning_rate": 1, "params": {"learning_rate": 1}},
        False,
        True,
        False,
    ),
    ("solver.optimizer.learning_rate", {"import": "CosineDecay"}, False, True, False),
    ("services.tensorboard", {"log_dir": "x"}, False, True, False),
    ("services.tensorboard", {"histogram_freq": 1}, True, True, True),
    ("services.best_checkpoint", {"monitor": "loss", "mode": "min"}, False, False, False),
    ("services.train_early_stopping.monitor", "val_loss", False, False, False),
    ("services.train_early_stopping.verbos", 1, False, True, False),
    ("solver.epochs", 3.0, False, True, True),
    ("solver.epochs", 3.5, False, False, False),
]


def planted(path, value):
    config = base_config()
    *parents, key = [int(part) if part.isdigit() else part for part in path.split(".")]
    block = config
    for parent in parents:
        block = block[parent]
    block[key] = value
    return config


def base_config():
    return {
        "dataset": {
            "loader": {"import": "golden_parts.Loader", "params": {}},
            "transformer": {"import": "IdentityTransformer"},
        },
        "model": {
            "network": {"import": "golden_parts.network", "params": {"units": 3}},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
        "solver": {"optimizer": {"import": "Adam", "learning_rate": 0.1}},
        "services": {
            "train_early_stopping": {
                "monitor": "loss",
                "mode": "min",
                "patience": 1,
                "min_delta": 0,
            }
        },
    }


@pytest.mark.parametrize(
    ("path", "value", "engine", "by_plain", "by_project"),
    PLANTED,
    ids=[f"{path}={json.dumps(value)}"[:80] for path, value, *_ in PLANTED],
)
def test_a_single_value(path, value, engine, by_plain, by_project, plain, golden):
    data = planted(path, value)
    faults = find_faults(read_config(data))
    assert ([str(f) for f in faults] == []) is engine
    assert plain.accepts(data) is by_plain
    assert golden.accepts(data) is by_project


def test_rules_between_keys(plain, golden):
    two = base_config()
    two["model"]["outputs"].append({"name": "z", "loss": {"import": "mse"}, "loss_weight": 1})
    scheduled = base_config()
    scheduled["solver"]["optimizer"]["learning_rate"] = {"import": "my.Schedule"}
    reducer = {"monitor": "loss", "mode": "min", "patience": 1, "factor": 0.5}
    scheduled["solver"]["learning_rate_reducer"] = reducer
    for validators in (plain, golden):
        assert validators.errors(two) == {("$.model.outputs[0]", "required")}
        assert validators.errors(scheduled) == {("$.solver", "not")}
        two["model"]["outputs"][0]["loss_weight"] = 2
        assert validators.accepts(two)
        del two["model"]["outputs"][0]["loss_weight"]


def test_random_changes_that_a_schema_refuses_are_faults_for_the_engine(plain, my_project):
    """And so whatever is valid for the engine is valid for the schemas."""
    values = [None, True, 0, -1, 1.5, "", "{{units}}", "val_loss", "mse", [], ["a"], {}, {"a": 1}]
    rng = random.Random(5)
    refused = {"plain": 0, "my_project": 0}
    for _ in range(300):
        data = copy.deepcopy(rng.choice(list(RECIPES.values())))
        holder, key = rng.choice([(node, key) for node in nodes_of(data) for key in keys_of(node)])
        change = rng.randrange(3)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        else:
            holder[key] = rng.choice(values)
        faults = find_faults(read_config(data))
        for name, validators in (("plain", plain), ("my_project", my_project)):
            if not validators.accepts(data):
                refused[name] += 1
                assert faults != [], data
    # It is no test of nothing, and the project's schema sees more.
    assert 100 < refused["plain"] < refused["my_project"] < 300


def nodes_of(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from nodes_of(inner)


def keys_of(holder):
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def offered(node):
    """The names that an editor completes, each with its description."""
    names = {}
    for choice in node["properties"]["import"]["anyOf"]:
        names |= dict.fromkeys(choice.get("enum", ()), "")
        if "const" in choice:
            names[choice["const"]] = choice["description"]
    assert node["properties"]["import"]["anyOf"][-1] == {"type": "string", "minLength": 1}
    return names


def test_names_are_offered_where_they_fit(penguins):
    parts = penguins.tree["properties"]
    dataset = parts["dataset"]["properties"]
    assert offered(dataset["loader"]) == {
        "penguins.PenguinLoader": "Loads a penguin as it was written down.",
        "KeySelector": "Selects inputs, outputs and sample weights by their record keys.",
        "barrage_mlflow.dataset.KeySelector": "Selects inputs, outputs and sample weights by "
        "their record keys.",
    }
    assert list(offered(dataset["transformer"])) == [
        "penguins.PenguinTransformer",
        "IdentityTransformer",
        "barrage_mlflow.dataset.IdentityTransformer",
    ]
    assert list(offered(dataset["augmentor"]["items"])) == ["penguins.jitter"]
    assert list(offered(parts["model"]["properties"]["network"])) == [
        "penguins.build_network",
        "barrage_mlflow.model.sequential_from_config",
        "sequential_from_config",
    ]
    output = parts["model"]["properties"]["outputs"]["items"]["properties"]
    losses, metrics = offered(output["loss"]), offered(output["metrics"]["items"])
    assert {"mse", "MSE", "Huber", "sparse_categorical_crossentropy", "ce"} <= set(losses)
    assert {"accuracy", "AUC", "mae", "Huber"} <= set(metrics)
    assert not {"Loss", "loss", "Metric", "Adam", "accuracy"} & set(losses)
    optimizer = parts["solver"]["properties"]["optimizer"]
    assert {"Adam", "SGD"} <= set(offered(optimizer))
    schedule = optimizer["properties"]["learning_rate"]["anyOf"][1]
    assert {"ExponentialDecay", "CosineDecay"} <= set(offered(schedule))
    layers = offered(penguins.tree["$defs"]["layer"])
    assert {"Dense", "Input", "Conv2D"} <= set(layers)
    assert "Layer" not in layers


def test_params_have_types_defaults_and_what_is_required(penguins):
    definitions = penguins.tree["$defs"]
    assert definitions["penguins.jitter"] == {
        "properties": {"scale": {"type": "number", "default": 0.05}},
        "additionalProperties": False,
    }
    integer = {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/placeholder"}]}
    assert definitions["network:penguins.build_network"] == {
        "properties": {
            "islands": integer,
            "sexes": integer,
            "species": integer,
            "units": {**integer, "default": 32},
        },
        "required": ["islands", "sexes", "species"],
    }
    assert definitions["penguins.PenguinLoader"] == {
        "properties": {},
        "additionalProperties": False,
    }
    assert definitions["keras.losses.Huber"]["properties"]["delta"] == {"default": 1.0}
    assert definitions["keras.layers.Dense"]["required"] == ["units"]
    assert "learning_rate" not in definitions["keras.optimizers.Adam"]["properties"]
    reducer = penguins.tree["properties"]["solver"]["properties"]["learning_rate_reducer"]
    assert reducer["properties"]["min_lr"] == {"default": 0.0}
    assert reducer["additionalProperties"] is False
    tensorboard = penguins.tree["properties"]["services"]["properties"]["tensorboard"]
    assert "histogram_freq" in tensorboard["properties"]
    assert "log_dir" not in tensorboard["properties"]


def test_it_stays_small(penguins):
    assert len(json.dumps(penguins.tree)) < 300_000


PACKAGE = {
    "__init__.py": """
        from zoo._inner import Deep
        from zoo.birds import VALUE, Bird as Owl, jitter
        """,
    "birds.py": '''
        from barrage_mlflow.dataset import RecordLoader
        from typing import Literal

        VALUE = 3

        class Bird(RecordLoader):
            """Loads a bird.

            And more.
            """
            def __init__(
                self, mode, wings: int, colour: Literal["red", "blue"] = "red", size: float = None
            ):
                raise AssertionError("not run")

            def load(self, record):
                return record

        class NoLoad(RecordLoader):
            """It is still abstract."""

        class _Hidden(Bird):
            pass

        class Plain:
            pass

        class Foreign(unknown.Base):
            pass

        def jitter(data_record, rng, /, scale: list[float] = [1.0], **rest):
            return data_record

        raise AssertionError("not run")
        ''',
    "_inner.py": """
        import keras

        class Deep(keras.layers.Layer):
            def __init__(self, units: int, shape: list[int] = [], **kwargs):
                super().__init__(**kwargs)
        """,
    "nets/__init__.py": "",
    "nets/makers.py": """
        import keras

        def network(units: int, rates: dict[str, float] | None = None) -> keras.Model:
            pass

        def anything(first, second=2):
            pass

        def nothing():
            pass

        def loss_of(delta: float = 1.0) -> "keras.losses.Loss":
            pass

        def number(a) -> int:
            pass

        def plain_loss(y_true, y_pred):
            pass

        @keras.saving.register_keras_serializable()
        class Net(keras.Model):
            def __init__(self, units):
                pass

        @strange
        class Odd(keras.Model):
            def __init__(self, units):
                pass
        """,
    "broken.py": "def (",
}


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A package of many kinds, in the working folder."""
    for name, text in PACKAGE.items():
        path = tmp_path / "zoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def own(node):
    return {name: text for name, text in offered(node).items() if name.startswith("zoo.")}


def test_a_package_is_read_and_not_run(zoo, caplog):
    tree = editor_schema("zoo")
    assert "zoo" not in sys.modules
    assert "zoo.birds" not in sys.modules
    jsonschema.Draft202012Validator.check_schema(tree)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "zoo.broken is left out"
    ]
    parts = tree["properties"]
    dataset = parts["dataset"]["properties"]
    assert own(dataset["loader"]) == {
        "zoo.Owl": "Loads a bird.",
        "zoo.birds.Bird": "Loads a bird.",
    }
    augmentors = own(dataset["augmentor"]["items"])
    assert list(augmentors) == ["zoo.jitter", "zoo.birds.jitter", "zoo.nets.makers.anything"]
    assert list(own(parts["model"]["properties"]["network"])) == [
        "zoo.nets.makers.network",
        "zoo.nets.makers.anything",
        "zoo.nets.makers.nothing",
        "zoo.nets.makers.Net",
        "zoo.nets.makers.Odd",
    ]
    output = parts["model"]["properties"]["outputs"]["items"]["properties"]
    assert list(own(output["loss"])) == ["zoo.nets.makers.loss_of"]
    assert list(own(output["metrics"]["items"])) == ["zoo.nets.makers.loss_of"]
    assert list(own(tree["$defs"]["layer"])) == [
        "zoo.Deep",
        "zoo.nets.makers.Net",
        "zoo.nets.makers.Odd",
    ]


def test_params_of_a_package(zoo):
    tree = editor_schema("zoo")
    definitions = tree["$defs"]
    placeholder = {"$ref": "#/$defs/placeholder"}
    assert definitions["zoo.birds.Bird"] == {
        "properties": {
            "wings": {"type": "integer"},
            "colour": {"enum": ["red", "blue"], "default": "red"},
            "size": {"anyOf": [{"type": "number"}, {"const": None}], "default": None},
        },
        "required": ["wings"],
        "additionalProperties": False,
    }
    assert definitions["zoo.birds.jitter"] == {
        "properties": {
            "scale": {"type": "array", "items": {"type": "number"}, "default": [1.0]},
        }
    }
    number = {"anyOf": [{"type": "number"}, placeholder]}
    integer = {"anyOf": [{"type": "integer"}, placeholder]}
    assert definitions["network:zoo.nets.makers.network"] == {
        "properties": {
            "units": integer,
            "rates": {
                "anyOf": [
                    {"type": "object", "additionalProperties": number},
                    placeholder,
                    {"type": "null"},
                ],
                "default": None,
            },
        },
        "required": ["units"],
    }
    deep = definitions["zoo._inner.Deep"]
    assert deep["properties"]["shape"] == {
        "anyOf": [{"type": "array", "items": integer}, placeholder],
        "default": [],
    }
    assert {"trainable", "name"} <= set(deep["properties"])
    assert definitions["zoo.nets.makers.anything"]["properties"] == {"second": {"default": 2}}
    assert definitions["network:zoo.nets.makers.anything"]["required"] == ["first"]
    # As a network its params may serve placeholders, as a layer they may not.
    assert "additionalProperties" not in definitions["network:zoo.nets.makers.Net"]
    assert definitions["zoo.nets.makers.Net"]["additionalProperties"] is False
    assert "zoo.nets.makers.Odd" not in definitions


def test_placeholders_stand_for_params_of_the_model_alone(zoo):
    validators = Validators(editor_schema("zoo"))
    layers = [
        {"import": "zoo.Deep", "params": {"units": "{{u}}", "shape": [1, "{{u}}"]}},
        {"import": "zoo.Deep", "params": "{{all}}"},
        "{{layer}}",
    ]
    config = base_config()
    config["model"]["network"] = {"import": "sequential_from_config", "params": {"layers": layers}}
    assert validators.accepts(config)
    layers[0]["params"]["units"] = "8"
    assert validators.errors(config) >= {("$.model.network.params.layers[0].params.units", "type")}
    config["model"]["network"]["params"]["layers"] = "{{layers}}"
    assert validators.accepts(config)
    config["dataset"]["loader"] = {"import": "zoo.Owl", "params": {"wings": "{{u}}"}}
    assert validators.errors(config) == {("$.dataset.loader.params.wings", "type")}


def test_a_single_module_with_one_component(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "single.py").write_text(
        "from barrage_mlflow.dataset import IdentityTransformer as Base\n\n"
        "class Näme(Base):\n    pass\n",
        "utf-8",
    )
    tree = editor_schema("single")
    validators = Validators(tree)
    transformer = tree["properties"]["dataset"]["properties"]["transformer"]
    assert next(iter(offered(transformer))) == "single.Näme"
    config = base_config()
    config["dataset"]["transformer"] = {"import": "single.Näme", "params": {"a": 1}}
    assert validators.errors(config) == {("$.dataset.transformer.params", "additionalProperties")}


@pytest.mark.parametrize(
    ("project", "message"),
    [
        (
            "penguin",
            r"^no package or module 'penguin' in the working folder '{folder}' or elsewhere on the "
            r"Python path; did you mean 'penguins'\?$",
        ),
        ("no_such_thing", r"^no package or module 'no_such_thing' in the working .* path$"),
        ("zoo.bird", r"^no package or module 'bird' in 'zoo'; did you mean 'zoo\.birds'\?$"),
        ("zoo.birds.Bird", r"^no package or module 'Bird' in 'zoo\.birds'$"),
        ("./zoo/birds.py", r"^'\./zoo/birds\.py' is no name of a .*; did you mean 'zoo\.birds'\?$"),
        ("my zoo", r"^'my zoo' is no name of a package or module$"),
        ("", r"^'' is no name of a package or module$"),
        ("zoo.broken", r"^'zoo\.broken' cannot be read: invalid syntax .*line 1"),
        ("_json", r"^'_json' cannot be read: '_json' is not written in Python$"),
        (
            "empty",
            r"^'empty' holds no component: no class derived from one of "
            r"Barrage's or Keras's, and no function that could be a network or an augmentor$",
        ),
    ],
)
def test_what_cannot_be_offered(project, message, zoo, tmp_path):
    (tmp_path / "empty.py").write_text("VALUE = 3\n")
    with pytest.raises(ImportPathError, match=message.replace("{folder}", str(tmp_path))):
        editor_schema(project)


def test_neither_tensorflow_nor_keras_nor_the_project_is_loaded():
    code = (
        "import sys\n"
        "from barrage_mlflow.config.editor_schema import editor_schema\n"
        "editor_schema('penguins')\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'numpy', 'pandas', 'penguins'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    folder = EXAMPLES / "penguins"
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8")
    assert done.stdout == "[]\n"
