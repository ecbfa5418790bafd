"""One of the processes that ``scaling.py`` starts: times steps and all-reduces, prints JSON.

``scaling_process.py CORE WEIGHTS …``, with ``TF_CONFIG`` in the environment.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

WIDTH, BATCH, CALLS = 64, 256, 10


def main(core: int, sizes: list[int]) -> list[list[float]]:
    """In one process: the step, and that of half the batch; in two: the step, and the all-reduce.

    Returns:
        Milliseconds, for each number of weights.
    """
    os.sched_setaffinity(0, {core})
    from barrage_mlflow.distribution.group import join

    group = join()
    if group.count == 1:
        return [[time_step(group, size, batch) for batch in (BATCH, BATCH // 2)] for size in sizes]
    return [[time_step(group, size, BATCH), time_reduce(group, size)] for size in sizes]


def time_step(group: Any, size: int, batch: int) -> float:
    """Train a network of so many weights."""
    import keras
    import numpy as np

    from barrage_mlflow.dataset.feeding.share import batch_sizes
    from barrage_mlflow.training.steps import Steps, build_variables

    half = (WIDTH + 3) / 2  # a network has units² + (WIDTH + 3) units + 1 weights
    units = max(1, round((half**2 + size) ** 0.5 - half))
    x = keras.Input((WIDTH,), name="x")
    hidden = [keras.layers.Dense(units, "relu") for _ in range(2)]
    y = keras.layers.Dense(1, name="y")(hidden[1](hidden[0](x)))
    network = keras.Model({"x": x}, {"y": y})
    network.compile("adam", loss={"y": "mse"})
    steps, count = Steps(network, "train", batch, group), steps_in_call(size)
    sizes = batch_sizes(count * batch, batch)
    first, stop = group.share.bounds(sizes)
    shape = int((stop - first).sum()), WIDTH
    data = {"x": np.random.default_rng(0).random(shape, "f")}, {"y": np.ones((shape[0], 1), "f")}
    build_variables(network, data)
    return timed(lambda: steps(data, sizes)) / count


def time_reduce(group: Any, size: int) -> float:
    """Add up so many float32 over all processes."""
    import tensorflow as tf

    count = steps_in_call(size)

    def body(index: Any, vector: Any) -> Any:
        return index + 1, group.reduce([vector])[0] / group.count

    @tf.function(autograph=False)
    def loop(vector: Any) -> Any:
        return tf.while_loop(lambda index, _: index < count, body, [0, vector])[1]

    vector = tf.ones([size])
    return timed(lambda: loop(vector).numpy()) / count


def steps_in_call(size: int) -> int:
    """So many that a call takes some tenths of a second."""
    return max(2, min(256, 10_000_000 // size))


def timed(call: Callable[[], Any]) -> float:
    """Milliseconds of the fastest of some calls: others are those that something else held up."""
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return min(taken) * 1000


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), [*map(int, sys.argv[2:])])))
