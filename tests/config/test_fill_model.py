"""Placeholders filled in with the transformer's values and the network's own."""

import copy

import numpy as np
import pytest

from barrage_mlflow.config.placeholders import fill_model
from barrage_mlflow.errors import ConfigError


def config(params, outputs=()):
    return {
        "model": {"network": {"import": "my.network", "params": params}, "outputs": list(outputs)}
    }


def test_values_of_both_sources_keep_their_type_everywhere_in_the_model():
    table = np.arange(3)
    outputs = [{"name": "y", "metrics": [{"import": "MeanIoU", "params": {"n": "{{ classes }}"}}]}]
    layers = [{"table": "{{table}}", "k": "{{classes}}", "text": "{{classes}} x"}]
    given = config({"classes": 3, "layers": layers}, outputs)
    before = copy.deepcopy(given)
    filled = fill_model(given, {"table": table})
    assert filled["network"]["params"]["classes"] == 3
    assert filled["network"]["params"]["layers"][0]["k"] == 3
    assert filled["network"]["params"]["layers"][0]["table"] is table
    assert filled["network"]["params"]["layers"][0]["text"] == "{{classes}} x"
    assert filled["outputs"][0]["metrics"][0]["params"] == {"n": 3}
    assert given == before


def test_a_param_hands_a_value_on_under_its_own_name():
    assert fill_model(config({"size": "{{size}}"}), {"size": 7})["network"]["params"] == {"size": 7}


def test_params_that_use_each_other_are_worked_out_in_turn():
    params = {"whole": ["{{half}}", 2], "half": ["{{unit}}"], "copy": ["{{whole}}"]}
    filled = fill_model(config(params), {"unit": 1})
    assert filled["network"]["params"] == {"whole": [[1], 2], "half": [1], "copy": [[[1], 2]]}


def test_filled_values_are_not_looked_at_again():
    assert fill_model(config({}, ["{{a}}"]), {"a": "{{b}}"})["outputs"] == ["{{b}}"]


def test_a_name_in_both_is_a_fault():
    with pytest.raises(ConfigError, match="network_params") as caught:
        fill_model(config({"size": 3, "units": 2}), {"size": 7, "units": 1})
    first, second = map(str, caught.value.faults)
    assert first.startswith("$.model.network.params.size: the transformer's network_params ")
    assert second.startswith("$.model.network.params.units: the transformer's network_params ")


def test_a_circle_is_a_fault():
    with pytest.raises(ConfigError, match="circle") as caught:
        fill_model(config({"a": ["{{b}}"], "b": ["{{a}}"]}), {})
    assert str(caught.value.faults[0]) == (
        "$.model.network.params.a: expected a value that can be worked out, got placeholders in a "
        "circle; give one of the params as a plain value"
    )
