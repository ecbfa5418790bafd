"""The resume checkpoint: all that a training needs to go on after its process has ended.

A file is called after the steps that were trained, ``step-000001234.npz``. It has a ``state`` of
JSON text, and in NumPy's format without pickle the arrays that the text refers to. The zip format
has a checksum of each. The number in the run record says which version of the engine laid it out.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.distribution.group import ALONE, Group
from barrage_mlflow.distribution.synchronize import gather_metrics, set_metrics
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.files import partial_path, written_whole
from barrage_mlflow.services.training_state import (
    copy_callbacks,
    copy_variables,
    generator_states,
    restore_callbacks,
    restore_variables,
    set_generator_states,
)
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.code_files import digest_files
from barrage_mlflow.workspace.history import History
from barrage_mlflow.workspace.threads import operation_threads

logger = logging.getLogger(__name__)

KEPT = 2
"""Files that are kept where the config does not name a number."""
_ARRAY = "__array__"
_OTHER_THREADS = "going on with %s threads, not with %s: last bits may differ; --threads sets it"
_OTHER_PROCESSES = "going on with %s processes, not with %s: it comes out the same to rounding"


@dataclass(frozen=True)
class Checkpoint:
    """A training between two batches, in memory or from a file.

    Attributes:
        step: batches trained, those of all epochs.
        steps: batches in an epoch.
        epochs: how many epochs were trained and validated.
        stopped: a callback had ended the training, or this epoch of it.
        transformer: fingerprint of the files of the saved transformer.
        memory: what variables, callbacks and random generators are, and the number of threads: JSON
            values and arrays.
        path: the file; None as long as there is none.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        >>> network.compile("adam", "mse")
        >>> checkpoint = Checkpoint.take(network, step=14, steps=6, epochs=2)
        >>> with TemporaryDirectory() as folder:
        ...     path = checkpoint.write(Path(folder))
        ...     again = Checkpoint.read(path)
        >>> path.name, again.epochs, again.batch
        ('step-000000014.npz', 2, 2)
    """

    step: int
    steps: int
    epochs: int
    stopped: bool
    transformer: str
    memory: dict[str, Any] = field(repr=False)
    path: Path | None = None

    @classmethod
    def take(
        cls,
        network: keras.Model,
        step: int,
        steps: int,
        epochs: int,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        transformer: str = "",
        group: Group = ALONE,
    ) -> Checkpoint:
        """Copy all that a training needs to go on.

        Args:
            network: compiled, the variables of optimizer and metrics made.
            step: batches trained, those of all epochs.
            steps: batches in an epoch.
            epochs: how many epochs were trained and validated.
            callbacks: those whose memory is kept too.
            transformer: fingerprint of its files.
            group: the processes of the training, all of which take part.
        """
        memory: dict[str, Any] = {
            "variables": copy_variables(network),
            "callbacks": copy_callbacks(callbacks),
            "generators": generator_states(),
            "threads": operation_threads(),
        }
        if group.count > 1:
            memory["counted"] = gather_metrics(group, network)
        return cls(step, steps, epochs, bool(network.stop_training), transformer, memory)

    @property
    def batch(self) -> int:
        """How many batches of the next epoch were trained."""
        return self.step - self.epochs * self.steps

    def restore(
        self,
        network: keras.Model,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        group: Group = ALONE,
    ) -> None:
        """Put a compiled network, its optimizer, callbacks and all random generators back.

        Training on from there gives the weights that a training without a break gives, bit
        for bit on CPU, if TensorFlow has as many threads; a warning on the log says if it has not.
        Callbacks are to be restored after their ``on_train_begin``, and within an epoch after its
        ``on_epoch_begin``; ``run_epochs(…, resume=checkpoint)`` does it all in the right order.
        A group of another number of processes goes on to rounding. Only its chief has callbacks.

        Raises:
            ArtifactError: the checkpoint is of another network, optimizer or other callbacks.
        """
        restore_variables(network, self.memory["variables"])
        counted = self.memory.get("counted")
        if counted is not None or group.count > 1:
            set_metrics(
                group, network, gather_metrics(ALONE, network) if counted is None else counted
            )
        if group.is_chief:
            restore_callbacks(callbacks, self.memory["callbacks"])
        set_generator_states(self.memory["generators"])
        before, now = self.memory["threads"], operation_threads()
        if before != now:
            logger.warning(_OTHER_THREADS, now, before)
        network.stop_training = self.stopped

    def write(self, artifact_dir: Path, keep: int = KEPT) -> Path:
        """Write it to an artifact folder, whole or not at all.

        Args:
            artifact_dir: the artifact folder.
            keep: how many files to keep, this one included.

        Returns:
            The file.

        Raises:
            OSError: the file cannot be written; those before are as they were.
        """
        arrays: dict[str, np.ndarray] = {}

        def refer(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value.item()
            name = f"array-{len(arrays)}"
            arrays[name] = value
            # NumPy's format keeps the bits of bfloat16 and its like, not the name.
            return {_ARRAY: name, "dtype": value.dtype.name}

        path = artifact_dir / artifacts.RESUME / artifacts.checkpoint_name(self.step)
        state = {**vars(self), "path": None}
        text = json.dumps(state, default=refer).encode()
        for left in path.parent.glob(partial_path(Path("*.npz")).name):
            left.unlink()  # by a process that was killed
        with written_whole(path) as partial, partial.open("wb") as file:
            np.savez(file, state=np.frombuffer(text, np.uint8), **arrays)  # type: ignore[arg-type]
        found = artifacts.resume_checkpoints(artifact_dir)
        # A later one is damaged, or of a training whose epochs had more steps.
        later = [each for each in found if each > path]
        for other in (*later, *found[len(later) + keep :]):
            other.unlink()
        return path

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read what :meth:`write` wrote.

        Raises:
            Exception: whatever a damaged file makes zipfile and NumPy raise.
        """
        # Opened here, since NumPy leaves a file that it cannot read open.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}

        def look_up(value: dict[str, Any]) -> Any:
            return arrays[value[_ARRAY]].view(value["dtype"]) if _ARRAY in value else value

        state = json.loads(arrays["state"].tobytes(), object_hook=look_up)
        return cls(**{**state, "path": path})


def find_checkpoint(artifact_dir: Path, history: History) -> Checkpoint | None:
    """Read the newest resume checkpoint that a training can go on from; None if none was written.

    One that is damaged, or of more epochs than the history has, is passed over with a warning on
    the log.

    Args:
        artifact_dir: the artifact folder.
        history: its metrics.

    Raises:
        ArtifactError: all are passed over, or the saved transformer is not as it was.

    Example:
        >>> find_checkpoint(Path("nowhere"), History(Path("nowhere/metrics.jsonl"))) is None
        True
    """
    kept = {epoch.step for epoch in history.epochs()}
    reasons = []
    for path in artifacts.resume_checkpoints(artifact_dir):
        try:
            found = Checkpoint.read(path)
            missing = set(range(1, found.epochs + 1)) - kept
            if missing:
                raise ValueError(f"{artifacts.METRICS} lacks epoch {min(missing)}")
        except Exception as error:
            reasons.append(f"{path.name}: {error}")
            logger.warning("resume checkpoint %s is of no use: %s", path, error)
            continue
        if found.transformer != digest_files(artifact_dir / artifacts.FITTED_TRANSFORMER):
            raise ArtifactError(
                f"{artifact_dir}: the training cannot go on, since the files of its transformer "
                "are not as they were written; put them back, or train in a new folder"
            )
        return found
    if reasons:
        raise ArtifactError(
            f"{artifact_dir / artifacts.RESUME}: no resume checkpoint is of use: "
            f"{'; '.join(reasons)}; remove them to train from the start"
        )
    return None
