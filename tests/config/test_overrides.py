"""Overrides: typed by the schema, started from defaults, faults at their own place."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recipes import MINIMAL

from barrage_mlflow.config import find_faults, read_config, resolve_config
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.paths import read_path
from barrage_mlflow.config.read import read_json
from barrage_mlflow.errors import ConfigError


def changed(overrides):
    document = read_config(MINIMAL)
    after = apply_overrides(document, overrides)
    assert document.data == MINIMAL
    assert after.faults == ()
    return after.data


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("solver.epochs", "3", 3),
        ("solver.epochs", "three", "three"),
        ("solver.epochs", "true", True),
        ("solver.optimizer.learning_rate", "1e-3", 1e-3),
        ("solver.optimizer.learning_rate", "nan", "nan"),
        ("solver.optimizer.learning_rate", "[1]", [1]),
        ("solver.optimizer.learning_rate", '{"import": "CosineDecay"}', {"import": "CosineDecay"}),
        ("solver.optimizer.params", '{"beta_1": 0.5}', {"beta_1": 0.5}),
        ("solver.optimizer.params.nesterov", "true", True),
        ("solver.optimizer.params.name", '"3"', "3"),
        ("dataset.sample_count", "3", "3"),
        ("model.outputs.0.sample_weight_mode", "null", None),
        ("model.outputs.0.sample_weight_mode", "temporal", "temporal"),
        ("model.outputs.0.loss_weight", "2", 2),
        ("model.outputs.0.class_weight", "balanced", "balanced"),
        ("model.outputs.0.class_weight", '{"1": 9}', {"1": 9}),
        ("model.outputs.0.class_weight.1", "9", 9),
        ("model.network.params.weights", "null", None),
        ("services.tensorboard.write_graph", "false", False),
        ("no.such.key", "3", 3),
        ("model.outputs[0].loss_weight", "2", 2),
        ("$.model.outputs[0].loss_weight", "2", 2),
        ('dataset.loader.params.inputs["odd key"]', "a", "a"),
    ],
)
def test_text_is_read_as_what_the_schema_wants(key, text, value):
    data = changed({key: text})
    for part in read_path(key):
        data = data[int(part) if isinstance(data, list) else part]
    assert data == value
    assert type(data) is type(value)


def test_other_values_are_taken_as_they_are():
    assert changed({"solver": {"epochs": 3, "x": (1, 2)}})["solver"] == {"epochs": 3, "x": [1, 2]}
    value = [1]
    data = changed({"model.network.params.a": value})
    value.append(2)
    assert data["model"]["network"]["params"] == {"a": [1]}


def test_a_left_out_block_starts_from_its_default():
    assert changed({"services.best_checkpoint.mode": "max"})["services"] == {
        "best_checkpoint": {"monitor": "val_loss", "mode": "max"}
    }
    assert changed({"solver.optimizer.learning_rate": "0.5"})["solver"] == {
        "optimizer": {"import": "Adam", "learning_rate": 0.5, "params": {}}
    }
    assert changed({"solver.learning_rate_reducer.factor": "0.5"})["solver"] == {
        "learning_rate_reducer": {"factor": 0.5}
    }


def test_the_index_after_the_last_adds_an_item():
    overrides = {
        "model.outputs.0.metrics.0.import": "mae",
        "model.outputs.0.metrics.1.import": "AUC",
        "model.outputs.0.metrics.1.params.num_thresholds": "3",
    }
    assert changed(overrides)["model"]["outputs"][0]["metrics"] == [
        {"import": "mae"},
        {"import": "AUC", "params": {"num_thresholds": 3}},
    ]


def test_an_overridden_value_stands_at_its_override():
    text = json.dumps({**MINIMAL, "solver": {"optimizer": {"import": "Adam"}, "steps": 2}})
    document = read_json(text, "c.json")
    document = apply_overrides(
        document, {"solver.optimizer": {"import": 3}, "solver.epochs": "0", "solver.stps": 1}
    )
    assert document.place(("solver", "optimizer", "import")) == "--solver.optimizer"
    assert document.place(("solver", "steps")).startswith("c.json:1:")
    assert [str(fault) for fault in find_faults(document)] == [
        "--solver.optimizer  $.solver.optimizer: missing key 'learning_rate'; "
        "give all of 'import', 'learning_rate', or leave the block out",
        "--solver.optimizer  $.solver.optimizer.import: expected a non-empty string, got 3",
        "--solver.epochs  $.solver.epochs: expected an integer ≥ 1, got 0",
        "--solver.stps  $.solver: unknown key 'stps'; did you mean 'steps'?",
    ]


def test_an_unknown_key_suggests_the_nearest():
    with pytest.raises(ConfigError, match="epoch") as caught:
        resolve_config(MINIMAL, {"solver.epoch": "3"})
    assert str(caught.value) == (
        "--solver.epoch  $.solver: unknown key 'epoch'; did you mean 'epochs'?"
    )


def test_overrides_that_lead_nowhere_are_reported_with_the_other_faults():
    overrides = {
        "solver.epochs": 0,
        "solver.epochs.more": 1,
        "model.outputs.2.name": "z",
        "model.outputs.first.name": "z",
        "dataset.seed": np.int64(3),
    }
    with pytest.raises(ConfigError, match="epochs") as caught:
        resolve_config(MINIMAL, overrides)
    assert str(caught.value).splitlines() == [
        "--solver.epochs  $.solver.epochs: expected an integer ≥ 1, got 0",
        "--solver.epochs.more  $.solver.epochs: expected an object or a list to set 'more' in, "
        "got 0",
        "--model.outputs.2.name  $.model.outputs: expected an index from 0 to 1, got '2'",
        "--model.outputs.first.name  $.model.outputs: expected an index from 0 to 1, got 'first'",
        "--dataset.seed  $.dataset.seed: expected a JSON value, got a Python int64; "
        "convert it with .item() or .tolist()",
    ]


def test_a_config_that_is_no_object_is_left_to_the_checks():
    document = apply_overrides(read_json("[]", "c.json"), {"solver.epochs": 3})
    assert document.data == []
    assert [str(fault) for fault in find_faults(document)] == [
        "c.json:1:1  $: expected an object, got a list"
    ]


KEYS = st.lists(
    st.sampled_from(["solver", "epochs", "model", "outputs", "0", "outputs[0]", "x[", "]", ""]),
    max_size=5,
)


@given(st.dictionaries(KEYS.map(".".join), st.text() | st.integers(), max_size=4))
def test_any_override_is_taken_or_reported(overrides):
    document = apply_overrides(read_config(MINIMAL), overrides)
    assert all(fault.place.startswith("--") for fault in document.faults)
    json.dumps(document.data)
