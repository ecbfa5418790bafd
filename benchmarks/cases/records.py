"""Records: read from CSV, and made into batches by components that work by the record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from data import make_csv, make_penguins
from harness import Bench, Row, in_turn

if TYPE_CHECKING:
    from barrage_mlflow.dataset import Records
    from barrage_mlflow.dataset.components.pipeline import Pipeline

Epoch = Callable[[int], Iterator[Any]]
"""Gives the batches of an epoch."""

BATCH_SIZE = 64
CONFIG = {
    "dataset": {
        "loader": {"import": "cases.components.OneBirdLoader"},
        "transformer": {"import": "cases.components.OneBirdTransformer"},
    },
    "solver": {"batch_size": BATCH_SIZE},
}


@contextmanager
def our_epochs(records: Records, pipeline: Pipeline, workers: int) -> Iterator[Epoch]:
    """The engine's train batches, as a training makes them; its worker processes end with it."""
    from barrage_mlflow.dataset.feeding.batches import Batches
    from barrage_mlflow.dataset.feeding.blocks import Blocks
    from barrage_mlflow.dataset.feeding.conform import ArraySpec
    from barrage_mlflow.dataset.feeding.feeder import Feeder

    numbers, code = ArraySpec((4,), "float32"), ArraySpec((), "int32")
    specs = {"measurements": numbers, "missing": numbers, "island": code, "sex": code}
    with Feeder(workers) as feeder:
        train = Batches(records, pipeline, specs, BATCH_SIZE, seed=7, feeder=feeder)

        def epoch(index: int) -> Iterator[Any]:
            with closing(Blocks(train.epoch(index))) as blocks:
                while batch := blocks.take(BATCH_SIZE):
                    yield batch

        yield epoch


def bare_loop(records: Records, pipeline: Pipeline) -> Epoch:
    """The epochs of a loop that calls the same two objects and stacks what they return."""
    loader, transformer = pipeline.loader, pipeline.transformer
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
        ValueError: it has another number of records.
    """
    start = time.perf_counter()
    made = sum(len(next(iter(batch[0].values()))) for batch in epoch(index))
    if made != records:
        raise ValueError(f"epoch {index}: expected {records} records, got {made}")
    return time.perf_counter() - start


def penguins_in_turn(path: str, workers: int, epochs: int) -> dict[str, list[float]]:
    """Seconds of epochs, ``ours`` and ``bare``, in turn; the first of each does not count."""
    from barrage_mlflow.dataset import RecordMode, Records
    from barrage_mlflow.dataset.components.build import fit_and_save, load_pipeline

    records, folder = Records.read(path), Path("transformer")
    fit_and_save(CONFIG, records, folder)
    pipeline = load_pipeline(CONFIG, RecordMode.TRAIN, folder)
    with our_epochs(records, pipeline, workers) as ours:
        bare, size = bare_loop(records, pipeline), len(records)
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
        one=lambda: bench.call(penguins_in_turn, workers=1, **size),
        two=lambda: bench.call(penguins_in_turn, workers=2, **size),
    )

    def row(name: str, key: str, goal: str) -> Row:
        ours, bare = (
            [records / each for done in taken[key] for each in done[side]]
            for side in ("ours", "bare")
        )
        return Row(name, "bare loop", "records/s", ours, bare, goal)

    return [row("records, 1 worker", "one", "≥ 0.9"), row("records, 2 workers", "two", "≥ 1.5")]


def csv_in_turn(path: str, times: int) -> dict[str, list[float]]:
    """Seconds of reading a CSV file, by us and by pandas, in turn; the first do not count."""
    import pandas as pd

    from barrage_mlflow.dataset import Records

    def timed(read: Callable[[str], Any]) -> float:
        start = time.perf_counter()
        read(path)
        return time.perf_counter() - start

    sides = {
        "ours": lambda: timed(lambda path: Records.read(path).digest()),
        "pandas": lambda: timed(pd.read_csv),
    }
    return {name: taken[1:] for name, taken in in_turn(times, sides).items()}


def measure_csv(bench: Bench) -> list[Row]:
    """Measure how long reading takes, with the kinds of the columns and the digest."""
    records = bench.size(1_000_000, 5_000)
    path = bench.made(f"mixed-{records}.csv", make_csv, records=records)
    taken = bench.in_turn(both=lambda: bench.call(csv_in_turn, path=path, times=6))["both"]
    ours, peer = ([each for one in taken for each in one[side]] for side in ("ours", "pandas"))
    return [Row("read_csv", "pandas.read_csv", "s", ours, peer, "≤ 2.0")]


CASES = {"records": measure_penguins, "read_csv": measure_csv}
