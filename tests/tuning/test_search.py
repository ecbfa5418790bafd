"""Search files: every fault is told, and ranges are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small import small_config

from barrage_mlflow.config.read import read_config
from barrage_mlflow.errors import ConfigError
from barrage_mlflow.tuning.search_file import Range, read_search, with_values

RATE = "solver.optimizer.learning_rate"
UNITS = "model.network.params.layers.1.params.units"
CONFIG = read_config(small_config())


def faults(search: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_search(search, CONFIG)
    return [str(fault) for fault in error.value.faults]


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (
            {"spce": {}},
            [
                "$: unknown key 'spce'; did you mean 'space'?",
                "$.spce: expected an object with at least 1 name, got 0",
            ],
        ),
        ({"space": {}}, ["$.space: expected an object with at least 1 name, got 0"]),
        (
            {"trials": 0, "pruner": "medium", "space": {RATE: 3}},
            [
                "$.trials: expected an integer ≥ 1, got 0",
                '$.pruner: expected "median" or "hyperband" or null, got "medium"; '
                'did you mean "median"?',
                '$.space["solver.optimizer.learning_rate"]: expected a list with at least 1 item '
                "or an object, got 3",
            ],
        ),
        (
            {"space": {RATE: {"low": 0.1, "hihg": 0.2}}},
            [
                "$.space[\"solver.optimizer.learning_rate\"]: unknown key 'hihg'; did you mean "
                "'high'?",
            ],
        ),
        (
            {
                "metric": "val_acuracy",
                "space": {
                    RATE: {"low": 0.2, "high": 0.1},
                    "solver.epochs": {"low": 1},
                    "solver.steps": {"low": 0.0, "high": 5, "log": True},
                    "solver.batch_size": [0, 32],
                    "solver.optimiser.params.beta_1": {"low": 0.5, "high": 0.9},
                    "dataset.seed": {"values": ["x"], "when": {"solver.batch_size": [32]}},
                },
            },
            [
                "$.metric: there is no metric 'val_acuracy'; did you mean 'val_accuracy'?",
                '$.space["solver.optimizer.learning_rate"]: expected low to be less than high, got '
                "0.2 and 0.1",
                '$.space["solver.epochs"]: expected low and high, or values; write one of the two',
                '$.space["solver.steps"]: log takes a low above 0 and no step; leave one of them '
                "out",
                '$.space["solver.batch_size"]: the config refuses 0: expected an integer ≥ 1, got '
                "0",
                '$.space["solver.optimiser.params.beta_1"]: the config refuses 0.5: unknown key '
                "'optimiser'; did you mean 'optimizer'?",
                '$.space["dataset.seed"]: the config refuses "x": expected an integer ≥ 0 and '
                '≤ 4294967295, got "x"',
            ],
        ),
        (
            {
                "space": {
                    "solver.epochs": {"low": 1, "high": 5, "step": 0.5},
                    UNITS: {"values": [4, 8], "step": 4},
                    RATE: {"low": 0.1, "high": 0.5, "step": 0.3},
                    "solver.optimizer.import": ["Adam", "SGD"],
                    "solver.optimizer.params.momentum": {
                        "low": 0.0,
                        "high": 0.9,
                        "when": {"solver.optimizer.import": "SDG", "solver.bach_size": [16]},
                    },
                }
            },
            [
                '$.space["solver.epochs"].step: expected whole steps of whole numbers, got 0.5',
                f'$.space["{UNITS}"]: values take neither step nor log; leave them out',
                f'$.space["{RATE}"].step: steps of 0.3 do not lead from 0.1 to 0.5',
                '$.space["solver.optimizer.params.momentum"].when["solver.optimizer.import"]: the '
                'space of solver.optimizer.import has no "SDG"',
                '$.space["solver.optimizer.params.momentum"].when["solver.bach_size"]: the config '
                "refuses 16: unknown key 'bach_size'; did you mean 'batch_size'?",
            ],
        ),
        (
            {
                "space": {
                    "solver.batch_size": {"values": [16], "when": {"solver.epochs": 3}},
                    "solver.epochs": {"values": [3], "when": {"solver.batch_size": 16}},
                }
            },
            [
                "$.space: these values wait for each other: solver.batch_size, solver.epochs, "
                "solver.batch_size"
            ],
        ),
    ],
)
def test_every_fault_is_told(search: Any, expected: list[str]) -> None:
    assert faults(search) == expected


def test_trials_from_the_command_line_are_checked_too() -> None:
    with pytest.raises(
        ConfigError, match=r"^--trials  \$\.trials: expected an integer ≥ 1, got 0$"
    ):
        read_search({"space": {RATE: [0.1, 0.2]}}, CONFIG, trials=0)


def test_a_fault_has_its_place() -> None:
    Path("search.json").write_text('{\n  "space": {"solver.epochs": [0]}\n}', "utf-8")
    assert faults("search.json") == [
        'search.json:2:30  $.space["solver.epochs"]: the config refuses 0: expected an integer ≥ 1,'
        " got 0"
    ]


def test_what_is_left_out_is_filled_in() -> None:
    space = {
        RATE: {"low": 1, "high": 2},
        "solver.epochs": {"low": 1, "high": 3},
        UNITS: {"low": 4, "high": 8},
        "model.outputs.0.loss_weight": {"low": 1, "high": 2},
        "solver.batch_size": [8, 16],
    }
    found = read_search({"space": space}, CONFIG, trials=5)
    assert found.data == {
        "space": space,
        "trials": 5,
        "seed": 0,
        "sampler": "tpe",
        "pruner": "median",
        "metric": "val_loss",
        "direction": "minimize",
    }
    assert found.space == {
        RATE: Range(low=1, high=2),  # the config takes 1.5 too
        "solver.epochs": Range(low=1, high=3, is_whole=True),
        UNITS: Range(low=4, high=8, is_whole=True),
        "model.outputs.0.loss_weight": Range(low=1, high=2),
        "solver.batch_size": Range(values=[8, 16]),
    }
    up = read_search({"metric": "val_accuracy", "space": space}, CONFIG)
    assert up.data["direction"] == "maximize"


def test_a_range_with_steps_holds_what_lies_on_them() -> None:
    steps = Range(low=0.1, high=0.9, step=0.2)
    held = [value for value in (0.1, 0.2, 0.3, 0.7, 0.9, 1.1, True, "0.3") if steps.holds(value)]
    assert held == [0.1, 0.3, 0.7, 0.9]


def test_what_others_depend_on_is_drawn_first() -> None:
    space = {  # a path may be written as messages have it
        RATE: {"values": [0.1], "when": {"$.solver.batch_size": 8}},
        "$.solver.batch_size": {"values": [8, 16], "when": {"solver.epochs": [2]}},
        "solver.epochs": [1, 2],
    }
    found = read_search({"space": space}, CONFIG)
    assert [*found.space] == ["solver.epochs", "solver.batch_size", RATE]


def test_objects_are_drawn_before_what_is_in_them() -> None:
    loss, rate = "model.outputs.0.loss", "model.outputs.0.loss.params.from_logits"
    blocks = [{"import": "mse"}, {"import": "mae"}]
    space = {
        "solver.batch_size": {"values": [8, 16], "when": {"model.outputs[0].loss": blocks[1:]}},
        "$.model.outputs[0].loss": blocks,
    }
    search = read_search({"space": space}, CONFIG)
    assert [*search.space] == ["model.outputs[0].loss", "solver.batch_size"]
    for block in blocks:
        data = with_values(CONFIG, {loss: block}).data
        assert search.is_asked("solver.batch_size", data) == (block == blocks[1])
    assert with_values(CONFIG, {rate: "1"}).data["model"]["outputs"][0]["loss"] == {
        "import": "sparse_categorical_crossentropy", "params": {"from_logits": "1"},
    }  # fmt: skip


def test_a_value_that_what_the_config_has_elsewhere_does_not_go_with() -> None:
    momentum = "solver.optimizer.params.momentum"
    config = with_values(CONFIG, {"solver.optimizer": {"import": "SGD", "learning_rate": 0.1}})
    space: dict[str, Any] = {
        "solver.optimizer.import": ["SGD", "Adam"],
        momentum: {"low": 0.0, "high": 0.9, "when": {"solver.optimizer.import": "SGD"}},
    }
    assert read_search({"space": space}, config).space
    with pytest.raises(ConfigError) as error:
        read_search({"space": space}, with_values(config, {momentum: 0.9}))
    (fault,) = error.value.faults
    assert fault.message == (
        "the config refuses \"Adam\": $.solver.optimizer.params: unknown param 'momentum'"
    )


def test_conditions_are_of_values_that_are_drawn_and_of_defaults() -> None:
    when = {"solver.optimizer.import": ["SGD", "RMSprop"], "solver.epochs": 3}
    momentum = "solver.optimizer.params.momentum"
    search = read_search({"space": {momentum: {"low": 0.1, "high": 0.9, "when": when}}}, CONFIG)
    data = json.loads(json.dumps(CONFIG.data))
    assert not search.is_asked(momentum, data)
    data["solver"]["optimizer"] = {"import": "SGD", "learning_rate": 0.1}
    assert search.is_asked(momentum, data)
    data["solver"]["epochs"] = 4
    assert not search.is_asked(momentum, data)
