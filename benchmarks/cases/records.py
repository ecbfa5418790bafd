"""Batches from components that work by the record, in Python."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness import Bench, Case, Goal, Row
from makers import make_penguins

BATCH_SIZE = 64
DATASET = {
    "loader": {"import": "components.OneBirdLoader"},
    "transformer": {"import": "components.OneBirdTransformer"},
}


def ours(path: str, workers: int, epochs: int) -> float:
    """Seconds of an epoch of the engine's batches."""
    from producing import resolved, seconds_of_ours

    from barrage_mlflow.dataset import ArraySpec, Records

    specs = {
        "measurements": ArraySpec((4,), "float32"),
        "missing": ArraySpec((4,), "float32"),
        "island": ArraySpec((), "int32"),
        "sex": ArraySpec((), "int32"),
    }
    config = resolved({**DATASET, "workers": workers}, BATCH_SIZE)
    return seconds_of_ours(config, Records.read(path), specs, epochs)


def bare(path: str, epochs: int) -> float:
    """Seconds of an epoch of a loop that calls the same objects and stacks what they return."""
    import numpy as np
    from producing import pipeline, resolved, seconds_of

    from barrage_mlflow.dataset import Records

    records = Records.read(path)
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

    return seconds_of(epoch, epochs, len(dicts))


def measure(bench: Bench) -> list[Row]:
    """Measure the bare loop, and ours with one worker and with two."""
    records = bench.size(40_000, 1_000)
    path = str(bench.made(f"penguins-{records}.csv", make_penguins, records=records))
    epochs = bench.size(5, 2)
    taken = bench.in_turn(
        bare=lambda: records / bench.call(bare, path=path, epochs=epochs).value,
        one=lambda: records / bench.call(ours, path=path, workers=1, epochs=epochs).value,
        two=lambda: records / bench.call(ours, path=path, workers=2, epochs=epochs).value,
    )
    alone = taken["bare"]
    note = f"the bare loop: {1e6 / max(alone):.1f} µs a record"
    return [
        Row("records, 1 worker", "bare loop", "records/s", taken["one"], alone, Goal(0.9), note),
        Row("records, 2 workers", "bare loop", "records/s", taken["two"], alone, Goal(1.5)),
    ]


CASES = [
    Case(
        "records",
        """\
The penguins' loader and transformer without their batch forms, 40,000 records, batch 64: records/s
of shuffled batches that nobody trains on. Ours are the train batches of the engine, with one
worker process and with two. The peer is a loop in one process that calls the same two objects on
dicts that are in memory already and stacks what they return.""",
        measure,
    )
]
