"""What a tracking server that is far away costs a training."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness import Bench, Case, CaseError, Goal, Row
from makers import make_table
from model_server import free_port
from slow_proxy import slow_proxy

LATENCY = 0.05
"""Seconds."""
EPOCH = 0.36
"""Seconds that an epoch is made to take; the goal asks for 0.3 at least."""
_LEAST = 0.3
_START = 60
"""Seconds within which the server must answer."""


def ten_metrics(epochs: int, steps: int) -> dict[str, Any]:
    """A config of ten metrics an epoch, besides the learning rate."""
    from networks import mlp_config

    config = mlp_config(256, epochs)
    for layer in config["model"]["network"]["params"]["layers"][1:3]:
        layer["params"]["units"] = 512
    # With the loss, and both once more on validation: ten.
    names = ["mae", "mape", "msle", "log_cosh"]
    config["model"]["outputs"][0]["metrics"] = [{"import": name} for name in names]
    config["solver"]["steps"] = steps
    patience = {"mode": "min", "patience": epochs, "min_delta": 0}
    config["services"] = {
        "train_early_stopping": {"monitor": "loss", **patience},
        "validation_early_stopping": {"monitor": "val_loss", **patience},
    }
    return config


def seconds_of_an_epoch(table: str, validation: str, epochs: int, steps: int) -> float:
    """Seconds of an epoch of so many steps; the median."""
    from networks import Stopwatch

    from barrage_mlflow import train

    stopwatch = Stopwatch()
    config = ten_metrics(epochs, steps)
    train(config, table, validation, callbacks=[stopwatch], offline=True)
    return statistics.median(stopwatch.steady)


def steps_of(bench: Bench, table: str, few: str, seconds: float) -> int:
    """So many steps that an epoch takes about that long."""
    if bench.short:
        return 2
    tried = 50
    call = partial(bench.call, seconds_of_an_epoch, table=table, validation=few)
    return round(tried * seconds / call(epochs=20, steps=tried).value)


def train_far_away(
    table: str, validation: str, epochs: int, steps: int, uri: str
) -> dict[str, Any]:
    """Train with a server that is far away; what is returned is told at ``train_by_turns``.

    Args:
        table: file of train records.
        validation: file of validation records.
        epochs: how many.
        steps: in an epoch.
        uri: the tracking server.
    """
    os.environ["MLFLOW_TRACKING_URI"] = uri

    from turns import check_metrics, train_by_turns

    result, turned = train_by_turns(ten_metrics(epochs, steps), table, validation)
    check_metrics(result.run_id, result.metrics, epochs)
    return turned


def measure(bench: Bench) -> list[Row]:
    """Measure the epochs of trainings that are tracked far away by turns."""
    table = str(bench.made("table-20000.parquet", make_table, records=20_000, seed=1))
    few = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    epochs = bench.size(100, 6)
    steps = steps_of(bench, table, few, EPOCH)
    with (
        bench.folder() as folder,
        _mlflow_server(folder) as server,
        slow_proxy(server, LATENCY) as port,
    ):
        uri = f"http://127.0.0.1:{port}"
        call = partial(bench.call, train_far_away, table=table, validation=few)
        rounds = [call(epochs=epochs, steps=steps, uri=uri).value for _ in range(bench.rounds)]
    pairs = [pair for done in rounds for pair in done["pairs"]]
    least = statistics.median(alone for _, alone in pairs)
    if least < _LEAST and not bench.short:
        raise CaseError(f"expected epochs of {_LEAST} s or more, got {least:.2f} s; run it again")
    cost = {part: statistics.median(done[part] for done in rounds) for part in ("beside", "within")}
    note = (
        f"{len(pairs)} pairs of turns; of a core, tracking took {cost['beside']:.2f} s beside a "
        f"training, {cost['within']:.3f} s within"
    )
    ours, peer = [tracked for tracked, _ in pairs], [alone for _, alone in pairs]
    return [Row("latency", "no tracking", "s an epoch", ours, peer, Goal(1.03, at_most=True), note)]


@contextmanager
def _mlflow_server(folder: Path) -> Iterator[int]:
    """A tracking server on a free port of 127.0.0.1, which gives way to whatever else runs."""
    port = free_port()
    place = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", "sqlite:///served.db", "--artifacts-destination", "served"]
    command = [sys.executable, "-m", "mlflow", "server", *place, *stores]
    log = folder / "server.log"
    with log.open("wb") as said:
        server = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, start_new_session=True
        )
    try:
        # It would run elsewhere: it must not take what the training could have.
        os.setpriority(os.PRIO_PROCESS, server.pid, 19)
        deadline = time.monotonic() + _START
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if server.poll() is not None or time.monotonic() > deadline:
                raise CaseError(f"the MLflow server did not start:\n{log.read_text('utf-8')}")
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


CASES = [
    Case(
        "latency",
        """\
100 epochs of about 0.36 s, an MLP 512-512 with ten metrics an epoch and the learning rate, tracked
to a real `mlflow server` on this machine, at the lowest priority, behind a proxy that holds back
all bytes for 25 ms each way; resume checkpoints are copied to it as well. In every other turn of
ten epochs nothing is handed to MLflow, and the next turn hands over twice as much: seconds of an
epoch in a tracked turn, against the turns beside it without their first three epochs, in which
something may still be sent. That every value arrived is checked afterwards. What tracking took of
a core, beside the training thread and within it, bounds the truth where the machine is noisy.""",
        measure,
    )
]
