"""When resume checkpoints are written, and what of the training stands still meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.services.checkpoint import (
    KEPT,
    Logs,
    Snapshot,
    take_snapshot,
    write_checkpoint,
)
from barrage_mlflow.services.state import OWNERS, TRAINED, copy_variables
from barrage_mlflow.services.writer import BackgroundWriter


class ResumeCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a resume checkpoint after each epoch, and within epochs if asked.

    What it holds is copied at once, and written while training goes on. The training loop tells
    it where it stands, so that one can be written of any moment, also when the training is
    interrupted.

    Args:
        folder: where the checkpoints stand.
        writer: writes them; one of its own if left out.
        every_steps: write one after each so many batches of an epoch.
        every_minutes: write one when the last was written so long ago.
        keep: how many files to keep.
        about: what the training says of itself, for whoever resumes it; JSON values.
        written: called with each file that was written, before anything else is.

    Attributes:
        folder: as given, like ``every_steps``.

    Example:
        >>> ResumeCheckpoint(Path("checkpoints/resume")).folder.name
        'resume'
    """

    def __init__(
        self,
        folder: Path,
        writer: BackgroundWriter | None = None,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        keep: int = KEPT,
        about: Mapping[str, Any] | None = None,
        written: Callable[[Path], object] | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every_steps = every_steps
        self._writer = writer or BackgroundWriter()
        self._every_seconds = None if every_minutes is None else 60 * every_minutes
        self._keep = keep
        self._about = about
        self._tell = written
        self._callbacks: list[keras.callbacks.Callback] = []
        self._logs: Sequence[Logs] = []
        self._place: tuple[int, int] | None = None
        self._before_validation: Snapshot | None = None
        self._written = time.monotonic()

    def watch(
        self, callbacks: Iterable[keras.callbacks.Callback], logs: Sequence[Logs] = ()
    ) -> None:
        """Name the callbacks whose memory to keep, and the metrics of the epochs, as they come.

        The logs that callbacks are given will not do: Keras's learning rate reducer changes them.
        """
        self._callbacks = list(callbacks)
        self._logs = logs

    def stand(self, epoch: int, batch: int) -> None:
        """The training stands between two batches; write a checkpoint if one is due.

        Args:
            epoch: how many epochs were trained and validated.
            batch: how many batches of the next one were trained.
        """
        self._place = epoch, batch
        steps, seconds = self.every_steps, self._every_seconds
        if (steps is not None and batch % steps == 0) or (
            seconds is not None and time.monotonic() - self._written >= seconds
        ):
            self._write(self._snapshot(epoch, batch))

    def stand_before_validation(self, epoch: int, batch: int) -> None:
        """Copy what validation changes: the rest stands still until it is over."""
        self._place = epoch, batch
        owners = set(OWNERS) - set(TRAINED)
        self._before_validation = self._snapshot(epoch, batch, owners)

    def save(self) -> None:
        """Write a checkpoint of where the training stands, if it stands and none is there."""
        if self._place is None:
            return
        snapshot = self._before_validation
        if snapshot is None:
            snapshot = self._snapshot(*self._place)
        else:
            snapshot.arrays.update(copy_variables(self.model, TRAINED))
        self._write(snapshot)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the checkpoint of a whole epoch written."""
        self._write(self._snapshot(epoch + 1, 0))
        self._before_validation = None

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wait until all is written."""
        self._writer.flush()

    def _snapshot(self, epoch: int, batch: int, owners: Iterable[str] = OWNERS) -> Snapshot:
        return take_snapshot(
            self.model, epoch, batch, self._logs, self._callbacks, self._about, owners
        )

    def _write(self, snapshot: Snapshot) -> None:
        self._place = None  # a second one of the same moment would say the same
        self._written = time.monotonic()
        self._writer.submit(lambda: self._write_now(snapshot))

    def _write_now(self, snapshot: Snapshot) -> None:
        path = write_checkpoint(self.folder, snapshot, self._keep)
        if self._tell:
            self._tell(path)
