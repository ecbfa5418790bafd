"""What a tracking server that is far away, gone or silent costs a training."""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from data import few, mlp_config, stopwatch, table
from harness import Bench, Row
from proxy import slow_proxy

LATENCY = 0.05
"""Seconds."""
EPOCH = 0.36
"""Seconds that an epoch is made to take."""
TURNS = 10
"""Turns of a training, of which every other is tracked."""
SETTLING = 3
"""Epochs at the begin of a turn in which what the turn before left may still be sent."""


def ten_metrics(epochs: int, steps: int) -> dict[str, Any]:
    """A config of ten metrics an epoch, besides the learning rate."""
    config = mlp_config(256, epochs, units=512)
    # With the loss, and both once more on validation: ten.
    names = ["mae", "mape", "msle", "log_cosh"]
    config["model"]["outputs"][0]["metrics"] = [{"import": name} for name in names]
    config["solver"]["steps"] = steps
    return config


def seconds_of_an_epoch(table: str, validation: str, epochs: int, steps: int) -> float:
    """Seconds of an epoch of so many steps; the median."""
    from barrage_mlflow import train

    watch = stopwatch()
    train(ten_metrics(epochs, steps), table, validation, callbacks=[watch], offline=True)
    return statistics.median(watch.steady)


def train_by_turns(
    table: str, validation: str, epochs: int, steps: int, network: str
) -> list[tuple[float, float]]:
    """Train with tracking in every other turn of some epochs; the next turn sends the rest.

    Args:
        table: file of train records.
        validation: file of validation records.
        epochs: how many.
        steps: in an epoch.
        network: ``"far"``: the server answers late; ``"gone"``: it is killed after the first epoch;
            ``"hanging"``: it then accepts and never answers.

    Returns:
        Pairs: seconds of an epoch in a tracked turn and in a turn beside it.
    """
    import keras
    from servers import MlflowServer

    import barrage_mlflow
    from barrage_mlflow.tracking.publisher import Publisher

    watch, tracked = stopwatch(), threading.Event()
    length = max(1, epochs // TURNS)
    publish = Publisher._publish_news

    def publish_in_turn(publisher: Publisher) -> None:
        tracked.wait()
        publish(publisher)

    def begin_epoch(epoch: int, logs: Any) -> None:
        (tracked.set if epoch // length % 2 else tracked.clear)()

    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(MlflowServer(Path(folder)))
        port = server.port
        if network == "far":
            port = stack.enter_context(slow_proxy(port, LATENCY))
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        go = {"gone": server.kill, "hanging": lambda: server.signal(signal.SIGSTOP)}.get(network)
        callback = keras.callbacks.LambdaCallback(
            on_epoch_begin=begin_epoch, on_epoch_end=lambda epoch, logs: epoch or (go and go())
        )
        stack.enter_context(mock.patch.object(Publisher, "_publish_news", publish_in_turn))
        stack.enter_context(mock.patch("barrage_mlflow.tracking.publisher._PATIENCE", 2))
        config = ten_metrics(epochs, steps)
        result = barrage_mlflow.train(config, table, validation, callbacks=[callback, watch])
        if network != "far":
            server.start() if network == "gone" else server.signal(signal.SIGCONT)
            barrage_mlflow.sync(result.artifact_dir)
        _check_metrics(barrage_mlflow.sync(result.artifact_dir), result.metrics, epochs)
    edges = [*watch.begins, watch.ends[-1]]
    turns = [edges[first : first + length + 1] for first in range(0, epochs, length)]
    # The first turn is left out: functions are traced in it.
    costs = [_an_epoch(turn, SETTLING * (at % 2 == 0)) for at, turn in enumerate(turns)][1:]
    # A machine that gets slower weighs on the tracked turn in one pair, on the other in the next.
    return [pair[::-1] if at % 2 else pair for at, pair in enumerate(pairwise(costs))]


def _an_epoch(turn: Sequence[float], settling: int) -> float:
    turn = turn[min(settling, len(turn) - 2) :]
    return (turn[-1] - turn[0]) / (len(turn) - 1)


def _check_metrics(run_id: str, names: Sequence[str], epochs: int) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    for name in names:
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        if steps != list(range(1, epochs + 1)):
            raise ValueError(f"{name}: expected one value of each of {epochs} epochs, got {steps}")


def measure(bench: Bench, networks: Mapping[str, str], goal: str) -> list[Row]:
    """Measure the epochs of trainings that are tracked by turns, over networks by row's name."""
    given = {"table": table(bench, 20_000, seed=1), "validation": few(bench)}
    tried = bench.size(50, 2)
    seconds = bench.call(seconds_of_an_epoch, **given, epochs=bench.size(20, 3), steps=tried)
    given["steps"] = bench.size(round(tried * EPOCH / seconds), 2)
    call = partial(bench.call, train_by_turns, **given, epochs=bench.size(100, 2 * TURNS))
    taken = bench.in_turn(
        **{name: partial(call, network=network) for name, network in networks.items()}
    )
    rows = []
    for name, rounds in taken.items():
        ours, peer = zip(*chain.from_iterable(rounds), strict=True)
        note = f"{len(ours)} pairs of turns"
        rows.append(Row(name, "no tracking", "s an epoch", ours, peer, goal, note))
    return rows


CASES = {
    "latency": partial(measure, networks={"latency": "far"}, goal="≤ 1.03"),
    "outage": partial(
        measure, networks={"outage, gone": "gone", "outage, hanging": "hanging"}, goal="≤ 1.05"
    ),
}
