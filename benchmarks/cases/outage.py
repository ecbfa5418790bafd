"""What a tracking server that is gone, or never answers, costs a training."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from harness import Bench, Case, Goal, Row
from makers import make_table

from cases.latency import EPOCH, steps_of, ten_metrics

_FIRST = 5
"""Epochs before the server goes."""
_WAIT = 2
"""Seconds that the end of the training, which is not measured, waits for the server."""


def train(
    table: str, validation: str, epochs: int, steps: int, outage: str | None
) -> dict[str, Any]:
    """Train with ten metrics an epoch and a server that goes; afterwards it gets what it lacks.

    Args:
        table: file of train records.
        validation: file of validation records.
        epochs: how many.
        steps: in an epoch.
        outage: ``"gone"``: the server is killed; ``"hanging"``: it accepts and never answers; if
            left out, the training is offline.

    Returns:
        ``seconds`` from the begin of the epoch in which the server goes to the last train step, and
        ``processor``: of those that the threads of tracking took, seconds.
    """
    from networks import Stopwatch
    from runs import Call
    from servers import MlflowServer

    import barrage_mlflow
    from barrage_mlflow.carrying import CheckpointUploads
    from barrage_mlflow.tracking import TrackedRun

    stopwatch = Stopwatch()
    processor = 0.0

    def timed(owner: type, name: str) -> Any:
        whole = getattr(owner, name)

        def call(*arguments: Any) -> None:
            nonlocal processor
            began = time.thread_time()
            try:
                whole(*arguments)
            finally:
                processor += time.thread_time() - began

        return mock.patch.object(owner, name, call)

    config = ten_metrics(epochs, steps)
    options = {"artifact_dir": "artifacts"}
    with ExitStack() as stack:
        callbacks = [stopwatch]
        if outage:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(MlflowServer(folder))
            os.environ["MLFLOW_TRACKING_URI"] = server.uri
            go = server.kill if outage == "gone" else partial(server.signal, signal.SIGSTOP)
            callbacks.append(Call(_FIRST - 1, go))
            stack.enter_context(timed(TrackedRun, "_send_metrics"))
            stack.enter_context(timed(CheckpointUploads, "_upload_beside"))
            waits = dict.fromkeys(("FINISHED", "FAILED", "KILLED"), _WAIT)
            stack.enter_context(mock.patch("barrage_mlflow.tracking.run._FLUSH_TIMEOUTS", waits))
        result = barrage_mlflow.train(
            config, table, validation, callbacks=callbacks, offline=not outage, **options
        )
        if outage:
            server.start() if outage == "gone" else server.signal(signal.SIGCONT)
            _check(barrage_mlflow.sync("artifacts"), list(result.metrics), epochs)
    return {"seconds": stopwatch.ends[-1] - stopwatch.begins[_FIRST], "processor": processor}


def _check(run_id: str, names: list[str], epochs: int) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    for name in names:
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        if steps != list(range(1, epochs + 1)):
            raise ValueError(f"{name}: expected one value of each of {epochs} epochs, got {steps}")


def measure(bench: Bench) -> list[Row]:
    """Measure trainings whose server goes, and trainings without one."""
    table = str(bench.made("table-20000.parquet", make_table, records=20_000, seed=1))
    few = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    call = partial(bench.call, train, table=table, validation=few)
    call = partial(call, epochs=bench.size(45, 6), steps=steps_of(bench, table, few, EPOCH))
    taken = bench.in_turn(
        gone=lambda: call(outage="gone").value,
        hanging=lambda: call(outage="hanging").value,
        alone=lambda: call(outage=None).value,
    )
    seconds = {side: [done["seconds"] for done in rounds] for side, rounds in taken.items()}
    return [
        Row(
            f"outage, {side}",
            "no tracking",
            "s",
            seconds[side],
            seconds["alone"],
            Goal(1.05, at_most=True),
            f"tracking took {max(done['processor'] for done in taken[side]):.2f} s of a core",
        )
        for side in ("gone", "hanging")
    ]


CASES = [
    Case(
        "outage",
        """\
40 epochs of about 0.36 s, an MLP 512-512 with ten metrics an epoch and the learning rate: seconds
of the training after its real `mlflow server` was killed, or was stopped so that it accepts and
never answers. The peer is the same training with `offline`, which asks for no server. Afterwards
the server comes back, `sync` brings the run up to the artifact folder, and that it holds every
value once is checked.""",
        measure,
    )
]
