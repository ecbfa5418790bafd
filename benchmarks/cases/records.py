"""Batches from components that work by the record, in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness import Bench, Case, Goal, Row
from makers import make_penguins

if TYPE_CHECKING:
    from producing import Epoch

    from barrage_mlflow.dataset import Records

BATCH_SIZE = 64
DATASET = {
    "loader": {"import": "components.OneBirdLoader"},
    "transformer": {"import": "components.OneBirdTransformer"},
}


def seconds_beside(path: str, workers: int, epochs: int) -> dict[str, list[float]]:
    """Seconds of epochs of the engine's batches and of the bare loop's, in turn.

    Args:
        path: file of the records.
        workers: processes of the engine.
        epochs: how many of each; the first does not count.

    Returns:
        By side, ``ours`` and ``bare``.
    """
    from producing import our_epochs, resolved, seconds_in_turn

    from barrage_mlflow.dataset import ArraySpec, Records

    specs = {
        "measurements": ArraySpec((4,), "float32"),
        "missing": ArraySpec((4,), "float32"),
        "island": ArraySpec((), "int32"),
        "sex": ArraySpec((), "int32"),
    }
    config = resolved({**DATASET, "workers": workers}, BATCH_SIZE)
    records = Records.read(path)
    with our_epochs(config, records, specs) as ours:
        return seconds_in_turn({"ours": ours, "bare": bare(records)}, epochs, len(records))


def bare(records: Records) -> Epoch:
    """The epochs of a loop that calls the same objects and stacks what they return."""
    import numpy as np
    from producing import pipeline, resolved

    made = pipeline(resolved(DATASET, BATCH_SIZE), records)
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


def measure(bench: Bench) -> list[Row]:
    """Measure with one worker, and with two."""
    records = bench.size(40_000, 1_000)
    path = str(bench.made(f"penguins-{records}.csv", make_penguins, records=records))
    epochs = bench.size(9, 2)
    taken = bench.in_turn(
        one=lambda: bench.call(seconds_beside, path=path, workers=1, epochs=epochs).value,
        two=lambda: bench.call(seconds_beside, path=path, workers=2, epochs=epochs).value,
    )

    def speeds(workers: str, side: str) -> list[float]:
        return [records / seconds for done in taken[workers] for seconds in done[side]]

    note = f"the bare loop: {1e6 / max(speeds('one', 'bare')):.1f} µs a record"
    return [
        _row("records, 1 worker", speeds("one", "ours"), speeds("one", "bare"), Goal(0.9), note),
        _row("records, 2 workers", speeds("two", "ours"), speeds("two", "bare"), Goal(1.5)),
    ]


def _row(name: str, ours: list[float], bare: list[float], goal: Goal, note: str = "") -> Row:
    return Row(name, "bare loop", "records/s", ours, bare, goal, note)


CASES = [
    Case(
        "records",
        """\
The penguins' loader and transformer without their batch forms, 40,000 records, batch 64: records/s
of shuffled batches that nobody trains on. Ours are the train batches of the engine, with one
worker process and with two. The peer is a loop in one process that calls the same two objects on
dicts that are in memory already and stacks what they return. They take turns in one process, epoch
by epoch: eight pairs a round, after a first one that does not count.""",
        measure,
    )
]
