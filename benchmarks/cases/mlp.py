"""A small network on a table that fits into memory, in steady epochs."""

from __future__ import annotations

import statistics
from functools import partial
from typing import Any

from harness import Bench, Case, Goal, Row
from makers import make_table

RECORDS = 200_000
SHORT_RECORDS = 4_000
SWEEP = [8, 16, 32, 64, 128, 256]
"""The values of ``steps_per_execution`` that are tried out, in steps."""


def ours(train: str, validation: str, batch_size: int, epochs: int) -> list[float]:
    """Train by a config from Parquet files; return the seconds of the steady epochs."""
    from networks import Stopwatch, mlp_config

    from barrage_mlflow import BarrageModel

    stopwatch = Stopwatch()
    config = mlp_config(batch_size, epochs)
    BarrageModel("artifacts").train(config, train, validation, callbacks=[stopwatch])
    return stopwatch.steady


def plain(train: str, batch_size: int, epochs: int) -> list[float]:
    """``model.fit`` on arrays; return the seconds of the steady epochs."""
    from networks import read_arrays

    return _fit(*read_arrays(train), batch_size, epochs)


def tuned(train: str, batch_size: int, epochs: int, sweep: list[int]) -> dict[str, Any]:
    """The same with the value of ``steps_per_execution`` that does best in a sweep."""
    from networks import read_arrays

    x, y = read_arrays(train)
    few = batch_size * 1_000  # records, so that the sweep takes no longer than what it is for
    seconds = {
        steps: min(_fit(x[:few], y[:few], batch_size, 3, steps_per_execution=steps))
        for steps in sweep
    }
    best = min(seconds, key=seconds.__getitem__)
    steady = _fit(x, y, batch_size, epochs, steps_per_execution=best)
    return {"best": best, "steady": steady}


def _fit(x: Any, y: Any, batch_size: int, epochs: int, **compiling: Any) -> list[float]:
    from networks import Stopwatch, build_mlp

    stopwatch = Stopwatch()
    build_mlp(**compiling).fit(
        x, y, batch_size=batch_size, epochs=epochs, callbacks=[stopwatch], verbose=0
    )
    return stopwatch.steady


def measure(bench: Bench, batch_size: int, least: float) -> list[Row]:
    """Measure at one batch size; ``least`` is the goal against plain ``fit``."""
    records = bench.size(RECORDS, SHORT_RECORDS)
    tables = {
        "train": str(bench.made(f"table-{records}.parquet", make_table, records=records, seed=1)),
        "validation": str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2)),
    }
    train = tables["train"]
    size = {"batch_size": batch_size, "epochs": bench.size(4 if batch_size < 100 else 8, 3)}
    sweep = bench.size(SWEEP, SWEEP[:2])
    taken = bench.in_turn(
        ours=lambda: bench.call(ours, **tables, **size).value,
        plain=lambda: bench.call(plain, train=train, **size).value,
        tuned=lambda: bench.call(tuned, train=train, sweep=sweep, **size).value,
    )

    def rates(rounds: list[list[float]]) -> list[float]:
        return [records / statistics.median(steady) for steady in rounds]

    best = ", ".join(str(found["best"]) for found in taken["tuned"])
    mine, fast = rates(taken["ours"]), rates([found["steady"] for found in taken["tuned"]])
    name = f"mlp_{batch_size}"
    return [
        Row(name, "plain fit", "records/s", mine, rates(taken["plain"]), Goal(least)),
        Row(name, "tuned fit", "records/s", mine, fast, Goal(0.95), f"best of the sweep: {best}"),
    ]


_ABOUT = """\
200,000 records of 20 float32 in a Parquet file, an MLP 64-64 with mean squared error and Adam,
batch {batch_size}: records/s of the training of an epoch, the median over the epochs after the
first. Ours is `BarrageModel.train` with its services and tracking on, timed by a callback from the
begin of an epoch to the begin of its validation. *plain fit* is `model.fit` on arrays that are in
memory already; *tuned fit* the same compiled with the best `steps_per_execution` of 8, 16 … 256, as
a sweep in the same process found it; neither validates nor logs."""

CASES = [
    Case(f"mlp_{size}", _ABOUT.format(batch_size=size), partial(measure, batch_size=size, least=x))
    for size, x in [(32, 2.0), (256, 1.5)]
]
