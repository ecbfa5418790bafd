"""The training of a small network, on a table in memory and on one that is streamed."""

from __future__ import annotations

import json
import resource
import statistics
import sys
from functools import partial
from typing import Any

import fresh
from data import FEATURES, build_mlp, few, mlp_config, read_arrays, stopwatch, table
from harness import MB, Bench, Row

RECORDS, SHORT_RECORDS = 200_000, 4_000
SWEEP = [8, 16, 32, 64, 128, 256]
"""The values of ``steps_per_execution`` that are tried out, in steps."""
WINDOW = 262_144
"""Records within which a streamed file is shuffled."""


def ours(train: str, validation: str, config: dict[str, Any]) -> dict[str, Any]:
    """Train by a config; the seconds of the ``steady`` epochs, and the ``peak`` of memory in MB."""
    from barrage_mlflow import BarrageModel

    watch = stopwatch()
    BarrageModel("artifacts").train(config, train, validation, callbacks=[watch])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * fresh.MAXRSS_UNIT
    return {"steady": watch.steady, "peak": peak / MB}


def plain(train: str, batch_size: int, epochs: int) -> dict[str, Any]:
    """``model.fit`` on arrays; the seconds of the ``steady`` epochs."""
    return {"steady": _fit(*read_arrays(train), batch_size, epochs)}


def tuned(train: str, batch_size: int, epochs: int, sweep: list[int]) -> dict[str, Any]:
    """The same with the value of ``steps_per_execution`` that does best in a sweep."""
    x, y = read_arrays(train)
    some = batch_size * 1_000  # records, so that the sweep takes no longer than what it is for
    seconds = {
        steps: min(_fit(x[:some], y[:some], batch_size, 3, steps_per_execution=steps))
        for steps in sweep
    }
    best = min(seconds, key=seconds.__getitem__)
    return {"best": best, "steady": _fit(x, y, batch_size, epochs, steps_per_execution=best)}


def _fit(x: Any, y: Any, batch_size: int, epochs: int, **compiling: Any) -> list[float]:
    watch = stopwatch()
    network = build_mlp(**compiling)
    network.fit(x, y, batch_size=batch_size, epochs=epochs, callbacks=[watch], verbose=0)
    return list(watch.steady)


def measure_mlp(bench: Bench, batch_size: int, goal: str) -> list[Row]:
    """Measure the engine, plain ``fit`` and tuned ``fit``."""
    records = bench.size(RECORDS, SHORT_RECORDS)
    train = table(bench, records, seed=1)
    epochs = bench.size(8, 3)
    fit = {"train": train, "batch_size": batch_size, "epochs": epochs}
    config = mlp_config(batch_size, epochs)
    taken = bench.in_turn(
        ours=lambda: bench.call(ours, train=train, validation=few(bench), config=config),
        plain=lambda: bench.call(plain, **fit),
        tuned=lambda: bench.call(tuned, **fit, sweep=bench.size(SWEEP, SWEEP[:2])),
    )
    speeds = {side: rates(done, records) for side, done in taken.items()}
    name, note = f"mlp_{batch_size}", "best of the sweep: "
    note += ", ".join(str(done["best"]) for done in taken["tuned"])
    return [
        Row(name, "plain fit", "records/s", speeds["ours"], speeds["plain"], goal),
        Row(name, "tuned fit", "records/s", speeds["ours"], speeds["tuned"], "≥ 0.95", note),
    ]


def rates(rounds: list[dict[str, Any]], records: int) -> list[float]:
    """Records/s of every round, of so many records an epoch."""
    return [records / statistics.median(done["steady"]) for done in rounds]


def measure_memory(bench: Bench) -> list[Row]:
    """Measure the peak of the command on much data, less that on little."""
    records = bench.size(2_000_000, 20_000)
    much = table(bench, records, seed=1)
    config = json.dumps(mlp_config(1_024, epochs=1))

    def peak(train: str) -> float:
        with bench.folder() as folder:
            (folder / "config.json").write_text(config, "utf-8")
            command = ["-m", "barrage_mlflow", "train", "config.json", train, few(bench)]
            return bench.command([sys.executable, *command], folder).peak / MB

    taken = bench.in_turn(much=lambda: peak(much), little=lambda: peak(few(bench)))
    above = [large - small for large, small in zip(*taken.values(), strict=True)]
    size = [records * FEATURES * 4 / MB] * bench.rounds
    note = f"peak on 1,000 records: {min(taken['little']):,.0f} MB"
    return [Row("memory_in", "size of the data", "MB", above, size, "≤ 2.0", note)]


def measure_stream(bench: Bench) -> list[Row]:
    """Measure speed and memory of the same process."""
    batch_size, epochs = 256, 4
    records = bench.size(20_000_000, 40_000)
    steps = records // batch_size // epochs  # the epochs together go over the data once
    in_memory = bench.size(RECORDS, SHORT_RECORDS)
    small = mlp_config(batch_size, epochs, shuffle_window=WINDOW)
    config = {**small, "solver": {**small["solver"], "steps": steps}}
    call = partial(bench.call, ours, validation=few(bench))
    large = table(bench, records, seed=3, row_group=65_536)
    resident = table(bench, in_memory, seed=1)
    taken = bench.in_turn(
        streamed=lambda: call(train=large, config=config),
        resident=lambda: call(train=resident, config=mlp_config(batch_size, 8)),
        small=lambda: call(train=few(bench), config=small),
    )
    streamed = rates(taken["streamed"], steps * batch_size)
    peers = rates(taken["resident"], in_memory)
    base = [done["peak"] for done in taken["small"]]
    above = [done["peak"] - less for done, less in zip(taken["streamed"], base, strict=True)]
    note = f"peak on 1,000 records: {min(base):,.0f} MB"
    return [
        Row("stream, speed", "mlp_256 in memory", "records/s", streamed, peers, "≥ 0.8"),
        Row("stream, memory", "400 MB", "MB", above, [400.0] * bench.rounds, "≤ 1.0", note),
    ]


CASES = {
    "mlp_32": partial(measure_mlp, batch_size=32, goal="≥ 2.0"),
    "mlp_256": partial(measure_mlp, batch_size=256, goal="≥ 1.5"),
    "memory_in": measure_memory,
    "stream": measure_stream,
}
