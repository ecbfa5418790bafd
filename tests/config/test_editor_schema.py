"""The schema for editors: two validators that are not ours accept it and agree with the engine."""

import copy
import json
import random
import sys

import jsonschema
import jsonschema_rs
import pytest
from recipes import RECIPES
from schema_parts import EXAMPLES, GOLDEN, Validators, base_config, completed

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config.editor_schema import editor_schema, show_schema, write_schema
from barrage_mlflow.config.paths import value_at, walk
from barrage_mlflow.config.schema import SCHEMA
from barrage_mlflow.errors import ImportPathError

pytestmark = pytest.mark.usefixtures("importable")

VALID = [
    *(json.loads(path.read_text("utf-8")) for path in GOLDEN.glob("*/resolved.json")),
    *(read_config(path).data for path in EXAMPLES.glob("*/config.*")),
    *RECIPES.values(),
]


@pytest.fixture(scope="module")
def plain():
    return Validators(editor_schema())


@pytest.fixture(scope="module")
def golden():
    return Validators(editor_schema(["golden_parts"], [str(GOLDEN)]))


@pytest.fixture(scope="module")
def penguins():
    return Validators(editor_schema(["penguins"], [str(EXAMPLES / "penguins")]))


@pytest.fixture(scope="module")
def my_project(code):
    return Validators(editor_schema(["my_project"], [str(code)]))


@pytest.mark.parametrize("name", ["plain", "golden", "penguins"])
def test_it_is_a_valid_schema(name, request):
    tree = request.getfixturevalue(name).tree
    jsonschema.Draft202012Validator.check_schema(tree)
    jsonschema_rs.meta.validate(tree)
    assert len(json.dumps(tree)) < 300_000
    used = {value for path, value in walk(tree) if path[-1:] == ("$ref",)}
    assert used == {f"#/$defs/{name}" for name in tree["$defs"]}


def test_without_a_project_it_is_the_schema_that_check_uses(plain):
    """But that what depends on a feature's type is written as an editor can follow it."""
    tree, schema = copy.deepcopy(plain.tree), copy.deepcopy(SCHEMA)
    del tree["properties"]["dataset"]["properties"]["loader"]["allOf"]
    for part in ("features", "targets"):
        del tree["$defs"][part], schema["$defs"][part]
    assert tree == schema


@pytest.mark.parametrize("config", VALID)
def test_what_is_valid_for_the_engine_is_valid_for_the_schemas(config, plain, golden, my_project):
    assert find_faults(read_config(config)) == []
    assert all(one.accepts(config) for one in (plain, golden, my_project))


LOADER = {"import": "golden_parts.Loader", "params": {"mode": 1}}
SELECTOR = {"import": "KeySelector", "params": {"inputs": {"x": "a"}, "outputs": {"y": 3}}}


def block(name, **params):
    return {"import": name, "params": params}


def optimizer(name, rate=1, **params):
    return {"import": name, "learning_rate": rate, "params": params}


# Path, value, and whether it is valid for the engine, the plain schema and that of the project.
PLANTED = [
    ("dataset.loader.params.column", ["a"], False, True, False),
    ("dataset.loader", LOADER, False, True, False),
    ("dataset.loader", {"import": "KeySelector"}, False, True, False),
    ("dataset.loader", SELECTOR, False, True, False),
    ("dataset.transformer", block("IdentityTransformer", a=1), False, True, False),
    ("dataset.augmentor", [block("golden_parts.flip", axis=1)], True, True, True),
    ("dataset.augmentor", [block("golden_parts.flip", axes=1)], False, True, False),
    ("model.outputs.0.loss", block("mse", reducton="sum"), False, True, False),
    ("model.outputs.0.loss", block("Huber", delta="{{units}}"), True, True, True),
    ("model.outputs.0.loss", block("ce", axis=1), False, True, False),
    ("model.outputs.0.loss.import", "{{loss}}", False, True, True),
    ("model.outputs.0.loss_weight", "{{units}}", True, True, True),
    ("model.outputs.0.loss_weight", "{{ units }}!", False, False, False),
    ("model.outputs.0.sample_weight_mode", "temporl", False, False, False),
    ("model.outputs.0.class_weight", {"1": "{{units}}"}, True, True, True),
    ("model.outputs.0.class_weight", "even", False, False, False),
    ("model.outputs.0.metrics", [block("AUC", treshold=1)], False, True, False),
    ("model.outputs.0.metrics", ["accuracy"], False, False, False),
    ("solver.optimizer", optimizer("SGD", momentum=1), True, True, True),
    ("solver.optimizer", optimizer("Adam", learning_rate=1), False, True, False),
    ("solver.optimizer.learning_rate", {"import": "CosineDecay"}, False, True, False),
    ("services.tensorboard", {"log_dir": "x"}, False, False, False),
    ("services.train_early_stopping.monitor", "val_loss", False, False, False),
    ("solver.epochs", 3.0, False, True, True),
]


@pytest.mark.parametrize(("path", "value", "engine", "by_plain", "by_project"), PLANTED)
def test_a_single_value(path, value, engine, by_plain, by_project, plain, golden):
    data = base_config()
    *parents, key = [int(part) if part.isdigit() else part for part in path.split(".")]
    value_at(data, parents)[key] = value
    assert (find_faults(read_config(data)) == []) is engine
    assert (plain.accepts(data), golden.accepts(data)) == (by_plain, by_project)


def test_random_changes_that_a_schema_refuses_are_faults_for_the_engine(plain, my_project):
    """And so whatever is valid for the engine is valid for the schemas."""
    values = [None, True, 0, -1, 1.5, "", "{{units}}", "val_loss", "mse", [], ["a"], {}, {"a": 1}]
    rng = random.Random(5)
    refused = {"plain": 0, "my_project": 0}
    for _ in range(200):
        data = copy.deepcopy(rng.choice(list(RECIPES.values())))
        *parents, key = rng.choice([path for path, _ in walk(data) if path])
        holder = value_at(data, parents)
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
    assert 60 < refused["plain"] < refused["my_project"] < 200


def test_names_and_params_complete_where_they_fit(penguins):
    """Those of a project alone are in ``golden/zoo.json``."""
    parts = penguins.tree["properties"]
    assert completed(parts["dataset"]["properties"]["loader"]) == {
        "penguins.PenguinLoader": "Loads a penguin as it was written down.",
        "FeatureLoader": "Loads the columns of features and targets, which a "
        "``FeatureTransformer`` encodes.",
        "barrage_mlflow.dataset.FeatureLoader": "Loads the columns of features and targets, which "
        "a ``FeatureTransformer`` encodes.",
        "KeySelector": "Selects inputs, outputs and sample weights by their record keys.",
        "barrage_mlflow.dataset.KeySelector": "Selects inputs, outputs and sample weights by "
        "their record keys.",
    }
    output = parts["model"]["properties"]["outputs"]["items"]["properties"]
    losses, metrics = completed(output["loss"]), completed(output["metrics"]["items"])
    assert {"mse", "MSE", "Huber", "sparse_categorical_crossentropy", "ce"} <= set(losses)
    assert {"accuracy", "AUC", "mae", "Huber"} <= set(metrics)
    assert not {"Loss", "loss", "Metric", "Adam", "accuracy"} & set(losses)
    optimizer = parts["solver"]["properties"]["optimizer"]
    assert {"Adam", "SGD"} <= set(completed(optimizer))
    schedule = optimizer["properties"]["learning_rate"]["anyOf"][1]
    assert {"ExponentialDecay", "CosineDecay"} <= set(completed(schedule))
    layers = completed(penguins.tree["$defs"]["layer"])
    assert {"Dense", "Input", "Conv2D"} <= set(layers)
    assert "Layer" not in layers
    definitions = penguins.tree["$defs"]
    assert definitions["keras.losses.Huber"]["properties"]["delta"] == {"default": 1.0}
    assert definitions["keras.layers.Dense"]["required"] == ["units"]
    assert "learning_rate" not in definitions["keras.optimizers.Adam"]["properties"]


# The files of a package of many kinds, and the names and params that its schema has of it.
ZOO = (GOLDEN / "zoo.txt").read_text("utf-8")
ZOO_SCHEMA = json.loads((GOLDEN / "zoo.json").read_text("utf-8"))


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """The package, and a module of it that is no Python, in the working folder."""
    files = dict(part.split("\n", 1) for part in ZOO.split("### ")[1:])
    for name, text in {**files, "broken.py": "def ("}.items():
        path = tmp_path / "zoo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))


def of_zoo(tree):
    """What a schema has of the package: its names by kind, and the params of each."""
    dataset = tree["properties"]["dataset"]["properties"]
    model = tree["properties"]["model"]["properties"]
    output = model["outputs"]["items"]["properties"]
    blocks = {
        "loader": dataset["loader"],
        "augmentor": dataset["augmentor"]["items"],
        "network": model["network"],
        "loss": output["loss"],
        "metric": output["metrics"]["items"],
        "layer": tree["$defs"]["layer"],
    }
    names = {
        kind: {name: doc for name, doc in completed(block).items() if name.startswith("zoo.")}
        for kind, block in blocks.items()
    }
    return {"names": names, "params": {k: v for k, v in tree["$defs"].items() if "zoo." in k}}


def test_a_package_is_read_and_not_run(zoo, caplog):
    tree = editor_schema(["zoo"])
    assert not {"zoo", "zoo.birds"} & set(sys.modules)
    jsonschema.Draft202012Validator.check_schema(tree)
    (record,) = caplog.records
    assert record.getMessage().startswith("zoo.broken is left out: ")
    assert of_zoo(tree) == ZOO_SCHEMA
    # As a network its params may serve placeholders, as a layer they may not.
    assert "additionalProperties" not in ZOO_SCHEMA["params"]["network:zoo.nets.makers.Net"]
    assert ZOO_SCHEMA["params"]["zoo.nets.makers.Net"]["additionalProperties"] is False


def test_placeholders_stand_for_params_of_the_model_alone(zoo):
    validators = Validators(editor_schema(["zoo"]))
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
    tree = editor_schema(["single"])
    validators = Validators(tree)
    transformer = tree["properties"]["dataset"]["properties"]["transformer"]
    assert "single.Näme" in completed(transformer)
    config = base_config()
    config["dataset"]["transformer"] = {"import": "single.Näme", "params": {"a": 1}}
    assert validators.errors(config) == {("$.dataset.transformer.params", "additionalProperties")}


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("penguin", r"'penguin' leads nowhere: no module .* path; did you mean 'penguins'\?"),
        ("zoo.bird", r"'zoo\.bird' leads nowhere: 'zoo' has no 'bird'; did you mean 'birds'\?"),
        ("zoo.birds.Bird", r"'zoo\.birds\.Bird' is a class, expected a package or module"),
        ("./zoo.py", r"'\./zoo\.py' is not a Python path; write it as package\.module\.Name"),
        ("zoo.broken", r"'zoo\.broken' cannot be read: .*line 1.*"),
        ("empty", r"'empty' has no component: no class derived from .*"),
    ],
)
def test_what_has_no_schema(project, message, zoo, tmp_path):
    (tmp_path / "empty.py").write_text("VALUE = 3\n")
    with pytest.raises(ImportPathError, match=f"^{message}$"):
        editor_schema([project])


def test_a_schema_is_left_beside_the_config_that_names_it(tmp_path):
    target, config = tmp_path / "schemas" / "c.json", {**base_config(), "$schema": "schemas/c.json"}
    target.parent.mkdir()
    path = tmp_path / "config.json"

    def left(schema="schemas/c.json"):
        path.write_text(json.dumps({**config, "$schema": schema}))
        write_schema(read_config(path))
        return target.read_text() if target.exists() else None

    expected = show_schema(editor_schema(["golden_parts"], [str(GOLDEN)]))
    for address in ("https://example.org/schemas/c.json", "nowhere/c.json"):
        assert left(address) is None
    assert left() == expected
    target.write_text(show_schema(SCHEMA))  # one that an earlier version has left
    assert left() == expected
    target.write_text("{}")
    assert left() == "{}"
    config = {"model": {"network": {"import": "barrage_mlflow.model.feature_network"}}}
    target.unlink()
    assert left() == show_schema(editor_schema([]))
