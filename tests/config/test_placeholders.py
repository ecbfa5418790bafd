"""Placeholders: found, filled with their type kept, checked as far as they are known."""

import copy

import numpy as np
import pytest
from recipes import MINIMAL

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config.placeholders import fill_model, placeholder_names
from barrage_mlflow.errors import ConfigError

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


def model(params, outputs=()):
    return {
        "model": {"network": {"import": "my.network", "params": params}, "outputs": list(outputs)}
    }


def test_values_of_both_sources_keep_their_type_everywhere_in_the_model():
    table = np.arange(3)
    outputs = [{"name": "y", "metrics": [{"import": "MeanIoU", "params": {"n": "{{ classes }}"}}]}]
    layers = [{"table": "{{table}}", "k": "{{classes}}", "text": "{{classes}} x"}]
    given = model({"classes": 3, "layers": layers}, outputs)
    before = copy.deepcopy(given)
    filled = fill_model(given, {"table": table})
    assert filled["network"]["params"]["classes"] == 3
    assert filled["network"]["params"]["layers"][0]["k"] == 3
    assert filled["network"]["params"]["layers"][0]["table"] is table
    assert filled["network"]["params"]["layers"][0]["text"] == "{{classes}} x"
    assert filled["outputs"][0]["metrics"][0]["params"] == {"n": 3}
    assert given == before


def test_a_param_hands_a_value_on_under_its_own_name():
    assert fill_model(model({"size": "{{size}}"}), {"size": 7})["network"]["params"] == {"size": 7}


def test_params_that_use_each_other_are_worked_out_in_turn():
    params = {"whole": ["{{half}}", 2], "half": ["{{unit}}"], "copy": ["{{whole}}"]}
    filled = fill_model(model(params), {"unit": 1})
    assert filled["network"]["params"] == {"whole": [[1], 2], "half": [1], "copy": [[[1], 2]]}


def test_filled_values_are_not_looked_at_again():
    assert fill_model(model({}, ["{{a}}"]), {"a": "{{b}}"})["outputs"] == ["{{b}}"]


def test_a_name_in_both_is_a_fault():
    with pytest.raises(ConfigError, match="network_params") as caught:
        fill_model(model({"size": 3, "units": 2}), {"size": 7, "units": 1})
    first, second = map(str, caught.value.faults)
    assert first.startswith("$.model.network.params.size: the transformer's network_params ")
    assert second.startswith("$.model.network.params.units: the transformer's network_params ")


def test_every_circle_is_a_fault():
    with pytest.raises(ConfigError, match="circle") as caught:
        fill_model(model({"a": ["{{b}}"], "b": ["{{a}}"], "c": "{{d}}", "d": "{{c}}", "e": 1}), {})
    assert list(map(str, caught.value.faults)) == [
        f"$.model.network.params.{name}: expected a value that can be worked out, got placeholders "
        "in a circle; give one of the params as a plain value"
        for name in ("a", "b", "c", "d")
    ]
