"""Batches from components that work by the record, in Python."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from data import make_penguins
from harness import Bench, Goal, Row, in_turn

if TYPE_CHECKING:
    from barrage_mlflow.dataset import ArraySpec, Pipeline, Records

Epoch = Callable[[int], Iterator[Any]]
"""Gives the batches of an epoch."""

BATCH_SIZE = 64
PENGUINS = {
    "loader": {"import": "cases.components.OneBirdLoader"},
    "transformer": {"import": "cases.components.OneBirdTransformer"},
}


def resolved(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """A whole config of which only the dataset and the batch size count here."""
    from barrage_mlflow.config import read_config, resolve_config

    outputs = [{"name": "y", "loss": {"import": "mse"}}]
    config = {
        "dataset": {**dataset, "seed": 7},
        "model": {"network": {"import": "keras.Sequential"}, "outputs": outputs},
        "solver": {"batch_size": BATCH_SIZE},
    }
    return resolve_config(read_config(config))


def fitted(config: Mapping[str, Any], records: Records) -> Pipeline:
    """The pipeline of a config in train mode, its transformer fitted."""
    from barrage_mlflow.training.prepare import fit_pipelines

    return fit_pipelines(config, records, Path(tempfile.mkdtemp(dir="."), "transformer"))[0]


@contextmanager
def our_epochs(
    config: Mapping[str, Any], records: Records, specs: Mapping[str, ArraySpec]
) -> Iterator[Epoch]:
    """The engine's train batches, as a training makes them; its worker processes end with it."""
    from barrage_mlflow.dataset import Blocks
    from barrage_mlflow.training.prepare import build_feeder, train_batches

    with build_feeder(config, Path("cache")) as feeder:
        train = train_batches(config, records, fitted(config, records), specs, feeder)

        def epoch(index: int) -> Iterator[Any]:
            with closing(Blocks(train.epoch(index))) as blocks:
                while batch := blocks.take(train.batch_size):
                    yield batch

        yield epoch


def bare_loop(records: Records) -> Epoch:
    """The epochs of a loop that calls the same two objects and stacks what they return."""
    made = fitted(resolved(PENGUINS), records)
    loader, transformer = made.loader, made.transformer
    # The cheapest that records can be: dicts that are there already.
    dicts = [records[index] for index in range(len(records))]

    def epoch(index: int) -> Iterator[Any]:
        order = np.random.default_rng(index).permutation(len(dicts)).tolist()
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            loaded = [transformer.transform(loader.load(dicts[row])) for row in rows]
            yield tuple(
                {name: np.stack([one[part][name] for one in loaded]) for name in first}
                for part, first in enumerate(loaded[0])
            )

    return epoch


def seconds(epoch: Epoch, index: int, records: int) -> float:
    """Seconds of an epoch, ``(x, y)`` or ``(x, y, w)``, whose records are only counted.

    Raises:
        ValueError: it holds another number of records.
    """
    start = time.perf_counter()
    made = sum(len(next(iter(batch[0].values()))) for batch in epoch(index))
    if made != records:
        raise ValueError(f"epoch {index}: expected {records} records, got {made}")
    return time.perf_counter() - start


def penguins_in_turn(path: str, workers: int, epochs: int) -> dict[str, list[float]]:
    """Seconds of epochs, ``ours`` and ``bare``, in turn; the first of each does not count."""
    from barrage_mlflow.dataset import ArraySpec, Records

    numbers, code = ArraySpec((4,), "float32"), ArraySpec((), "int32")
    specs = {"measurements": numbers, "missing": numbers, "island": code, "sex": code}
    records = Records.read(path)
    with our_epochs(resolved({**PENGUINS, "workers": workers}), records, specs) as ours:
        bare, size = bare_loop(records), len(records)
        ours_at, bare_at = count(), count()
        sides = {
            "ours": lambda: seconds(ours, next(ours_at), size),
            "bare": lambda: seconds(bare, next(bare_at), size),
        }
        return {name: taken[1:] for name, taken in in_turn(epochs, sides).items()}


def measure_penguins(bench: Bench) -> list[Row]:
    """Measure with one worker, and with two."""
    records = bench.size(40_000, 1_000)
    path = bench.made(f"penguins-{records}.csv", make_penguins, records=records)
    size = {"path": path, "epochs": bench.size(9, 2)}
    taken = bench.in_turn(
        one=lambda: bench.call(penguins_in_turn, workers=1, **size).value,
        two=lambda: bench.call(penguins_in_turn, workers=2, **size).value,
    )

    def rates(workers: str, side: str) -> list[float]:
        return [records / each for done in taken[workers] for each in done[side]]

    return [
        Row(name, "bare loop", "records/s", rates(key, "ours"), rates(key, "bare"), Goal(bound))
        for name, key, bound in (
            ("records, 1 worker", "one", 0.9),
            ("records, 2 workers", "two", 1.5),
        )
    ]


CASES = {
    "records": measure_penguins,
}
