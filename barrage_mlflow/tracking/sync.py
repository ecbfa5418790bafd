"""Brings MLflow up to what an artifact folder holds, when the training is over or was cut off."""

from __future__ import annotations

import os
from pathlib import Path

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.workspace import Workspace


def sync(artifact_dir: str | os.PathLike[str], new_run: bool = False) -> str:
    """Log to MLflow what a training could not; a stand-in until the real one is merged."""
    folder = Path(artifact_dir)
    if not (folder / artifacts.RUN).exists():
        raise ArtifactError(f"{folder}: holds no training; expected an artifact folder")
    with Workspace(folder) as work:
        with Publisher().following(work):
            pass
        return str(work.record.run_id)
