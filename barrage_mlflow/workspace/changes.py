"""What was begun in an artifact folder, and what has changed since, which is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from barrage_mlflow.config.diff import diff_configs
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.code_files import code_files
from barrage_mlflow.workspace.record import Dataset, read_record

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
        datasets: the records; a set that the record of the training lacks is no change.

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


def refuse_changes(folder: Path, changes: Sequence[str]) -> None:
    """Refuse to go on with what was begun in a folder, if something has changed since.

    Args:
        folder: an artifact folder.
        changes: a line for each.

    Raises:
        ArtifactError: there are changes.

    Example:
        >>> refuse_changes(Path("out"), [])
    """
    if changes:
        listed = "".join(f"\n  {change}" for change in changes)
        raise ArtifactError(
            f"{folder}: what was begun there has changed since:{listed}\n"
            "undo that, name a new folder, or go on all the same with --resume-anyway"
        )


def _changed_code(kept: Iterable[Path], code: Iterable[Path]) -> Iterator[str]:
    before, now = ({name: path.read_bytes() for name, path in code_files(c)} for c in (kept, code))
    for name in sorted({*before, *now}):
        if name not in now:
            yield f"code {name}: is gone"
        elif name not in before:
            yield f"code {name}: is new"
        elif before[name] != now[name]:
            yield f"code {name}: has changed"
