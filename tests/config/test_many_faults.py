"""Faults at several places of one config: each is told by itself, in the order of the text."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from recipes import RECIPES, written

from barrage_mlflow.config import add_project_path, find_faults, read_config
from barrage_mlflow.config.paths import show_path, value_at


def sound_config() -> dict[str, Any]:
    """A recipe with a block more of each kind that a fault is planted in."""
    config = copy.deepcopy(RECIPES["series"])
    config["dataset"]["augmentor"] = [
        {"import": "my_project.augment.shift", "params": {"pixels": 2}},
        {"import": "my_project.augment.add_noise", "params": {"deviation": 0.05}},
        {"import": "my_project.augment.shift", "params": {"pixels": 3}},
    ]
    for name in ("stock", "orders"):
        output = {"name": name, "loss": {"import": "mse"}, "loss_weight": 1.0}
        config["model"]["outputs"].append(output)
    config["solver"]["optimizer"]["learning_rate"] = 0.01
    reducer = {"monitor": "val_loss", "mode": "min", "patience": 5, "factor": 0.5}
    config["solver"]["learning_rate_reducer"] = reducer
    config["services"]["tensorboard"] = {}
    return config


# Where a value is put that makes a fault, and the value. A key that the sound config has not is at
# fault itself. None of them makes another moot.
FAULTS: dict[str, Any] = {
    "dataset.loader.import": "my_project.loaders.Zebra",
    "dataset.augmentor.0": {"import": "my_project.augment.shift"},
    "dataset.augmentor.1.params": [],
    "dataset.augmentor.2": "my_project.augment.shift",
    "dataset.zebra": 3,
    "model.network.params.dropout": "many",
    "model.outputs.0.loss.params.delta": "{{plover}}",
    "model.outputs.0.sample_weight_mode": "weekly",
    "model.outputs.1.loss.params.zebra": 1,
    "model.outputs.2.name": "demand",
    "model.outputs.2.loss.import": "Quux",
    "model.outputs.3": {"name": "orders", "loss": {"import": "mse"}},
    "solver.batch_size": 0,
    "solver.epohcs": 5,
    "solver.optimizer.params.learning_rate": 0.1,
    "solver.optimizer.learning_rate": {
        "import": "ExponentialDecay",
        "params": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    },
    "services.best_checkpoint.monitor": "val_zebra",
    "services.tensorboard": [],
    "services.train_early_stopping": {"monitor": "loss", "mode": "min", "patience": 6},
    "services.validation_early_stopping.monitor": "loss",
}


def plant(names: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """The text of a config with these faults, and place and path of each as they must be told."""
    config = sound_config()
    paths = []
    for name in names:
        *parents, last = (int(part) if part.isdigit() else part for part in name.split("."))
        holder = value_at(config, tuple(parents))
        if isinstance(holder, dict) and last not in holder:
            paths.append(((*parents, last, "key"), tuple(parents)))
        else:
            paths.append(((*parents, last), (*parents, last)))
        holder[last] = FAULTS[name]
    text, spots = written(config)
    told = sorted((spots[spot], show_path(path)) for spot, path in paths)
    return text, [(f"config.json:{line}:{column}", path) for (line, column), path in told]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 13, len(FAULTS)])
def test_so_many_faults_give_so_many_lines_in_the_order_of_the_text(in_project, count):
    chance = random.Random(count)
    for _ in range(40):
        text, expected = plant(chance.sample(sorted(FAULTS), count))
        Path("config.json").write_text(text, "utf-8")
        document = read_config("config.json")
        add_project_path(document)
        faults = find_faults(document)
        assert [(fault.place, fault.path) for fault in faults] == expected
