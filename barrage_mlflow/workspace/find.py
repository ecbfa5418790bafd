"""Finds trainings among the artifact folders of a home: unfinished ones, or that of a run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.changes import begun_config
from barrage_mlflow.workspace.record import RunRecord, read_record


def find_unfinished(home: Path) -> Iterator[Path]:
    """Find the folders of trainings that have not finished, the newest first.

    One whose run in MLflow lacks something has not finished either. What cannot be read is passed
    over.

    Args:
        home: the folder of the artifact folders.

    Example:
        >>> list(find_unfinished(Path("nowhere")))
        []
    """
    for folder, record in _records(home):
        is_published = record.published or record.run_id is None
        if _is_begun(folder) and not (record.is_finished and is_published):
            yield folder


def find_run(home: Path, run_id: str) -> Path | None:
    """Find the folder where an MLflow run was trained or fetched to.

    Args:
        home: the folder of the artifact folders.
        run_id: MLflow's id of the run.

    Example:
        >>> find_run(Path("nowhere"), "1f0c") is None
        True
    """
    return next((folder for folder, record in _records(home) if record.run_id == run_id), None)


def _is_begun(folder: Path) -> bool:
    try:
        return bool(begun_config(folder))
    except ArtifactError:
        return False


def _records(home: Path) -> Iterator[tuple[Path, RunRecord]]:
    """Every artifact folder that can be read, with its record; the one last written to first."""
    times = {path: path.stat().st_mtime for path in home.glob(f"*/{artifacts.RUN}")}
    for path in sorted(times, key=times.__getitem__, reverse=True):
        try:
            record = read_record(path.parent)
        except ArtifactError:
            continue
        if record is not None:
            yield path.parent, record
