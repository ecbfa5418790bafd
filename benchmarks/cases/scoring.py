"""Scores in process: of a table, and of one record."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from data import COLUMNS, build_mlp, few, read_arrays, table, train
from harness import Bench, Row, in_turn

BATCH_SIZE = 256


def ours(model: str, table: str, times: int) -> float:
    """Seconds that the Scorer takes for a DataFrame."""
    import pandas as pd

    from barrage_mlflow import Scorer

    frame, scorer = pd.read_parquet(table)[COLUMNS], Scorer.load(model)
    return _seconds(lambda: scorer.score(frame, batch_size=BATCH_SIZE)["y"], times, len(frame))


def peer(table: str, times: int) -> float:
    """Seconds that ``model.predict`` takes for an array."""
    (x, _), network = read_arrays(table), build_mlp()
    return _seconds(lambda: network.predict(x, batch_size=BATCH_SIZE, verbose=0), times, len(x))


def _seconds(score: Callable[[], Any], times: int, records: int) -> float:
    return statistics.median([_timed(score, (records, 1)) for _ in range(times)][1:])


def _timed(score: Callable[[], Any], shape: tuple[int, int]) -> float:
    start = time.perf_counter()
    scores = score()
    taken = time.perf_counter() - start
    if scores.shape != shape:
        raise ValueError(f"expected scores {shape}, got {scores.shape}")
    return taken


def milliseconds_of_one(model: str, table: str, slices: int, count: int) -> dict[str, float]:
    """Milliseconds of one record, the median: ``ours``, and of the ``network`` alone.

    Args:
        model: the artifact folder.
        table: file of records.
        slices: how often each way is measured, in turn.
        count: calls in a slice.
    """
    import numpy as np
    import pandas as pd
    import tensorflow as tf

    from barrage_mlflow import Scorer

    records = pd.read_parquet(table)[COLUMNS].astype("float64").to_dict("records")
    arrays = [np.array([list(record.values())], "float32") for record in records]
    scorer, network = Scorer.load(model), build_mlp()
    spec = tf.TensorSpec((None, len(COLUMNS)), "float32")
    # Called as it is, and with a tensor, it takes half as long as through `tf.function`.
    called = tf.function(lambda x: network(x, training=False)).get_concrete_function(spec)

    def slice_of(call: Callable[[Any], Any], given: Sequence[Any]) -> list[float]:
        return [_timed(partial(call, one), (1, 1)) for one in given[:count]]

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


def measure_table(bench: Bench) -> list[Row]:
    """Measure both sides."""
    records, times = bench.size(200_000, 2_000), bench.size(7, 2)
    path = table(bench, records, seed=1)
    with bench.folder() as folder:
        model = str(folder / "model")
        bench.call(train, path=model, table=few(bench))
        taken = bench.in_turn(
            ours=lambda: records / bench.call(ours, model=model, table=path, times=times),
            peer=lambda: records / bench.call(peer, table=path, times=times),
        )
    return [Row("score", "model.predict", "records/s", taken["ours"], taken["peer"], "≥ 2.0")]


def measure_one(bench: Bench) -> list[Row]:
    """Measure both ways, in one process a round."""
    size = {"slices": bench.size(20, 2), "count": bench.size(200, 5)}
    with bench.folder() as folder:
        given = {"model": str(folder / "model"), "table": few(bench), **size}
        bench.call(train, path=given["model"], table=few(bench))
        rounds = [bench.call(milliseconds_of_one, **given) for _ in range(bench.rounds)]
    beyond = [taken["ours"] - taken["network"] for taken in rounds]
    whole, network = (statistics.median(taken[side] for taken in rounds) for side in rounds[0])
    note = f"Scorer: {whole:.3g} ms, compiled call: {network:.3g} ms"
    return [Row("one_record", "1 ms", "ms", beyond, [1.0] * bench.rounds, "≤ 1.0", note)]


CASES = {
    "score": measure_table,
    "one_record": measure_one,
}
