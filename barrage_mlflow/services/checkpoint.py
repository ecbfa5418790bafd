"""The resume checkpoint: all that a training needs to go on after its process has ended.

A file is called ``epoch-00012.npz``, or ``epoch-00012-batch-340.npz`` if it was written within the
epoch that follows. It holds arrays in NumPy's format without pickle, and among them a ``state`` of
JSON text and a ``checksum`` over everything else.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.files import partial_path, written_whole
from barrage_mlflow.services.generators import generator_states, set_generator_states
from barrage_mlflow.services.state import (
    OWNERS,
    Arrays,
    capture_callbacks,
    capture_variables,
    restore_callbacks,
    restore_variables,
)
from barrage_mlflow.workspace.folder import resume_checkpoints

Logs = dict[str, float]

logger = logging.getLogger(__name__)

_FORMAT = 2
KEPT = 2
"""Files that are kept, if nothing else is said."""
_STATE = "state"
_CHECKSUM = "checksum"


@dataclass(frozen=True)
class Checkpoint:
    """A training as it stood after an epoch, or between two batches.

    Attributes:
        path: the file.
        epoch: how many epochs were trained and validated.
        batch: how many batches of the next one were trained.
        logs: the metrics of each of the epochs.
        stopped: a callback had ended the training, or this epoch of it.
        about: what the training says of itself.
    """

    path: Path
    epoch: int
    batch: int
    logs: list[Logs]
    stopped: bool
    about: dict[str, Any]
    _state: dict[str, Any] = field(repr=False)
    _arrays: Arrays = field(repr=False)

    def restore(
        self, network: keras.Model, callbacks: Iterable[keras.callbacks.Callback] = ()
    ) -> None:
        """Put a compiled network, its optimizer, callbacks and all random generators back.

        Training on from there gives the weights that a training without a break gives, bit
        for bit on CPU. Callbacks are to be restored after their ``on_train_begin``, and within an
        epoch after its ``on_epoch_begin``; ``fit(…, resume=checkpoint)`` does it all in the
        right order.

        Raises:
            ArtifactError: the checkpoint is of another network, optimizer or other callbacks.
        """
        callbacks = list(callbacks)
        # At the begin of an epoch the metrics are set to zero, and may not have been made yet.
        owners = [owner for owner in OWNERS if owner != "metrics" or self.batch]
        restore_variables(network, self._state["variables"], self._arrays, owners)
        restore_callbacks(callbacks, self._state["callbacks"], self._arrays)
        set_generator_states(self._state["generators"])
        network.stop_training = self.stopped


@dataclass(frozen=True)
class Snapshot:
    """A copy of all that a checkpoint holds.

    Attributes:
        epoch: how many epochs were trained and validated.
        batch: how many batches of the next one were trained.
        state: JSON values.
        arrays: apart from them.
    """

    epoch: int
    batch: int
    state: dict[str, Any]
    arrays: Arrays


def take_snapshot(
    network: keras.Model,
    epoch: int,
    batch: int = 0,
    logs: Sequence[Logs] = (),
    callbacks: Iterable[keras.callbacks.Callback] = (),
    about: Mapping[str, Any] | None = None,
    owners: Iterable[str] = OWNERS,
) -> Snapshot:
    """Copy all that a checkpoint holds.

    Args:
        network: compiled, its optimizer built.
        epoch: how many epochs were trained and validated.
        batch: how many batches of the next one were trained.
        logs: the metrics of each of the epochs.
        callbacks: those whose memory is kept too.
        about: what the training says of itself; JSON values.
        owners: whose variables to copy, of :data:`~barrage_mlflow.services.state.OWNERS`.
    """
    shapes, arrays = capture_variables(network, owners)
    states, callback_arrays = capture_callbacks(callbacks)
    state = {
        "format": _FORMAT,
        "epoch": epoch,
        "batch": batch,
        "logs": list(logs),
        "stopped": bool(network.stop_training),
        "about": dict(about or {}),
        "variables": shapes,
        "callbacks": states,
        "generators": generator_states(),
    }
    return Snapshot(epoch, batch, state, {**arrays, **callback_arrays})


def write_checkpoint(folder: Path, snapshot: Snapshot, keep: int = KEPT) -> Path:
    """Write a resume checkpoint, whole or not at all.

    Args:
        folder: the folder of checkpoints; made if it is not there.
        snapshot: what to write.
        keep: how many to keep, this one included.

    Returns:
        The file.

    Raises:
        OSError: the file cannot be written; those before are as they were.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> network.compile("adam", "mse")
        >>> snapshot = take_snapshot(network, 3, logs=[{"loss": 0.5}] * 3)
        >>> with TemporaryDirectory() as folder:
        ...     path = write_checkpoint(Path(folder), snapshot)
        ...     checkpoint = find_checkpoint(Path(folder))
        >>> path.name, checkpoint.epoch, checkpoint.logs[-1]
        ('epoch-00003.npz', 3, {'loss': 0.5})
    """
    members = {**snapshot.arrays, _STATE: _to_bytes(json.dumps(snapshot.state))}
    content: dict[str, Any] = {**members, _CHECKSUM: _checksum(members)}
    within = f"-batch-{snapshot.batch}" if snapshot.batch else ""
    path = folder / f"epoch-{snapshot.epoch:05d}{within}.npz"
    for left in folder.glob(partial_path(folder / "epoch-*.npz").name):
        left.unlink()  # by a process that was killed
    with written_whole(path) as partial, partial.open("wb") as file:
        np.savez(file, **content)
    for old in resume_checkpoints(folder)[keep:]:
        old.unlink()
    return path


def find_checkpoint(folder: Path) -> Checkpoint | None:
    """Read the newest resume checkpoint that is whole; None if none was written.

    A damaged one is put aside, with a warning on the log.

    Raises:
        ArtifactError: all are damaged.

    Example:
        >>> find_checkpoint(Path("nowhere")) is None
        True
    """
    damaged: dict[Path, str] = {}
    found = None
    for path in resume_checkpoints(folder):
        try:
            found = _read(path)
            break
        except Exception as error:  # whatever a damaged file makes zipfile and NumPy raise
            damaged[path] = f"{path.name}: {error}"
            logger.warning(
                "resume checkpoint %s is damaged (%s); falling back to the one before", path, error
            )
    if damaged and found is None:
        raise ArtifactError(
            f"{folder}: every resume checkpoint is damaged: {'; '.join(damaged.values())}; remove "
            "them to train from the start"
        )
    for path in damaged:
        # Else it would count as the newest, and be kept in the place of a whole one.
        path.replace(path.with_name(f"damaged-{path.name}"))
    return found


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
    names = ("epoch", "batch", "logs", "stopped", "about")
    return Checkpoint(path, **{name: state[name] for name in names}, _state=state, _arrays=members)


def _checksum(members: Arrays) -> np.ndarray:
    digest = hashlib.sha256()
    for name in sorted(members):
        array = np.ascontiguousarray(members[name])
        digest.update(f"{name} {array.dtype.str} {members[name].shape}\n".encode())
        digest.update(array.data.cast("B") if array.size else b"")
    return np.frombuffer(digest.digest(), np.uint8)


def _to_bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)
