"""How much memory a training takes for the data that it holds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from harness import MB, Bench, Case, Goal, Row
from makers import FEATURES, make_table

BYTES = 4
"""Of a float32."""
BATCH_SIZE = 1_024


def write_config(path: str) -> None:
    """Write the config of a training of one epoch."""
    from networks import mlp_config

    Path(path).write_text(json.dumps(mlp_config(BATCH_SIZE, epochs=1)), "utf-8")


def measure(bench: Bench) -> list[Row]:
    """Measure the peak of the command on much data, less that on little."""
    records = bench.size(2_000_000, 20_000)
    train = bench.made(f"table-{records}.parquet", make_table, records=records, seed=1)
    few = bench.made("table-1000.parquet", make_table, records=1_000, seed=2)
    config = bench.made(f"one-epoch-{BATCH_SIZE}.json", write_config)

    def peak(table: Path) -> float:
        command = [sys.executable, "-m", "barrage_mlflow", "train"]
        with bench.folder() as folder:
            return bench.command([*command, str(config), str(table), str(few)], folder).peak / MB

    taken = bench.in_turn(much=lambda: peak(train), little=lambda: peak(few))
    size = records * FEATURES * BYTES / MB
    above = [much - little for much, little in zip(*taken.values(), strict=True)]
    note = f"peak on 1,000 records: {min(taken['little']):,.0f} MB"
    peers = [size] * bench.rounds
    return [Row("memory_in", "size of the data", "MB", above, peers, Goal(2.0, at_most=True), note)]


CASES = [
    Case(
        "memory_in",
        """\
2 million records of 20 float32 in a Parquet file, `barrage-mlflow train` for one epoch: the peak
of the process's resident memory less that of the same command on 1,000 records, against the size
of the data as float32.""",
        measure,
    )
]
