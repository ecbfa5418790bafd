"""The resume checkpoint: all that a training needs to go on after its process has ended.

One file an epoch, ``epoch-00012.npz``: arrays in NumPy's format without pickle, and among
them a ``state`` of JSON text and a ``checksum`` over everything else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.services.files import written_whole
from barrage_mlflow.services.generators import generator_states, set_generator_states
from barrage_mlflow.services.state import (
    Arrays,
    capture_callbacks,
    capture_variables,
    restore_callbacks,
    restore_variables,
)
from barrage_mlflow.services.writer import BackgroundWriter

Logs = dict[str, float]

logger = logging.getLogger(__name__)

_FORMAT = 1
_NAME = "epoch-{:05d}.npz"
_KEPT = 2
_STATE = "state"
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class Checkpoint:
    """A training as it stood after an epoch.

    Attributes:
        path: the file.
        epoch: how many epochs were trained.
        logs: the metrics of each of them.
        stopped: a callback had ended the training; there is nothing left to train.
    """

    path: Path
    epoch: int
    logs: list[Logs]
    stopped: bool
    _state: dict[str, Any] = field(repr=False)
    _arrays: Arrays = field(repr=False)

    def restore(
        self, network: keras.Model, callbacks: Iterable[keras.callbacks.Callback] = ()
    ) -> None:
        """Put a compiled network, its optimizer, callbacks and all random generators back.

        Training on from there gives the weights that a training without a break gives, bit
        for bit on CPU. Callbacks are to be restored after their ``on_train_begin``;
        ``fit(…, resume=checkpoint)`` does it all in the right order.

        Raises:
            ArtifactError: the checkpoint is of another network, optimizer or other callbacks.
        """
        callbacks = list(callbacks)
        restore_variables(network, self._state["variables"], self._arrays)
        restore_callbacks(callbacks, self._state["callbacks"], self._arrays)
        set_generator_states(self._state["generators"])
        network.stop_training = self.stopped


def save_checkpoint(
    folder: Path,
    network: keras.Model,
    epoch: int,
    logs: Sequence[Logs] = (),
    callbacks: Iterable[keras.callbacks.Callback] = (),
) -> Path:
    """Write a resume checkpoint, whole or not at all; the last two are kept.

    Args:
        folder: the folder of checkpoints; made if it is not there.
        network: compiled, its optimizer built.
        epoch: how many epochs were trained.
        logs: the metrics of each of them.
        callbacks: those whose memory is kept too.

    Returns:
        The file.

    Raises:
        OSError: the file cannot be written; those before are as they were.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> network.compile("adam", "mse")
        >>> with TemporaryDirectory() as folder:
        ...     path = save_checkpoint(Path(folder), network, 3, [{"loss": 0.5}] * 3)
        ...     checkpoint = load_checkpoint(Path(folder))
        >>> path.name, checkpoint.epoch, checkpoint.logs[-1]
        ('epoch-00003.npz', 3, {'loss': 0.5})
    """
    return _write(folder, epoch, *_capture(network, epoch, logs, callbacks))


def _capture(
    network: keras.Model,
    epoch: int,
    logs: Sequence[Logs],
    callbacks: Iterable[keras.callbacks.Callback],
) -> tuple[dict[str, Any], Arrays]:
    """Copy all that a checkpoint holds: the state, and the arrays apart from it."""
    shapes, arrays = capture_variables(network)
    states, callback_arrays = capture_callbacks(callbacks)
    state = {
        "format": _FORMAT,
        "epoch": epoch,
        "logs": list(logs),
        "stopped": bool(network.stop_training),
        "variables": shapes,
        "callbacks": states,
        "generators": generator_states(),
    }
    return state, {**arrays, **callback_arrays}


def _write(folder: Path, epoch: int, state: dict[str, Any], arrays: Arrays) -> Path:
    members = {**arrays, _STATE: _to_bytes(json.dumps(state))}
    content: dict[str, Any] = {**members, _CHECKSUM: _checksum(members)}
    path = folder / _NAME.format(epoch)
    with written_whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **content)
    for old in _checkpoints(folder)[_KEPT:]:
        old.unlink()
    return path


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read the newest resume checkpoint that is whole.

    A damaged one is passed over, with a warning on the log.

    Raises:
        ArtifactError: there is none, or all are damaged.

    Example:
        >>> load_checkpoint(Path("nowhere"))
        Traceback (most recent call last):
        barrage_mlflow.errors.ArtifactError: nowhere: expected a resume checkpoint, found none
    """
    damaged = []
    for path in _checkpoints(folder):
        try:
            return _read(path)
        except Exception as error:  # whatever a damaged file makes zipfile and NumPy raise
            damaged.append(f"{path.name}: {error}")
            logger.warning(
                "resume checkpoint %s is damaged (%s); falling back to the one before", path, error
            )
    if damaged:
        raise ArtifactError(f"{folder}: every resume checkpoint is damaged: {'; '.join(damaged)}")
    raise ArtifactError(f"{folder}: expected a resume checkpoint, found none")


class ResumeCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes a resume checkpoint after each epoch.

    What it holds is copied at once, and written while the next epoch is trained.

    Args:
        folder: where the checkpoints stand.
        writer: writes them; one of its own if left out.

    Example:
        >>> ResumeCheckpoint(Path("checkpoints/resume")).folder.name
        'resume'
    """

    def __init__(self, folder: Path, writer: BackgroundWriter | None = None) -> None:
        super().__init__()
        self.folder = Path(folder)
        self._writer = writer or BackgroundWriter()
        self._callbacks: list[keras.callbacks.Callback] = []
        self._logs: list[Logs] = []

    def watch(
        self, callbacks: Iterable[keras.callbacks.Callback], logs: Sequence[Logs] = ()
    ) -> None:
        """Name the callbacks whose memory to keep, and the metrics of the epochs so far."""
        self._callbacks = list(callbacks)
        self._logs = list(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Have the checkpoint written."""
        self._logs.append(dict(logs or {}))
        state, arrays = _capture(self.model, epoch + 1, self._logs, self._callbacks)
        self._writer.submit(lambda: _write(self.folder, epoch + 1, state, arrays))

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wait until it is written."""
        self._writer.flush()


def _checkpoints(folder: Path) -> list[Path]:
    """The files of a folder, the newest first."""
    return sorted(
        folder.glob("epoch-*.npz"), key=lambda path: int(path.stem.split("-")[1]), reverse=True
    )


def _read(path: Path) -> Checkpoint:
    # Opened here, since NumPy leaves a file that it cannot read open.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
        members = {name: file[name] for name in file.files}
    checksum = members.pop(_CHECKSUM, None)
    if checksum is None or not np.array_equal(checksum, _checksum(members)):
        raise ValueError("its checksum does not match")
    state = json.loads(members.pop(_STATE).tobytes())
    if state["format"] != _FORMAT:
        raise ValueError(f"expected format {_FORMAT}, got {state['format']}")
    return Checkpoint(path, state["epoch"], state["logs"], state["stopped"], state, members)


def _checksum(members: Arrays) -> np.ndarray:
    digest = hashlib.sha256()
    for name in sorted(members):
        array = np.ascontiguousarray(members[name])
        digest.update(f"{name} {array.dtype.str} {members[name].shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)


def _to_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
