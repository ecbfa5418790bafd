"""Resume checkpoints among the artifacts of an MLflow run, for another machine to go on with.

Sending one may be cut off at any moment. So there are two slots, ``resume/a`` and ``resume/b``,
that are written in turn. Each has all that an artifact folder needs to be gone on with, and a
manifest with the SHA-256 of every file, written last: a slot that was left half written does not
match its manifest, and the other one is taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import folder as artifacts

logger = logging.getLogger(__name__)

SLOTS = "resume"
"""The folder of both slots among the artifacts."""
_NAMES = ("a", "b")
_MANIFEST = "manifest.json"
_STAGE = "sending"
_CHECKPOINT = f"{artifacts.CHECKPOINTS}/{artifacts.RESUME}/newest.npz"
"""The checkpoint's name in a slot; the manifest has its name in the artifact folder."""
_BEST_WEIGHTS = f"{artifacts.CHECKPOINTS}/{artifacts.BEST_WEIGHTS}"
_PARTS = (
    f"{artifacts.CONFIG}.*",
    artifacts.RESOLVED_CONFIG,
    artifacts.RUN,
    artifacts.METRICS,
    f"{artifacts.CODE}/**/*",
    f"{artifacts.MODEL}/{artifacts.DATA}/{artifacts.TRANSFORMER}/**/*",
    _BEST_WEIGHTS,
)


def newest_checkpoint(folder: Path) -> Path | None:
    """Find the newest resume checkpoint of an artifact folder; None if there is none.

    Example:
        >>> newest_checkpoint(Path("nowhere")) is None
        True
    """
    home = folder / artifacts.CHECKPOINTS / artifacts.RESUME
    return next(iter(artifacts.resume_checkpoints(home)), None)


def send_checkpoint(
    folder: Path, checkpoint: Path, slot: str, send: Callable[[Mapping[str, Path]], object]
) -> bool:
    """Send a resume checkpoint, and all that is needed to go on from it, to a slot.

    Args:
        folder: the artifact folder.
        checkpoint: the checkpoint.
        slot: one of :func:`slots`.
        send: copies local files to the artifacts of the run, by their paths there.

    Returns:
        Whether it was sent; not if the best weights have been replaced since it was written.

    Raises:
        TrackingError: MLflow cannot be reached.
        OSError: a file has gone meanwhile.

    Example:
        >>> send_checkpoint(folder, checkpoint, "a", send)  # doctest: +SKIP
        True
    """
    with _staged(folder, checkpoint) as stage:
        files = {
            path.relative_to(stage).as_posix(): path for path in stage.rglob("*") if path.is_file()
        }
        digests = {name: _digest(path) for name, path in files.items()}
        if not _fits(stage / _CHECKPOINT, digests.get(_BEST_WEIGHTS)):
            return False
        home = f"{SLOTS}/{slot}"
        send({f"{home}/{name}": path for name, path in files.items()})
        manifest = {"checkpoint": checkpoint.name, "files": digests}
        artifacts.write_json(stage / _MANIFEST, manifest)
        send({f"{home}/{_MANIFEST}": stage / _MANIFEST})
    return True


def slots(store: Store, run_id: str) -> list[str]:
    """Return the names of the slots, that with the older checkpoint first.

    Raises:
        TrackingError: MLflow cannot be reached.

    Example:
        >>> slots(Store(), "1f0c")  # doctest: +SKIP
        ['b', 'a']
    """
    found = _manifests(store, run_id)
    return sorted(_NAMES, key=lambda slot: found.get(slot, {}).get("checkpoint", ""))


def fetch_training(run_id: str, folder: Path) -> None:
    """Make an artifact folder of the newest resume checkpoint among the artifacts of a run.

    Args:
        run_id: the run.
        folder: the artifact folder; there is none yet, or it is empty.

    Raises:
        TrackingError: MLflow cannot be reached, or there is no such run.
        ArtifactError: the run has no resume checkpoint that is whole, or the folder is not empty.

    Example:
        >>> fetch_training("1f0c", Path("artifacts/here"))  # doctest: +SKIP
    """
    store = Store(existing=True)
    run = store.read_run(run_id)
    artifacts.check_free(folder)
    found = _manifests(store, run_id)
    damaged = []
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=folder.parent) as fetching:
        for slot in sorted(found, key=lambda slot: found[slot]["checkpoint"], reverse=True):
            fetched = store.fetch(run_id, f"{SLOTS}/{slot}", fetching)
            files: Mapping[str, str] = found[slot]["files"]
            wrong = [name for name in files if _digest(fetched / name) != files[name]]
            if not wrong:
                name = found[slot]["checkpoint"]
                (fetched / _CHECKPOINT).replace((fetched / _CHECKPOINT).with_name(name))
                (fetched / _MANIFEST).unlink()
                _move(fetched, folder)
                logger.info("run %s is fetched into %s", run_id, folder)
                return
            damaged.append(f"{SLOTS}/{slot}: {', '.join(wrong)}")
            logger.warning("a resume checkpoint of run %s is damaged (%s)", run_id, damaged[-1])
    reason = "; ".join(damaged) or (
        "it was killed before its first one, or is no training with "
        '{"services": {"resume_checkpoint": {"in_mlflow": true}}}'
    )
    raise ArtifactError(
        f"run {run_id} ({run.info.status}) has no whole resume checkpoint ({reason}); train from "
        "the start, in a new folder"
    )


@contextmanager
def _staged(folder: Path, checkpoint: Path) -> Iterator[Path]:
    """Link what belongs to a checkpoint, so that nothing which is written later changes it."""
    stage = folder / artifacts.CHECKPOINTS / _STAGE
    shutil.rmtree(stage, ignore_errors=True)
    try:
        _link(checkpoint, stage / _CHECKPOINT)
        for pattern in _PARTS:
            for path in folder.glob(pattern):
                if path.is_file():
                    _link(path, stage / path.relative_to(folder))
        yield stage
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.name == artifacts.METRICS:  # it is written on
            raise OSError
        os.link(source, target)
    except OSError:  # or a file system without links
        shutil.copy2(source, target)


def _fits(checkpoint: Path, best_weights: str | None) -> bool:
    """Whether a checkpoint was written when the best weights had this digest."""
    with np.load(checkpoint, allow_pickle=False) as file:
        state = file["state"].tobytes().decode()
    return best_weights is None or best_weights in state


def _digest(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifests(store: Store, run_id: str) -> dict[str, dict[str, Any]]:
    """Read the manifests of the slots that a run has."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for home in store.list_files(run_id, SLOTS):
            name = f"{home}/{_MANIFEST}"
            if name in store.list_files(run_id, home):
                try:
                    manifest = json.loads(store.fetch(run_id, name, folder).read_text("utf-8"))
                except ValueError:  # torn
                    continue
                found[home.rpartition("/")[2]] = manifest
    return found


def _move(fetched: Path, folder: Path) -> None:
    try:
        fetched.replace(folder)
    except OSError as error:
        raise ArtifactError(f"{folder} is in use, or cannot be made ({error})") from error
