"""A network and records for tests of the training loop, apart from any config."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.training.epochs import run_epochs
from barrage_mlflow.training.steps import build_variables
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.workspace.history import History

BATCH = 8


class Batches:
    """Batches of fixed records in a fixed order; the last may be short."""

    batch_size = BATCH

    def __init__(self, records, features=4, seed=0, weights=True):
        generator = np.random.default_rng(seed)
        self.x = {"x": generator.normal(size=(records, features)).astype("float32")}
        self.y = {
            "a": generator.integers(0, 2, (records, 1)).astype("float32"),
            "b": generator.integers(0, 3, (records, 1)),
        }
        self.w = {name: generator.random(records).astype("float32") for name in self.y}
        self.data = (self.x, self.y, self.w) if weights else (self.x, self.y)
        self.draws = records
        self.steps = math.ceil(records / BATCH)
        self.epochs = []
        self.closed = 0

    def __len__(self):
        return self.draws

    def __iter__(self):
        for start in range(0, len(self.x["x"]), BATCH):
            yield tuple(
                {name: array[start : start + BATCH] for name, array in part.items()}
                for part in self.data
            )

    def epoch(self, epoch, start=0):
        self.epochs.append(epoch)
        try:
            yield from list(self)[start:]
        finally:
            self.closed += 1


class Noise(keras.layers.Layer):
    """Draws from Keras's global generator, in validation too."""

    def call(self, x):
        return x + keras.random.normal((1, 8)) * 0.1


class Objective:
    """Takes targets and weights as they are."""

    def conform(self, y, w=None):
        return y, w


def build_network(seed=1, dropout=0.3, metrics=None, layer=None, **compile_args):
    keras.utils.set_random_seed(seed)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, "relu", kernel_regularizer="l2")(x)
    hidden = keras.layers.Dropout(dropout)(keras.layers.BatchNormalization()(hidden))
    hidden = layer(hidden) if layer else hidden
    outputs = {
        "a": keras.layers.Dense(1, "sigmoid", name="a")(hidden),
        "b": keras.layers.Dense(3, "softmax", name="b")(hidden),
    }
    network = keras.Model({"x": x}, outputs)
    network.compile(
        **{
            "optimizer": keras.optimizers.Adam(0.01),
            "loss": {"a": "mse", "b": "sparse_categorical_crossentropy"},
            "loss_weights": {"a": 1.0, "b": 0.5},
            "weighted_metrics": metrics or {"a": ["AUC"], "b": ["accuracy"]},
            **compile_args,
        }
    )
    return network


def small_network(units=3, optimizer="adam", dtype="float32"):
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(units, dtype=dtype)(x))
    network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(hidden)})
    network.compile(optimizer, loss={"y": "mse"})
    network.optimizer.build(network.trainable_variables)
    return network


def run(
    network: keras.Model,
    train: Any,
    validation: Any,
    epochs: int,
    callbacks: Any = (),
    history: History | None = None,
    **kwargs: Any,
) -> list[dict[str, float]]:
    """Train; return the metrics of each epoch, those of the history before included."""
    if history is None:
        history = History(Path("metrics.jsonl"))
    build_variables(network, next(iter(validation)))
    if not any(isinstance(each, ResumeCheckpoint) for each in callbacks):
        callbacks = [*callbacks, ResumeCheckpoint(Path())]
    options = {"stop": StopRequest(), **kwargs}
    run_epochs(network, train, validation, epochs, callbacks, Objective(), history, **options)
    return [epoch.metrics for epoch in history.epochs()]


def history_of(folder: Path) -> History:
    """The metrics that a folder has."""
    return History(folder / "metrics.jsonl")


def same(left, right):
    """Whether arrays are alike, one by one."""
    return len(left) == len(right) and all(map(np.array_equal, left, right))


def services(**blocks):
    """A config's section, as far as services need one."""
    stopping = {"mode": "min", "patience": 10, "min_delta": 1e-5}
    return {
        "solver": {},
        "services": {
            "best_checkpoint": {"monitor": "val_loss", "mode": "min"},
            "tensorboard": {},
            "train_early_stopping": {"monitor": "loss", **stopping},
            "validation_early_stopping": {"monitor": "val_loss", **stopping},
            **blocks,
        },
    }


class Recorder(keras.callbacks.Callback):
    """Keeps every call in order: name, position and logs."""

    def __init__(self):
        super().__init__()
        self.calls = []

    @property
    def names(self):
        return [call[0] for call in self.calls]


def _recording(name):
    def method(self, *args, **kwargs):
        *position, logs = (*args, *kwargs.values())
        self.calls.append((name, *position, logs))

    return method


for _name in dir(keras.callbacks.Callback):
    if _name.startswith(("on_train", "on_test", "on_epoch")):
        setattr(Recorder, _name, _recording(_name))


def weights(network):
    return network.get_weights()
