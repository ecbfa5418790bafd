"""The schema for editors of a project: what is read of its code, and what cannot be."""

import json
import sys

import jsonschema
import pytest
from schema_parts import GOLDEN, Validators, base_config, completed

from barrage_mlflow.config.editor_schema import editor_schema
from barrage_mlflow.errors import ImportPathError

pytestmark = pytest.mark.usefixtures("importable")

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
        editor_schema(project)
