"""Brings MLflow up to an artifact folder, when the training is over or was cut off."""

from __future__ import annotations

import os
from pathlib import Path

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.workspace.record import read_record
from barrage_mlflow.workspace.workspace import Workspace

_OF_A_RUN = ("run_id", "experiment_id", "tracking_uri", "model_uri", "version_uri")


def sync(artifact_dir: str | os.PathLike[str], new_run: bool = False) -> str:
    """Log to MLflow what a training could not, because its server was gone or it was offline.

    Everything is logged in order and once, whatever the run has already, so that it may be called
    again. A run that there is none of yet is made, with the time when the training began.

    Args:
        artifact_dir: the artifact folder.
        new_run: make a new run, where the store that had it is gone for good.

    Returns:
        MLflow's id of the run.

    Raises:
        ArtifactError: no training was begun there, or it is still running.
        TrackingError: MLflow cannot be reached, has no such run, or refuses something.

    Example:
        >>> sync("artifacts/run1")  # doctest: +SKIP
        '1f0c6d2b1d6e4c2f9d0f4f5f5a3c7b21'
    """
    folder = Path(artifact_dir)
    if read_record(folder) is None:
        raise ArtifactError(f"{folder}: holds no training; expected an artifact folder")
    with Workspace.open(folder) as work:
        if new_run:
            work.update(**dict.fromkeys(_OF_A_RUN), published=False)
        Publisher().publish(work)
        return str(work.record.run_id)
