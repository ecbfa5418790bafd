"""When resume checkpoints are written."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.services.checkpoint_file import KEPT, Checkpoint
from barrage_mlflow.workspace.code_files import digest_files
from barrage_mlflow.workspace.layout import FITTED_TRANSFORMER


class ResumeCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a resume checkpoint after each epoch, and within epochs if asked.

    All of it is copied at once, and written while training goes on; what writing raises comes out
    of a later call. The training loop reports each step, so that a checkpoint can be written at any
    step, also when the training is interrupted. In a group, all processes call all methods alike,
    and the chief writes.

    Args:
        artifact_dir: the artifact folder.
        every_steps: write one after each so many batches of an epoch.
        every_minutes: write one when the last was written so long ago.
        keep: how many files to keep.

    Attributes:
        every_steps: as given.

    Example:
        >>> ResumeCheckpoint(Path("artifacts"), every_steps=100).every_steps
        100
    """

    def __init__(
        self,
        artifact_dir: Path,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep: int = KEPT,
    ) -> None:
        super().__init__()
        self._artifact_dir = artifact_dir
        self.every_steps = every_steps
        self._every_seconds = math.inf if every_minutes is None else 60 * every_minutes
        self._keep = keep

    def begin(
        self,
        callbacks: Iterable[keras.callbacks.Callback],
        steps: int,
        group: Group = ALONE,
    ) -> None:
        """Begin a training.

        Args:
            callbacks: those whose memory to keep.
            steps: batches in an epoch.
            group: the processes of the training.
        """
        self._group = group
        self._callbacks = list(callbacks)
        self._steps = steps
        self._transformer = digest_files(self._artifact_dir / FITTED_TRANSFORMER)
        self._reached: tuple[int, int] | None = None
        self._before_validation: Checkpoint | None = None
        self._written = time.monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoints")
        self._writing: Future[Path] | None = None

    def reach(self, step: int, epochs: int) -> None:
        """Take note of a step.

        Args:
            step: batches trained, those of all epochs.
            epochs: how many epochs were trained and validated.
        """
        self._reached = step, epochs

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint is to be written of the step that was reached."""
        if self._reached is None or self._before_validation:
            return False
        step, epochs = self._reached
        batch = step - epochs * self._steps
        by_steps = self.every_steps is not None and batch % self.every_steps == 0
        return by_steps or time.monotonic() - self._written >= self._every_seconds

    def before_validation(self) -> None:
        """Copy what validation changes: metrics, generators, callbacks' memory."""
        if self._reached:
            self._before_validation = self._take(*self._reached)

    def save(self) -> None:
        """Write a checkpoint of the step that was reached, unless that was done.

        In validation it is of the moment before: the epoch is validated again.
        """
        if self._reached:
            self._write(self._before_validation or self._take(*self._reached))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the checkpoint of a whole epoch written."""
        self._before_validation = None
        self._write(self._take((epoch + 1) * self._steps, epoch + 1))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wait until all is written."""
        with self._thread:
            self._wait()

    def _take(self, step: int, epochs: int) -> Checkpoint:
        return Checkpoint.take(
            self.model, step, self._steps, epochs, self._callbacks, self._transformer, self._group
        )

    def _write(self, checkpoint: Checkpoint) -> None:
        self._reached = None
        if not self._group.is_chief:
            return
        self._written = time.monotonic()
        self._wait()
        self._writing = self._thread.submit(checkpoint.write, self._artifact_dir, self._keep)

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing:
            writing.result()
