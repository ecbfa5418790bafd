"""The small tabular network, as a config and as Keras code, and what times its epochs."""

from __future__ import annotations

import time
from typing import Any

import keras
from makers import COLUMNS, FEATURES


def mlp_config(batch_size: int, epochs: int, **dataset: Any) -> dict[str, Any]:
    """The config of an MLP 64-64 on the columns of :func:`makers.make_table`.

    Args:
        batch_size: records in a batch.
        epochs: how many.
        dataset: further keys of the dataset block.
    """

    def dense(units: int, **params: Any) -> dict[str, Any]:
        return {"import": "Dense", "params": {"units": units, **params}}

    layers = [
        {"import": "Input", "params": {"shape": [FEATURES], "name": "x"}},
        dense(64, activation="relu"),
        dense(64, activation="relu"),
        dense(1, name="y"),
    ]
    return {
        "dataset": {
            "loader": {
                "import": "KeySelector",
                "params": {"inputs": {"x": COLUMNS}, "outputs": {"y": "y"}},
            },
            "seed": 7,
            **dataset,
        },
        "model": {
            "network": {"import": "sequential_from_config", "params": {"layers": layers}},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
        "solver": {"batch_size": batch_size, "epochs": epochs},
    }


def build_mlp(**compiling: Any) -> keras.Model:
    """The same network, compiled with the same loss and optimizer.

    Args:
        compiling: further arguments of ``compile``.
    """
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((FEATURES,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(1),
        ]
    )
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", **compiling)
    return network


def read_arrays(path: str) -> tuple[Any, Any]:
    """Read a table of :func:`makers.make_table`: ``(records, 20)`` and ``(records,)`` float32."""
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    x = np.stack([table[name].to_numpy() for name in COLUMNS], axis=1)
    return x, table["y"].to_numpy()


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]
    """Times the training of each epoch: from its begin to its validation, or its end.

    Attributes:
        begins: when each epoch began, in seconds of ``time.perf_counter``.
        ends: when its last step was done.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begins: list[float] = []
        self.ends: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin."""
        self.begins.append(time.perf_counter())

    def on_test_begin(self, logs: Any = None) -> None:
        """End, where there is a validation."""
        self._end()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """End, where there is none."""
        self._end()

    def _end(self) -> None:
        if len(self.ends) < len(self.begins):
            self.ends.append(time.perf_counter())

    @property
    def steady(self) -> list[float]:
        """Seconds of each epoch but the first, in which functions are traced."""
        times = [end - begin for begin, end in zip(self.begins, self.ends, strict=True)]
        return times[1:]
