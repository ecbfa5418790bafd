"""What was begun in artifact folders: what it was, whether it has finished, what has changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from barrage_mlflow.config.diff import diff_configs
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.code_files import code_files
from barrage_mlflow.workspace.record import Dataset, RunRecord, read_record

Config = Mapping[str, Any]


def begun_config(folder: Path) -> dict[str, Any] | None:
    """Read the resolved config of a training that was begun; None if it did not come so far.

    Raises:
        ArtifactError: it cannot be read.

    Example:
        >>> begun_config(Path("nowhere")) is None
        True
    """
    config: dict[str, Any] | None = artifacts.read_json(folder / artifacts.RESOLVED_CONFIG)
    return config


def find_changes(
    folder: Path, config: Config, code: Iterable[Path], datasets: Iterable[Dataset]
) -> list[str]:
    """Find how a config, the project's code and records differ from what was begun in a folder.

    Args:
        folder: an artifact folder.
        config: the resolved config.
        code: files and folders of the project's modules.
        datasets: the records; one that the record of the training lacks is no change.

    Returns:
        One line for each difference; empty if nothing was begun.

    Raises:
        ArtifactError: what was begun cannot be read.

    Example:
        >>> find_changes(Path("nowhere"), {}, [], [])
        []
    """
    record, before = read_record(folder), begun_config(folder)
    if record is None or before is None:
        return []
    digests = {dataset.name: dataset.digest for dataset in record.datasets}
    return [
        *(f"config {difference}" for difference in diff_configs(before, config)),
        *_changed_code((folder / artifacts.CODE).glob("*"), code),
        *(
            f"{dataset.name} records: digest {digests[dataset.name]} → {dataset.digest}"
            for dataset in datasets
            if digests.get(dataset.name, dataset.digest) != dataset.digest
        ),
    ]


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
        if begun_config(folder) and not (record.is_finished and is_published):
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


def _changed_code(kept: Iterable[Path], code: Iterable[Path]) -> Iterator[str]:
    before, now = ({name: path.read_bytes() for name, path in code_files(c)} for c in (kept, code))
    for name in sorted({*before, *now}):
        if name not in now:
            yield f"code {name}: is gone"
        elif name not in before:
            yield f"code {name}: is new"
        elif before[name] != now[name]:
            yield f"code {name}: has changed"
