"""The schema for editors: two validators that are not ours accept it and agree with the engine."""

import copy
import json
import random
import subprocess
import sys
from pathlib import Path

import jsonschema
import jsonschema_rs
import pytest
from recipes import RECIPES, write_project

from barrage_mlflow.config import find_faults, read_config, schema
from barrage_mlflow.config.editor_schema import editor_schema
from barrage_mlflow.config.paths import show_path
from barrage_mlflow.errors import ImportPathError

GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = Path(__file__).parents[2] / "examples"
VALID = [
    *(json.loads(path.read_text("utf-8")) for path in GOLDEN.glob("*/resolved.json")),
    *(read_config(path).data for path in EXAMPLES.glob("*/config.json")),
    *RECIPES.values(),
]


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
        rest = list(self.python.iter_errors(data))
        found = set()
        while rest:
            error = rest.pop()
            rest += error.context
            found.add((show_path(tuple(error.absolute_path)), error.validator))
        return found


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The folder with all the code that the configs name."""
    folder = tmp_path_factory.mktemp("code")
    write_project(folder)
    return folder


@pytest.fixture(autouse=True)
def _project(monkeypatch, code):
    monkeypatch.syspath_prepend(str(code))


@pytest.fixture(scope="module")
def plain():
    return Validators(editor_schema())


@pytest.fixture(scope="module")
def golden():
    return Validators(editor_schema("golden_parts", [str(GOLDEN)]))


@pytest.fixture(scope="module")
def penguins():
    return Validators(editor_schema("penguins", [str(EXAMPLES / "penguins")]))


@pytest.fixture(scope="module")
def my_project(code):
    return Validators(editor_schema("my_project", [str(code)]))


@pytest.mark.parametrize("name", ["plain", "golden", "penguins"])
def test_it_is_a_valid_schema(name, request):
    tree = request.getfixturevalue(name).tree
    jsonschema.Draft202012Validator.check_schema(tree)
    jsonschema_rs.meta.validate(tree)
    assert len(json.dumps(tree)) < 300_000
    used = {node["$ref"] for node in nodes(tree) if "$ref" in node}
    assert used == {f"#/$defs/{name}" for name in tree["$defs"]}


def nodes(value):
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from nodes(inner)


def test_without_a_project_it_is_the_schema_that_check_uses(plain):
    assert plain.tree == schema()


@pytest.mark.parametrize("config", VALID)
def test_what_is_valid_for_the_engine_is_valid_for_the_schemas(config, plain, golden, my_project):
    assert find_faults(read_config(config)) == []
    assert all(one.accepts(config) for one in (plain, golden, my_project))


LOADER = {"import": "golden_parts.Loader", "params": {"mode": 1}}
SELECTOR = {"import": "KeySelector", "params": {"inputs": {"x": "a"}, "outputs": {"y": 3}}}
OLD = {"import": "barrage.dataset.KeySelector", "params": {"inputs": {"x": "a"}, "output": {}}}


def block(name, **params):
    return {"import": name, "params": params}


def optimizer(name, rate=1, **params):
    return {"import": name, "learning_rate": rate, "params": params}


# Path, value, and whether it is valid for the engine, the plain schema and that of the project.
PLANTED = [
    ("dataset.loader.params.columns", ["a"], True, True, True),
    ("dataset.loader.params.column", ["a"], False, True, False),
    ("dataset.loader", LOADER, False, True, False),
    ("dataset.loader", {"import": "KeySelector"}, False, True, False),
    ("dataset.loader", SELECTOR, False, True, False),
    ("dataset.loader", OLD, False, True, False),
    ("dataset.transformer", block("IdentityTransformer", a=1), False, True, False),
    ("dataset.augmentor", [{"import": "golden_parts.jitter"}], False, True, False),
    ("dataset.augmentor", [block("golden_parts.flip", axis=1)], True, True, True),
    ("dataset.augmentor", [block("golden_parts.flip", axes=1)], False, True, False),
    ("model.outputs.0.loss", block("mse", reduction="sum"), True, True, True),
    ("model.outputs.0.loss", block("mse", reducton="sum"), False, True, False),
    ("model.outputs.0.loss", block("Huber", delta="{{units}}"), True, True, True),
    ("model.outputs.0.loss", block("tf.keras.losses.Huber", d=1), False, True, False),
    ("model.outputs.0.loss", block("ce", axis=1), False, True, False),
    ("model.outputs.0.loss.import", "{{loss}}", False, True, True),
    ("model.outputs.0.loss_weight", "{{units}}", True, True, True),
    ("model.outputs.0.loss_weight", "{{ units }}!", False, False, False),
    ("model.outputs.0.sample_weight_mode", "temporl", False, False, False),
    ("model.outputs.0.metrics", [block("AUC", thresholds=1)], True, True, True),
    ("model.outputs.0.metrics", [block("AUC", treshold=1)], False, True, False),
    ("model.outputs.0.metrics", ["accuracy"], False, False, False),
    ("solver.optimizer", optimizer("SGD", momentum=1), True, True, True),
    ("solver.optimizer", optimizer("adam", beta=1), False, True, False),
    ("solver.optimizer", optimizer("Adam", learning_rate=1), False, True, False),
    ("solver.optimizer.learning_rate", {"import": "CosineDecay"}, False, True, False),
    ("services.tensorboard", {"log_dir": "x"}, False, False, False),
    ("services.tensorboard", {"histogram_freq": 1}, True, True, True),
    ("services.best_checkpoint", {"monitor": "loss", "mode": "min"}, False, False, False),
    ("services.train_early_stopping.monitor", "val_loss", False, False, False),
    ("solver.epochs", 3.5, False, False, False),
    ("solver.epochs", 3.0, False, True, True),
]


def base_config():
    stopping = {"monitor": "loss", "mode": "min", "patience": 1, "min_delta": 0}
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
        "services": {"train_early_stopping": stopping},
    }


@pytest.mark.parametrize(("path", "value", "engine", "by_plain", "by_project"), PLANTED)
def test_a_single_value(path, value, engine, by_plain, by_project, plain, golden):
    data = base_config()
    *parents, key = [int(part) if part.isdigit() else part for part in path.split(".")]
    holder = data
    for parent in parents:
        holder = holder[parent]
    holder[key] = value
    assert (find_faults(read_config(data)) == []) is engine
    assert (plain.accepts(data), golden.accepts(data)) == (by_plain, by_project)


def test_random_changes_that_a_schema_refuses_are_faults_for_the_engine(plain, my_project):
    """And so whatever is valid for the engine is valid for the schemas."""
    values = [None, True, 0, -1, 1.5, "", "{{units}}", "val_loss", "mse", [], ["a"], {}, {"a": 1}]
    rng = random.Random(5)
    refused = {"plain": 0, "my_project": 0}
    for _ in range(200):
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
    assert 60 < refused["plain"] < refused["my_project"] < 200


def nodes_of(value):
    yield value
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            yield from nodes_of(inner)


def keys_of(holder):
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


def completed(node):
    """The names that an editor completes, each with its description."""
    names = {}
    for choice in node["properties"]["import"]["anyOf"]:
        names |= dict.fromkeys(choice.get("enum", ()), "")
        if "const" in choice:
            names[choice["const"]] = choice["description"]
    assert node["properties"]["import"]["anyOf"][-1] == {"type": "string", "minLength": 1}
    return names


def test_names_complete_where_they_fit(penguins):
    parts = penguins.tree["properties"]
    dataset = parts["dataset"]["properties"]
    assert completed(dataset["loader"]) == {
        "penguins.PenguinLoader": "Loads a penguin as it was written down.",
        "KeySelector": "Selects inputs, outputs and sample weights by their record keys.",
        "barrage_mlflow.dataset.KeySelector": "Selects inputs, outputs and sample weights by "
        "their record keys.",
    }
    assert list(completed(dataset["transformer"])) == [
        "penguins.PenguinTransformer",
        "IdentityTransformer",
        "barrage_mlflow.dataset.IdentityTransformer",
    ]
    assert list(completed(dataset["augmentor"]["items"])) == ["penguins.jitter"]
    assert list(completed(parts["model"]["properties"]["network"])) == [
        "penguins.build_network",
        "sequential_from_config",
        "barrage_mlflow.model.sequential_from_config",
    ]
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
    tree = editor_schema("zoo")
    assert not {"zoo", "zoo.birds"} & set(sys.modules)
    jsonschema.Draft202012Validator.check_schema(tree)
    (record,) = caplog.records
    assert record.getMessage().startswith("zoo.broken is left out: ")
    assert of_zoo(tree) == ZOO_SCHEMA
    # As a network its params may serve placeholders, as a layer they may not.
    assert "additionalProperties" not in ZOO_SCHEMA["params"]["network:zoo.nets.makers.Net"]
    assert ZOO_SCHEMA["params"]["zoo.nets.makers.Net"]["additionalProperties"] is False


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
    assert next(iter(completed(transformer))) == "single.Näme"
    config = base_config()
    config["dataset"]["transformer"] = {"import": "single.Näme", "params": {"a": 1}}
    assert validators.errors(config) == {("$.dataset.transformer.params", "additionalProperties")}


@pytest.mark.parametrize(
    ("project", "message"),
    [
        ("penguin", r"no package or module 'penguin' .* path; did you mean 'penguins'\?"),
        ("no_such_thing", r"no package or module 'no_such_thing' in the working .* path"),
        ("zoo.bird", r"no package or module 'zoo\.bird' in 'zoo'; did you mean 'zoo\.birds'\?"),
        ("zoo.birds.Bird", r"no package or module 'zoo\.birds\.Bird' in 'zoo\.birds'"),
        (
            "./zoo.py",
            r"'\./zoo\.py' is no name of a package or module; write it as package\.module",
        ),
        ("my zoo", r"'my zoo' is no name of a package or module; .*"),
        ("", r"'' is no name of a package or module; .*"),
        ("zoo.broken", r"'zoo\.broken' cannot be read: .*line 1.*"),
        ("_json", r"'_json' cannot be read: .*"),
        ("empty", r"'empty' has no component: no class derived from .*"),
    ],
)
def test_what_has_no_schema(project, message, zoo, tmp_path):
    (tmp_path / "empty.py").write_text("VALUE = 3\n")
    with pytest.raises(ImportPathError, match=f"^{message}$"):
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
