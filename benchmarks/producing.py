"""Makes train batches as a training does, without training: where the engine is taken apart."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

from harness import in_turn

from barrage_mlflow.config import read_config, resolve_config
from barrage_mlflow.dataset import ArraySpec, Blocks, Pipeline, Records
from barrage_mlflow.training.prepare import build_feeder, fit_pipelines, train_batches

Epoch: TypeAlias = Callable[[int], Iterator[Any]]
"""Gives the batches of an epoch."""


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
    folder = Path(tempfile.mkdtemp(dir="."))
    return fit_pipelines(config, records, folder / "transformer")[0]


@contextmanager
def our_epochs(
    config: Mapping[str, Any], records: Records, specs: Mapping[str, ArraySpec]
) -> Iterator[Epoch]:
    """The engine's train batches; its worker processes end with the context."""
    with build_feeder(config, Path("cache")) as feeder:
        train = train_batches(config, records, pipeline(config, records), specs, feeder)

        def epoch(index: int) -> Iterator[Any]:
            with closing(Blocks(train.epoch(index))) as blocks:
                while batch := blocks.take(train.batch_size):
                    yield batch

        yield epoch


def seconds_of_ours(
    config: Mapping[str, Any], records: Records, specs: Mapping[str, ArraySpec], epochs: int
) -> float:
    """Seconds of an epoch of the engine's train batches, the first left aside."""
    with our_epochs(config, records, specs) as epoch:
        return seconds_of(epoch, epochs, len(records))


def seconds_of(epoch: Epoch, epochs: int, records: int) -> float:
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
        _make(epoch, index, records)
    return (time.perf_counter() - start) / (epochs - 1)


def seconds_in_turn(
    sides: Mapping[str, Epoch], epochs: int, records: int
) -> dict[str, list[float]]:
    """Seconds of each epoch but the first, by side; the sides take turns, epoch by epoch.

    Args:
        sides: by name, see :func:`seconds_of`; none may make anything ahead for its next epoch.
        epochs: how many each is to make.
        records: how many each epoch must hold.

    Raises:
        ValueError: an epoch holds another number of records.
    """

    def timer(epoch: Epoch) -> Callable[[], float]:
        indices = count()

        def seconds() -> float:
            start = time.perf_counter()
            _make(epoch, next(indices), records)
            return time.perf_counter() - start

        return seconds

    taken = in_turn(epochs, {name: timer(epoch) for name, epoch in sides.items()})
    return {name: seconds[1:] for name, seconds in taken.items()}


def _make(epoch: Epoch, index: int, records: int) -> None:
    made = sum(len(next(iter(batch[0].values()))) for batch in epoch(index))
    if made != records:
        raise ValueError(f"epoch {index}: expected {records} records, got {made}")
