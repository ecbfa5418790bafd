"""Makes train batches as a training does, without training: where the engine is taken apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from barrage_mlflow.config import read_config, resolve_config
from barrage_mlflow.dataset import ArraySpec, Blocks, Pipeline, Records
from barrage_mlflow.preparing import build_feeder, fit_pipelines, train_batches


def resolved(dataset: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """A whole config of which only the dataset and the batch size count here."""
    network = {"import": "keras.Sequential"}
    outputs = [{"name": "y", "loss": {"import": "mse"}}]
    config = {
        "dataset": {**dataset, "seed": 7},
        "model": {"network": network, "outputs": outputs},
        "solver": {"batch_size": batch_size},
    }
    return resolve_config(read_config(config))


def pipeline(config: Mapping[str, Any], records: Records) -> Pipeline:
    """The fitted pipeline of a config, in train mode."""
    return fit_pipelines(config, records, Path("transformer"))[0]


def seconds_of_ours(
    config: Mapping[str, Any], records: Records, specs: Mapping[str, ArraySpec], epochs: int
) -> float:
    """Seconds of an epoch of the engine's train batches, the first left aside."""
    with build_feeder(config, Path("cache")) as feeder:
        train = train_batches(config, records, pipeline(config, records), specs, feeder)

        def epoch(index: int) -> Iterator[Any]:
            with closing(Blocks(train.epoch(index))) as blocks:
                while batch := blocks.take(train.batch_size):
                    yield batch

        return seconds_of(epoch, epochs, len(records))


def seconds_of(epoch: Callable[[int], Iterator[Any]], epochs: int, records: int) -> float:
    """Seconds of an epoch, the mean over all but the first; what is made is only counted.

    The epochs are timed as one, so that whatever is made ahead counts where it is made.

    Args:
        epoch: gives the batches of an epoch, ``(x, y)`` or ``(x, y, w)``.
        epochs: how many to make.
        records: how many each must hold.

    Raises:
        ValueError: an epoch holds another number of records.
    """
    start = 0.0
    for index in range(epochs):
        if index == 1:
            start = time.perf_counter()
        made = 0
        for batch in epoch(index):
            made += len(next(iter(batch[0].values())))
        if made != records:
            raise ValueError(f"epoch {index}: expected {records} records, got {made}")
    return (time.perf_counter() - start) / (epochs - 1)
