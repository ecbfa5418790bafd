"""What the Scorer takes for one record, beyond what its network takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from harness import Bench, Case, Goal, Row, in_turn
from makers import make_table

from cases.score import train

MOST = 1.0
"""Milliseconds that the Scorer may take beyond the network."""


def milliseconds(model: str, table: str, slices: int, count: int) -> dict[str, float]:
    """Milliseconds of one record each way, the median.

    Args:
        model: the artifact folder.
        table: file of records.
        slices: how often each way is measured, in turn.
        count: calls in a slice.

    Returns:
        ``ours`` and ``network``.
    """
    import numpy as np
    import pandas as pd
    import tensorflow as tf
    from makers import COLUMNS
    from networks import build_mlp

    from barrage_mlflow import Scorer

    records: list[Any] = pd.read_parquet(table)[COLUMNS].astype("float64").to_dict("records")
    arrays = [np.array([list(record.values())], "float32") for record in records]
    scorer = Scorer.load(model)
    network = build_mlp()
    spec = tf.TensorSpec((None, len(COLUMNS)), "float32")
    # Called as it is, and with a tensor, it takes half as long as through `tf.function`.
    called = tf.function(lambda x: network(x, training=False)).get_concrete_function(spec)

    def slice_of(call: Callable[[Any], Any], given: list[Any]) -> list[float]:
        taken = []
        for one in given[:count]:
            start = time.perf_counter()
            score = call(one)
            taken.append(time.perf_counter() - start)
            if score.shape != (1, 1):
                raise ValueError(f"expected a score (1, 1), got {score.shape}")
        return taken

    sides = {
        "ours": lambda: slice_of(lambda record: scorer.score([record])["y"], records),
        "network": lambda: slice_of(lambda array: called(tf.constant(array)).numpy(), arrays),
    }
    in_turn(1, sides)  # functions are traced
    taken = in_turn(slices, sides)
    return {
        side: 1e3 * statistics.median(one for part in parts for one in part)
        for side, parts in taken.items()
    }


def measure(bench: Bench) -> list[Row]:
    """Measure both ways, in one process a round."""
    table = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    size = {"slices": bench.size(20, 2), "count": bench.size(200, 5)}
    with bench.folder() as folder:
        model = str(folder / "model")
        bench.call(train, path=model, table=table)
        rounds = [
            bench.call(milliseconds, model=model, table=table, **size).value
            for _ in range(bench.rounds)
        ]
    beyond = [taken["ours"] - taken["network"] for taken in rounds]
    whole, network = (
        statistics.median(taken[side] for taken in rounds) for side in ("ours", "network")
    )
    note = f"Scorer: {whole:.3g} ms, compiled call: {network:.3g} ms"
    peers = [MOST] * bench.rounds
    return [Row("one_record", "1 ms", "ms", beyond, peers, Goal(1.0, at_most=True), note)]


CASES = [
    Case(
        "one_record",
        """\
One record, a dict of 20 floats, in process, with the network of `mlp_256`: what `Scorer.score`
takes beyond one call of the network, as a concrete function of TensorFlow, on an array `(1, 20)`
float32 with its answer as an array, against 1 ms. Medians of 4,000 calls each way, in 20 slices in
turn.""",
        measure,
    )
]
