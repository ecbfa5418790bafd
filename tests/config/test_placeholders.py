"""Placeholders: found, filled with their type kept, checked as far as they are known."""

import copy

import pytest
from recipes import MINIMAL

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config.placeholders import placeholder_names

TRANSFORMER = """
from barrage_mlflow.dataset import RecordTransformer

class Silent(RecordTransformer):
    fit = transform = postprocess = save = load = lambda self, *args: None

class Speaking(Silent):
    network_param_names = ["vocabulary"]

class Odd(Silent):
    network_param_names = "vocabulary"

def factory(mode, loader):
    return Speaking(mode, loader)

def network(vocabulary, depth): ...
"""


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "speakers.py").write_text(TRANSFORMER)
    monkeypatch.syspath_prepend(str(tmp_path))


def faults(transformer, params, **output):
    data = copy.deepcopy(MINIMAL)
    data["model"]["network"]["params"] = params
    data["model"]["outputs"][0] |= output
    if transformer:
        data["dataset"]["transformer"] = {"import": transformer}
    return [str(fault) for fault in find_faults(read_config(data))]


def test_what_is_a_placeholder():
    assert placeholder_names(["{{n}}", "{{ m }}", "{{\tk\n}}", "{{n}}"]) == ["n", "m", "k"]
    for text in ("{n}", "{{n}} ", "a{{n}}", "{{n}}{{n}}", "{{}}", "{{a b}}", "{{1}}"):
        assert placeholder_names({"a": text, text: 1}) == []


UNKNOWN = "$.model.network.params.alpha: unknown placeholder 'vocabulry', known: {known}; {remedy}"
OWN_ALONE = [UNKNOWN.format(known="'alpha'", remedy="define it in model.network.params")]
NEAR = [UNKNOWN.format(known="'alpha', 'vocabulary'", remedy="did you mean 'vocabulary'?")]


@pytest.mark.parametrize(
    ("transformer", "name", "expected"),
    [
        (None, "vocabulry", OWN_ALONE),
        ("IdentityTransformer", "vocabulry", OWN_ALONE),
        # One that declares its names is checked; of others they are not known yet.
        ("speakers.Speaking", "vocabulry", NEAR),
        ("speakers.Speaking", "vocabulary", []),
        ("speakers.Silent", "anything", []),
        ("speakers.Odd", "anything", []),
        ("speakers.factory", "anything", []),
        ("speakers.NoSuch", "anything", []),
    ],
)
def test_names_are_those_of_the_network_and_of_the_transformer(transformer, name, expected):
    found = faults(transformer, {"alpha": f"{{{{{name}}}}}"})
    assert [fault for fault in found if "placeholder" in fault] == expected


@pytest.mark.parametrize(
    ("transformer", "missing"),
    [
        ("speakers.Silent", []),
        ("speakers.Speaking", ["$.model.network: missing param 'depth'"]),
        ("IdentityTransformer", ["$.model.network: missing params 'vocabulary', 'depth'"]),
    ],
)
def test_a_param_that_the_network_requires_may_be_learnt(transformer, missing):
    data = copy.deepcopy(MINIMAL)
    data["model"]["network"] = {"import": "speakers.network"}
    data["dataset"]["transformer"] = {"import": transformer}
    assert [str(fault) for fault in find_faults(read_config(data))] == missing


def test_placeholders_may_stand_for_plain_values_of_the_model_section():
    params = {"alpha": 1, "name": "{{name}}"}
    output = {
        "name": "{{alpha}}",
        "loss": {"import": "{{alpha}}"},
        "loss_weight": "{{alpha}}",
        "sample_weight_mode": "{{alpha}}",
        "metrics": [{"import": "{{alpha}}"}],
    }
    assert faults("speakers.Silent", params, **output) == []
