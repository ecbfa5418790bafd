"""A Parquet file that is larger than the memory which its training may take."""

from __future__ import annotations

import statistics

from harness import MB, Bench, Case, Goal, Row
from makers import make_table

from cases import mlp

BATCH_SIZE = 256
WINDOW = 262_144
"""Records within which a draw is permuted."""
EPOCHS = 4
ALLOWED = 400.0
"""MB above the same command on 1,000 records."""


def ours(train: str, validation: str, steps: int | None, epochs: int) -> list[float]:
    """Train from a file that is streamed; return the seconds of the steady epochs."""
    from networks import Stopwatch, mlp_config

    from barrage_mlflow import BarrageModel

    stopwatch = Stopwatch()
    config = mlp_config(BATCH_SIZE, epochs, shuffle_window=WINDOW)
    if steps:
        config["solver"]["steps"] = steps
    BarrageModel("artifacts").train(config, train, validation, callbacks=[stopwatch])
    return stopwatch.steady


def measure(bench: Bench) -> list[Row]:
    """Measure speed and memory of the same process."""
    records = bench.size(20_000_000, 40_000)
    in_memory = bench.size(mlp.RECORDS, mlp.SHORT_RECORDS)
    # The epochs together go over the data once.
    steps = records // BATCH_SIZE // EPOCHS
    train = bench.made(
        f"parts-{records}.parquet", make_table, records=records, seed=3, in_parts=True
    )
    resident = bench.made(f"table-{in_memory}.parquet", make_table, records=in_memory, seed=1)
    few = bench.made("table-1000.parquet", make_table, records=1_000, seed=2)
    small = {"train": str(few), "validation": str(few), "steps": None, "epochs": EPOCHS}
    large = {**small, "train": str(train), "steps": steps}
    held = {"train": str(resident), "validation": str(few), "batch_size": BATCH_SIZE, "epochs": 8}
    taken = bench.in_turn(
        streamed=lambda: bench.call(ours, **large),
        held=lambda: bench.call(mlp.ours, **held),
        small=lambda: bench.call(ours, **small),
    )
    rates = [steps * BATCH_SIZE / statistics.median(done.value) for done in taken["streamed"]]
    peers = [in_memory / statistics.median(done.value) for done in taken["held"]]
    peaks = [done.peak / MB for done in taken["streamed"]]
    base = [done.peak / MB for done in taken["small"]]
    above = [peak - less for peak, less in zip(peaks, base, strict=True)]
    allowed = [ALLOWED] * bench.rounds
    note = f"peak on 1,000 records: {min(base):,.0f} MB"
    least, most = Goal(0.8), Goal(1.0, at_most=True)
    return [
        Row("stream, speed", "mlp_256 in memory", "records/s", rates, peers, least),
        Row("stream, memory", "400 MB", "MB", above, allowed, most, note),
    ]


CASES = [
    Case(
        "stream",
        """\
20 million records of 20 float32 in a Parquet file of row groups of 65,536, batch 256, shuffled in
windows of 262,144 (`dataset.shuffle_window`); four epochs of a quarter each, the first left aside.
*speed*: records/s against those of the case `mlp_256`, ours, in turn with it. *memory*: the peak of
that process's resident memory less that of the same training on 1,000 records, against 400 MB.""",
        measure,
    )
]
