"""What a tracking server that is gone, or never answers, costs a training."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from harness import Bench, Case, Goal, Row
from makers import make_table

from cases.latency import EPOCH, steps_of, ten_metrics

_WAIT = 2
"""Seconds that the end of the training, which is not measured, waits for the server."""


def train(table: str, validation: str, epochs: int, steps: int, outage: str) -> dict[str, Any]:
    """Train with ten metrics an epoch and a server that goes; afterwards it gets what it lacks.

    Args:
        table: file of train records.
        validation: file of validation records.
        epochs: how many.
        steps: in an epoch.
        outage: ``"gone"``: the server is killed; ``"hanging"``: it accepts and never answers.

    Returns:
        What is told at ``train_by_turns``.
    """
    from runs import Call
    from servers import MlflowServer
    from turns import check_metrics, train_by_turns

    import barrage_mlflow

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(MlflowServer(folder))
        os.environ["MLFLOW_TRACKING_URI"] = server.uri
        go = server.kill if outage == "gone" else partial(server.signal, signal.SIGSTOP)
        waits = dict.fromkeys(("FINISHED", "FAILED", "KILLED"), _WAIT)
        stack.enter_context(mock.patch("barrage_mlflow.tracking.run._FLUSH_TIMEOUTS", waits))
        config = ten_metrics(epochs, steps)
        result, turned = train_by_turns(config, table, validation, [Call(0, go)])
        server.start() if outage == "gone" else server.signal(signal.SIGCONT)
        check_metrics(barrage_mlflow.sync(result.artifact_dir), result.metrics, epochs)
    return turned


def measure(bench: Bench) -> list[Row]:
    """Measure trainings whose server goes, by turns with the tracking held back."""
    table = str(bench.made("table-20000.parquet", make_table, records=20_000, seed=1))
    few = str(bench.made("table-1000.parquet", make_table, records=1_000, seed=2))
    call = partial(bench.call, train, table=table, validation=few)
    call = partial(call, epochs=bench.size(100, 6), steps=steps_of(bench, table, few, EPOCH))
    taken = bench.in_turn(
        gone=lambda: call(outage="gone").value,
        hanging=lambda: call(outage="hanging").value,
    )
    return [_row(side, rounds) for side, rounds in taken.items()]


def _row(side: str, rounds: Sequence[Mapping[str, Any]]) -> Row:
    pairs = [pair for done in rounds for pair in done["pairs"]]
    ours, peer = [tracked for tracked, _ in pairs], [alone for _, alone in pairs]
    cost = max(done["beside"] + done["within"] for done in rounds)
    note = f"{len(pairs)} pairs of turns; tracking took {cost:.2f} s of a core"
    goal = Goal(1.05, at_most=True)
    return Row(f"outage, {side}", "no tracking", "s an epoch", ours, peer, goal, note)


CASES = [
    Case(
        "outage",
        """\
The training of the case latency, whose real `mlflow server` is killed after the first epoch, or
stopped so that it accepts and never answers: seconds of an epoch in a turn that tracks, against the
turns beside it, in which tracking stands still. Afterwards the server comes back, `sync` brings the
run up to the artifact folder, and that it holds every value once is checked.""",
        measure,
    )
]
