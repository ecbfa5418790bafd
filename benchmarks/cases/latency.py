"""What a tracking server that is far away costs a training."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from harness import Bench, Case, CaseError, Goal, Row
from makers import make_table
from slow_proxy import slow_proxy

LATENCY = 0.05
"""Seconds."""
EPOCH = 0.36
"""Seconds that an epoch is made to take; the goal asks for 0.3 at least."""
_LEAST = 0.3
_START = 60
"""Seconds within which the server must answer."""


def train(table: str, validation: str, epochs: int, steps: int, uri: str | None) -> dict[str, Any]:
    """Train with ten metrics an epoch.

    Args:
        table: file of train records.
        validation: file of validation records.
        epochs: how many.
        steps: in an epoch.
        uri: the tracking server; if left out, the training is offline.

    Returns:
        ``whole``: seconds from the begin of the first epoch to the last train step;
        ``epochs``: of each but the first, without validation; ``tracking``: seconds of the
        processor that its own thread took, and that the training thread did.
    """
    os.environ.update({"MLFLOW_TRACKING_URI": uri} if uri else {})

    import mlflow
    from networks import Stopwatch, mlp_config

    from barrage_mlflow import train as run_training
    from barrage_mlflow.carrying import CheckpointUploads
    from barrage_mlflow.tracking import TrackedRun

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
    stopwatch = Stopwatch()
    taken = {"beside": 0.0, "within": 0.0}

    def timed(owner: type, name: str, part: str) -> Any:
        whole = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> None:
            began = time.thread_time()
            whole(*arguments, **named)
            taken[part] += time.thread_time() - began

        return mock.patch.object(owner, name, call)

    with ExitStack() as stack:
        for patch in (
            timed(TrackedRun, "_send_metrics", "beside"),
            timed(TrackedRun, "log_metrics", "within"),
            timed(CheckpointUploads, "_upload_beside", "beside"),
        ):
            stack.enter_context(patch)
        result = run_training(
            config,
            table,
            validation,
            artifact_dir="artifacts",
            callbacks=[stopwatch],
            offline=uri is None,
        )
    if uri:
        client = mlflow.MlflowClient(uri)
        logged = [len(client.get_metric_history(result.run_id, name)) for name in result.metrics]
        if set(logged) != {epochs}:
            raise ValueError(f"expected {epochs} values of each metric, got {logged}")
    whole = stopwatch.ends[-1] - stopwatch.begins[0]
    return {"whole": whole, "epochs": stopwatch.steady, "tracking": taken}


def measure(bench: Bench) -> list[Row]:
    """Measure a training that is tracked far away, and one that is not tracked."""
    table = str(bench.made("table-20000.parquet", make_table, records=20_000, seed=1))
    few = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    epochs = bench.size(100, 3)
    call = partial(bench.call, train, table=table, validation=few)
    steps = 2
    if not bench.short:
        tried = 50
        taken = statistics.median(call(epochs=20, steps=tried, uri=None).value["epochs"])
        steps = round(tried * EPOCH / taken)
    with (
        bench.folder() as folder,
        _mlflow_server(folder) as server,
        slow_proxy(server, LATENCY) as port,
    ):
        uri = f"http://127.0.0.1:{port}"
        rounds = bench.in_turn(
            tracked=lambda: call(epochs=epochs, steps=steps, uri=uri).value,
            alone=lambda: call(epochs=epochs, steps=steps, uri=None).value,
        )
    ours, peer = ([done["whole"] for done in rounds[side]] for side in ("tracked", "alone"))
    least = min(statistics.median(done["epochs"]) for done in rounds["alone"])
    if least < _LEAST and not bench.short:
        raise CaseError(f"expected epochs of {_LEAST} s or more, got {least:.2f} s; run it again")
    cost = {
        part: statistics.median(done["tracking"][part] for done in rounds["tracked"])
        for part in ("beside", "within")
    }
    note = (
        f"epochs of {least:.2f} s; of a core, tracking took {cost['beside']:.2f} s beside the "
        f"training, {cost['within']:.3f} s within"
    )
    return [Row("latency", "no tracking", "s", ours, peer, Goal(1.03, at_most=True), note)]


@contextmanager
def _mlflow_server(folder: Path) -> Iterator[int]:
    """A tracking server on a free port of 127.0.0.1, which gives way to whatever else runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
100 epochs of about 0.36 s, an MLP 512-512 with ten metrics an epoch and the learning rate: seconds
from the begin of the first epoch to the last train step. Ours tracks to a real `mlflow server` on
this machine, at the lowest priority, behind a proxy that holds back all bytes for 25 ms each way;
that every value arrived is checked afterwards. The peer is the same training with `offline`, which
asks for no server. What tracking took of a core, beside the training thread and within it, bounds
the truth where the machine is noisy.""",
        measure,
    )
]
