"""Resume checkpoints among the artifacts of an MLflow run, for another machine to go on with.

MLflow cannot replace a file as a whole, nor delete one. So there are two slots, ``resume/a`` and
``resume/b``, that are written in turn. Each holds all that an artifact folder needs to be gone on
with, and a manifest with the SHA-256 of every file, written last: a slot that was left half
written does not match its manifest, and the other one is taken.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from barrage_mlflow.errors import ArtifactError, BarrageError, TrackingError
from barrage_mlflow.tracking import StoredRun, TrackedRun
from barrage_mlflow.workspace import folder as artifacts

logger = logging.getLogger(__name__)

_HOME = "resume"
_SLOTS = ("a", "b")
_MANIFEST = "manifest.json"
_STAGE = "uploading"
_FETCHING = "fetching"
"""The folder in the artifact folder that is there as long as not all has been fetched."""
_CHECKPOINT = f"{artifacts.CHECKPOINTS}/{artifacts.RESUME}/newest.npz"
"""The checkpoint's name in a slot; the manifest tells what it is called in the artifact folder."""
_APPENDED = (artifacts.REPORT, artifacts.METRICS)
_PARTS = (
    f"{artifacts.CONFIG}.*",
    artifacts.RESOLVED_CONFIG,
    artifacts.RUN,
    *_APPENDED,
    f"{artifacts.CODE}/**/*",
    f"{artifacts.MODEL}/{artifacts.DATA}/{artifacts.TRANSFORMER}/**/*",
    f"{artifacts.CHECKPOINTS}/{artifacts.BEST_WEIGHTS}",
)
_REST = 20
"""Times as long as an upload took is waited before the next: it takes a core from the training."""


class CheckpointUploads:
    """Copies resume checkpoints to the run's artifacts while training goes on.

    A checkpoint that comes while another is being copied, or soon after, is left out: the newest
    one is copied at the end.

    Args:
        run: the MLflow run.
        folder: the artifact folder.
    """

    def __init__(self, run: TrackedRun, folder: Path) -> None:
        self._run = run
        self._folder = folder
        self._stage = folder / artifacts.CHECKPOINTS / _STAGE
        self._held: dict[str, dict[str, Any]] | None = None
        self._sent: dict[str, dict[str, str]] = {}
        self._last: Path | None = None
        self._busy = threading.Lock()
        self._next = 0.0

    def offer(self, checkpoint: Path) -> None:
        """Copy a checkpoint that was just written, unless it is too soon; returns at once.

        To be called before anything else is written, the best weights above all: it takes hold of
        the files as they are.
        """
        if time.monotonic() < self._next or not self._busy.acquire(blocking=False):
            return
        try:
            self._hold(checkpoint)
        except BaseException:
            self._busy.release()
            raise
        threading.Thread(target=self._upload_beside, args=[checkpoint], daemon=True).start()

    def upload_newest(self, timeout: float = 60) -> None:
        """Copy the newest checkpoint, if there is one and it is not there yet.

        Args:
            timeout: seconds to wait for an upload that is under way.

        Raises:
            TrackingError: MLflow cannot be reached, or an upload is still under way.
        """
        home = self._folder / artifacts.CHECKPOINTS / artifacts.RESUME
        checkpoint = next(iter(artifacts.resume_checkpoints(home)), None)
        if not self._busy.acquire(timeout=timeout):
            raise TrackingError(f"the upload of a resume checkpoint took more than {timeout:g} s")
        try:
            if checkpoint is not None and checkpoint != self._last:
                self._hold(checkpoint)
                self._upload(checkpoint)
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)
            self._busy.release()

    def _upload_beside(self, checkpoint: Path) -> None:
        began = time.monotonic()
        try:
            self._upload(checkpoint)
        except (BarrageError, OSError) as error:
            logger.debug("%s", error)  # the metrics' thread tells when a server is gone
        finally:
            shutil.rmtree(self._stage, ignore_errors=True)
            now = time.monotonic()
            self._next = now + _REST * (now - began)
            self._busy.release()

    def _hold(self, checkpoint: Path) -> None:
        """Take hold of the files by links, so that nothing which is written later changes them."""
        shutil.rmtree(self._stage, ignore_errors=True)
        for source in _parts(self._folder):
            path = source.relative_to(self._folder)
            _copy(source, self._stage / path, link=path.name not in _APPENDED)
        _copy(checkpoint, self._stage / _CHECKPOINT, link=True)

    def _upload(self, checkpoint: Path) -> None:
        """Write the slot whose turn it is: what has changed, and then the manifest."""
        if self._held is None:
            self._held = _manifests(self._run.stored())
        held = self._held
        slot = min(_SLOTS, key=lambda slot: _age(held.get(slot)))
        # What another process sent may have been cut off after the manifest that tells of it.
        before = self._sent.pop(slot, {})
        files = {
            path.relative_to(self._stage).as_posix(): _digest(path)
            for path in sorted(self._stage.rglob("*"))
            if path.is_file()
        }
        home = PurePosixPath(_HOME, slot)
        # Until all is there again the slot holds nothing: what breaks off leaves it so.
        held[slot] = {}
        for name, digest in files.items():
            if before.get(name) != digest:
                self._run.log_artifact(self._stage / name, str((home / name).parent))
        manifest = {"checkpoint": checkpoint.name, "files": files}
        path = self._stage / _MANIFEST
        artifacts.write_json(path, manifest)
        self._run.log_artifact(path, str(home))
        held[slot], self._sent[slot] = manifest, files
        self._last = checkpoint


def fetch_training(run_id: str, folder: Path) -> None:
    """Make an artifact folder of the newest resume checkpoint that a run holds.

    Args:
        run_id: the run.
        folder: the artifact folder, which is empty and whose lock is held.

    Raises:
        TrackingError: MLflow cannot be reached, or there is no such run.
        ArtifactError: it holds no resume checkpoint that is whole.
    """
    stored = StoredRun(run_id)
    held = _manifests(stored)
    fetching = folder / _FETCHING
    fetching.mkdir()
    damaged = []
    for slot in sorted(held, key=lambda slot: _age(held[slot]), reverse=True):
        home = stored.fetch(f"{_HOME}/{slot}", fetching)
        wrong = [
            name
            for name, digest in held[slot]["files"].items()
            if not (home / name).is_file() or _digest(home / name) != digest
        ]
        if not wrong:
            _place(home, folder, held[slot])
            shutil.rmtree(fetching)
            logger.info("run %s is fetched into %s", run_id, folder)
            return
        damaged.append(f"{_HOME}/{slot}: {', '.join(wrong)}")
        logger.warning("a resume checkpoint of run %s is damaged (%s)", run_id, damaged[-1])
    shutil.rmtree(fetching)
    reason = "; ".join(damaged) or "it was killed before its first one, or is not a training's"
    raise ArtifactError(
        f"run {run_id} ({stored.run.info.status}) holds no whole resume checkpoint ({reason}); "
        "train from the start, in a new folder"
    )


def clear_half_fetched(folder: Path) -> None:
    """Remove what a process left in an artifact folder that was killed while it fetched a run.

    Args:
        folder: the artifact folder, whose lock is held.
    """
    if not (folder / _FETCHING).exists():
        return
    for path in folder.iterdir():
        if path.name in (artifacts.LOCK, _FETCHING):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(folder / _FETCHING)


def _place(home: Path, folder: Path, manifest: dict[str, Any]) -> None:
    for name in manifest["files"]:
        target = folder / name
        if name == _CHECKPOINT:
            target = target.with_name(manifest["checkpoint"])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(home / name, target)


def _manifests(stored: StoredRun) -> dict[str, dict[str, Any]]:
    """The manifests of the slots that a run holds."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for slot in _SLOTS if _HOME in stored.files() else ():
            name = f"{_HOME}/{slot}/{_MANIFEST}"
            if name in stored.files(f"{_HOME}/{slot}"):
                try:
                    found[slot] = json.loads(stored.fetch(name, folder).read_text("utf-8"))
                except ValueError:  # torn
                    continue
    return found


def _age(manifest: dict[str, Any] | None) -> tuple[int, int]:
    """What is the smaller the older a slot is."""
    return artifacts.checkpoint_place(manifest["checkpoint"]) if manifest else (-1, 0)


def _parts(folder: Path) -> Iterator[Path]:
    for pattern in _PARTS:
        yield from (path for path in folder.glob(pattern) if path.is_file())


def _copy(source: Path, target: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    copy: Callable[[Path, Path], object] = os.link if link else shutil.copyfile
    try:
        copy(source, target)
    except OSError:
        if not link:
            raise
        shutil.copyfile(source, target)  # a file system without links


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
