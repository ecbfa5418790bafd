"""The data of the cases, made from seeds, and the small network that most of them train."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from harness import ROOT, Bench

if TYPE_CHECKING:
    import keras

FEATURES = 20
COLUMNS = [f"c{index}" for index in range(FEATURES)]
ROW_GROUP = 1_048_576
"""Records in a row group, as pyarrow has it unless it is told otherwise."""


def table(bench: Bench, records: int, seed: int, row_group: int = ROW_GROUP) -> str:
    """The path of a Parquet file of 20 float32 columns ``c0`` … and a float32 target ``y``."""
    name = f"table-{records}.parquet"
    return bench.made(name, make_table, records=records, seed=seed, row_group=row_group)


def few(bench: Bench) -> str:
    """The path of a table of 1,000 records."""
    return table(bench, 1_000, seed=2)


def make_table(path: Path, records: int, seed: int, row_group: int) -> None:
    """Write such a file, row group by row group: it may be larger than memory."""
    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(0).normal(size=FEATURES).astype("float32") / FEATURES**0.5

    def part(count: int) -> pa.Table:
        x = generator.standard_normal((count, FEATURES), "float32")
        y = np.tanh(x @ weights) + 0.1 * generator.standard_normal(count, "float32")
        return pa.table([*x.T.copy(), y], names=[*COLUMNS, "y"])

    # A dictionary of numbers that never repeat makes a row group half as large again.
    with pq.ParquetWriter(path, part(0).schema, use_dictionary=False) as writer:
        for start in range(0, records, row_group):
            writer.write_table(part(min(row_group, records - start)))


def make_penguins(path: Path, records: int) -> None:
    """Write a CSV file of the penguins' train records, over and over again."""
    birds = pd.read_csv(ROOT / "examples" / "penguins" / "train.csv")
    pd.concat([birds] * (records // len(birds) + 1))[:records].to_csv(path, index=False)


def make_csv(path: Path, records: int) -> None:
    """Write a CSV file of 10 columns of fractions, 5 of whole numbers, 4 of words, 1 of truth."""
    generator = np.random.default_rng(0)
    columns = {f"f{index}": generator.normal(size=records).round(6) for index in range(10)}
    columns |= {f"w{index}": generator.integers(0, 100_000, records) for index in range(5)}
    words = [f"word{number}" for number in range(200)]
    columns |= {f"s{index}": generator.choice(words, records) for index in range(4)}
    columns["truth"] = generator.random(records) < 0.5
    pd.DataFrame(columns).to_csv(path, index=False)


def read_arrays(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a table of numbers: ``(records, 20)`` and ``(records,)`` float32."""
    columns = pq.read_table(path)
    x = np.stack([columns[name].to_numpy() for name in COLUMNS], axis=1)
    return x, columns["y"].to_numpy()


def mlp_config(batch_size: int, epochs: int, units: int = 64, **dataset: Any) -> dict[str, Any]:
    """The config of an MLP on such a table, with early stopping that never stops it.

    Args:
        batch_size: records in a batch.
        epochs: how many.
        units: of its two hidden layers.
        dataset: further keys of the dataset block.
    """
    hidden = {"import": "Dense", "params": {"units": units, "activation": "relu"}}
    layers = [
        {"import": "Input", "params": {"shape": [FEATURES], "name": "x"}},
        *(hidden, hidden),
        {"import": "Dense", "params": {"units": 1, "name": "y"}},
    ]
    keys = {"inputs": {"x": COLUMNS}, "outputs": {"y": "y"}}
    return {
        "dataset": {"loader": {"import": "KeySelector", "params": keys}, "seed": 7, **dataset},
        "model": {
            "network": {"import": "sequential_from_config", "params": {"layers": layers}},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
        "solver": {"batch_size": batch_size, "epochs": epochs},
        "services": patience(epochs),
    }


def features_config(batch_size: int, epochs: int) -> dict[str, Any]:
    """The same network on features, one number a column."""
    plain = mlp_config(batch_size, epochs)
    features = {"features": dict.fromkeys(COLUMNS, "number"), "targets": {"y": "number"}}
    parts = {
        "loader": {"import": "FeatureLoader", "params": features},
        "transformer": {"import": "FeatureTransformer"},
    }
    network = {"import": "feature_network", "params": {"units": [64, 64], "dropout": 0.0}}
    dataset, model = {**plain["dataset"], **parts}, {**plain["model"], "network": network}
    return {**plain, "dataset": dataset, "model": model}


def patience(epochs: int) -> dict[str, Any]:
    """The services section of a training that goes through all its epochs, and no further."""
    patient = {"mode": "min", "patience": epochs, "min_delta": 0}
    return {
        "train_early_stopping": {"monitor": "loss", **patient},
        "validation_early_stopping": {"monitor": "val_loss", **patient},
        "evaluation": False,
    }


def build_mlp(**compiling: Any) -> keras.Model:
    """The same network with 64 units, compiled with the same loss and optimizer."""
    import keras

    layers = keras.layers
    hidden = [layers.Dense(64, activation="relu") for _ in range(2)]
    network = keras.Sequential([keras.Input((FEATURES,)), *hidden, layers.Dense(1)])
    network.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", **compiling)
    return network


def stopwatch() -> Any:
    """A Keras callback that times the training of each epoch, without its validation.

    Its ``begins`` and ``ends`` are seconds of ``time.perf_counter``, its ``steady`` the seconds of
    each epoch but the first, in which functions are traced.
    """
    import keras

    class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.begins: list[float] = []
            self.ends: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begins.append(time.perf_counter())

        def on_test_begin(self, logs: Any = None) -> None:
            self.ends.append(time.perf_counter())

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if len(self.ends) < len(self.begins):  # nothing was validated
                self.ends.append(time.perf_counter())

        @property
        def steady(self) -> list[float]:
            return [end - begin for begin, end in zip(self.begins, self.ends, strict=True)][1:]

    return Stopwatch()


def train(path: str, table: str) -> None:
    """Train a model to score with, in an artifact folder; how well it does is no matter."""
    from barrage_mlflow import BarrageModel

    BarrageModel(path).train(mlp_config(256, epochs=1), table, table)
