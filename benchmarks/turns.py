"""A training that is tracked by turns: what tracking costs, on a machine whose speed drifts."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any
from unittest import mock

import keras
import mlflow
from networks import Stopwatch

from barrage_mlflow import train
from barrage_mlflow.tracking import TrackedRun
from barrage_mlflow.tracking.checkpoints import CheckpointUploads
from barrage_mlflow.training.train import TrainingResult

_TURNS = 10
"""Turns of a training, of which every other is tracked."""
_SETTLING = 3
"""Epochs at the begin of a turn in which what the turn before handed over may still be sent."""


class _Turns(keras.callbacks.Callback):  # type: ignore[misc]
    """Tells whether the turn that a training is in is tracked: every other is, from the second."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.length = max(1, epochs // _TURNS)
        self.tracked = threading.Event()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Begin."""
        if epoch // self.length % 2:
            self.tracked.set()
        else:
            self.tracked.clear()


def train_by_turns(
    config: Mapping[str, Any],
    table: str,
    validation: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[TrainingResult, dict[str, Any]]:
    """Train with tracking in every other turn of some epochs.

    In the turns between, nothing is handed to MLflow or sent to it: the next turn has it all.

    Args:
        config: of the training; its turns must be even in number, so that the last is tracked.
        table: file of train records.
        validation: file of validation records.
        callbacks: further ones.

    Returns:
        What the training returned, and its figures: ``pairs``, seconds of an epoch in a tracked
        turn and in a turn beside it; ``beside`` and ``within``, seconds of the processor that
        tracking took, on threads of its own and on the training's.
    """
    epochs = config["solver"]["epochs"]
    stopwatch, turns = Stopwatch(), _Turns(epochs)
    taken = {"beside": 0.0, "within": 0.0}
    waiting: list[Any] = []

    def timed(owner: type, name: str, part: str) -> Any:
        whole = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> None:
            if part == "beside":
                turns.tracked.wait()
            began = time.thread_time()
            try:
                whole(*arguments, **named)
            finally:
                taken[part] += time.thread_time() - began

        return mock.patch.object(owner, name, call)

    def handed_over(owner: type, name: str) -> Any:
        whole = getattr(owner, name)

        def call(*arguments: Any) -> None:
            waiting.append(lambda: whole(*arguments))
            while turns.tracked.is_set() and waiting:
                waiting.pop(0)()

        return mock.patch.object(owner, name, call)

    def offered() -> Any:
        whole = CheckpointUploads.offer

        def call(*arguments: Any) -> None:
            if turns.tracked.is_set():
                whole(*arguments)

        return mock.patch.object(CheckpointUploads, "offer", call)

    with ExitStack() as stack:
        # Each patch wraps what those before it left.
        stack.enter_context(timed(TrackedRun, "_send_metrics", "beside"))
        stack.enter_context(timed(CheckpointUploads, "_upload_beside", "beside"))
        stack.enter_context(timed(TrackedRun, "log_metrics", "within"))
        stack.enter_context(handed_over(TrackedRun, "log_metrics"))
        stack.enter_context(offered())
        result = train(config, table, validation, callbacks=[turns, stopwatch, *callbacks])
    edges = [*stopwatch.begins, stopwatch.ends[-1]]
    parts = [edges[first : first + turns.length + 1] for first in range(0, epochs, turns.length)]
    # The first turn is left out: functions are traced in it.
    costs = [_an_epoch(part) if turn % 2 else _settled(part) for turn, part in enumerate(parts)]
    return result, {"pairs": _pairs(costs[1:]), **taken}


def _pairs(costs: Sequence[float]) -> list[tuple[float, float]]:
    """Each two turns side by side, the tracked one first.

    A machine that gets slower weighs on the tracked turn in one pair, on the other in the next.

    Args:
        costs: of the turns in their order, of which the first is tracked.

    Example:
        >>> _pairs([1.1, 1.0, 1.2])
        [(1.1, 1.0), (1.2, 1.0)]
    """
    return [pair[::-1] if at % 2 else pair for at, pair in enumerate(pairwise(costs))]


def _an_epoch(turn: Sequence[float]) -> float:
    return (turn[-1] - turn[0]) / (len(turn) - 1)


def _settled(turn: Sequence[float]) -> float:
    return _an_epoch(turn[min(_SETTLING, len(turn) - 2) :])


def check_metrics(run_id: str, names: Iterable[str], epochs: int) -> None:
    """Check that a run holds one value of each metric for each epoch.

    Raises:
        ValueError: it does not.
    """
    client = mlflow.MlflowClient()
    for name in names:
        steps = [point.step for point in client.get_metric_history(run_id, name)]
        if steps != list(range(1, epochs + 1)):
            raise ValueError(f"{name}: expected one value of each of {epochs} epochs, got {steps}")
