"""Scores of a table that fits into memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from harness import Bench, Case, Goal, Row
from makers import make_table

BATCH_SIZE = 256


def train(path: str, table: str) -> None:
    """Train a model to score with; how well it does is no matter."""
    from networks import mlp_config

    from barrage_mlflow import BarrageModel

    BarrageModel(path).train(mlp_config(BATCH_SIZE, epochs=1), table, table)


def ours(model: str, table: str, times: int) -> float:
    """Seconds that the Scorer takes for a DataFrame."""
    import pandas as pd
    from makers import COLUMNS

    from barrage_mlflow import Scorer

    frame = pd.read_parquet(table)[COLUMNS]
    scorer = Scorer.load(model)
    return _seconds(lambda: scorer.score(frame, batch_size=BATCH_SIZE)["y"], times, len(frame))


def peer(table: str, times: int) -> float:
    """Seconds that ``model.predict`` takes for an array."""
    from networks import build_mlp, read_arrays

    x, _ = read_arrays(table)
    network = build_mlp()
    return _seconds(
        lambda: network.predict(x, batch_size=BATCH_SIZE, verbose=0), times, len(x)
    )  # fmt: skip


def _seconds(score: Callable[[], Any], times: int, records: int) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        scores = score()
        taken.append(time.perf_counter() - start)
        if scores.shape != (records, 1):
            raise ValueError(f"expected scores ({records}, 1), got {scores.shape}")
    return statistics.median(taken[1:])


def measure(bench: Bench) -> list[Row]:
    """Measure both sides."""
    records = bench.size(200_000, 2_000)
    times = bench.size(7, 2)
    table = str(bench.made(f"table-{records}.parquet", make_table, records=records, seed=1))
    few = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    with bench.folder() as folder:
        model = str(folder / "model")
        bench.call(train, path=model, table=few)
        taken = bench.in_turn(
            ours=lambda: records / bench.call(ours, model=model, table=table, times=times).value,
            peer=lambda: records / bench.call(peer, table=table, times=times).value,
        )
    return [Row("score", "model.predict", "records/s", taken["ours"], taken["peer"], Goal(2.0))]


CASES = [
    Case(
        "score",
        """\
200,000 records of 20 float32 and the network of `mlp_256`, batch 256, once all is loaded and the
first call is done. Ours is `Scorer.score` on a DataFrame: checks, loading, network, finiteness,
postprocessing. The peer is `model.predict` on an array `(200000, 20)` float32.""",
        measure,
    )
]
