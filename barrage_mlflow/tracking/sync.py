"""Brings MLflow up to what an artifact folder holds, when the training is over or was cut off."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from barrage_mlflow import tracking
from barrage_mlflow.errors import ArtifactError, TrackingError
from barrage_mlflow.tracking import Status
from barrage_mlflow.training.recording import Logbook
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.earlier import find_earlier
from barrage_mlflow.workspace.lock import locked

_KILLED = "the process was killed"


def sync(artifact_dir: str | os.PathLike[str], new_run: bool = False) -> str:
    """Log to MLflow what a training could not, because its server was gone or it was offline.

    Everything is logged in order and once, whatever the run holds already, so that it may be
    called again. A run that there is none of yet is made, with the time when the training began.

    Args:
        artifact_dir: the artifact folder.
        new_run: make a new run, where the store that had it is gone for good.

    Returns:
        MLflow's id of the run.

    Raises:
        ArtifactError: no training was begun there, or it is still running.
        TrackingError: MLflow cannot be reached, or has no such run.

    Example:
        >>> sync("artifacts/run1")  # doctest: +SKIP
        '1f0c6d2b1d6e4c2f9d0f4f5f5a3c7b21'
    """
    folder = Path(artifact_dir)
    if not (folder / artifacts.RUN).exists():
        raise ArtifactError(f"{folder}: holds no training; expected an artifact folder")
    with locked(folder):
        if new_run:
            Logbook(folder, None).forget_run()
        return sync_locked(folder)


def sync_locked(folder: Path) -> str:
    """Do what :func:`sync` does in a folder whose lock is held."""
    earlier = find_earlier(folder)
    assert earlier is not None
    before = Logbook(folder, None)
    about, known = before.about, before.run_id
    try:
        run = tracking.attach_run(known or before.create_run())
    except TrackingError as error:
        if known:
            error.add_note(f"run {known} was begun at {about['tracking_uri']}")
        raise
    if earlier.result is None and run.stored().run.info.status == "FINISHED":
        run.abandon()
        raise ArtifactError(
            f"run {run.run_id} was finished elsewhere: {folder} holds an earlier state of it"
        )
    logbook = Logbook(folder, run)
    # What it came to counts, also if a process was killed while that was logged.
    status: Status = "KILLED" if about["status"] == "RUNNING" else about["status"]
    if earlier.result is not None:
        status = "FINISHED"
    try:
        logbook.publish()
        if status != "FINISHED":
            run.set_tags({tracking.ERROR_TAG: about["error"] or _KILLED})
    except BaseException:
        with suppress(TrackingError):
            run.finish(status, ended=about["ended"])
        raise
    run.finish(status, ended=about["ended"])
    logbook.note_complete()
    return run.run_id
