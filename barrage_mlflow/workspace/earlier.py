"""A training that was begun in an artifact folder: what it was, and what has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from barrage_mlflow.config.diff import diff_configs
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.code_files import code_files

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Earlier:
    """What a training left in its artifact folder.

    Attributes:
        folder: the artifact folder.
        run_id: its MLflow run; None if it has none yet.
        status: how it ended; ``"RUNNING"`` if it did not say so.
        complete: the run holds all that the folder does.
        config: the resolved config; None if it did not get so far.
        records: digest of each dataset, by its name; empty if it did not get so far.
        result: what it came to; None if it has not finished.
    """

    folder: Path
    run_id: str | None
    status: str
    complete: bool
    config: dict[str, Any] | None
    records: dict[str, str]
    result: dict[str, Any] | None

    def changes(self, config: Config, code: Iterable[Path]) -> list[str]:
        """Tell how a config and the project's code differ from what was trained.

        Args:
            config: the resolved config.
            code: files and folders of the project's modules.
        """
        if self.config is None:
            return []
        kept = (self.folder / artifacts.CODE).glob("*")
        before, now = (
            {name: path.read_bytes() for name, path in code_files(paths)} for paths in (kept, code)
        )
        return [
            *(f"config {difference}" for difference in diff_configs(self.config, config)),
            *(
                f"code {name}: {_change(before.get(name), now.get(name))}"
                for name in sorted({*before, *now})
                if before.get(name) != now.get(name)
            ),
        ]

    def changed_records(self, digests: Mapping[str, str]) -> list[str]:
        """Tell which datasets differ from those that were trained on."""
        return [
            f"{name} records: digest {self.records[name]} → {digest}"
            for name, digest in digests.items()
            if self.records.get(name, digest) != digest
        ]


def find_earlier(folder: Path) -> Earlier | None:
    """Find the training that was begun in an artifact folder; None if none was.

    Raises:
        ArtifactError: what it left cannot be read.

    Example:
        >>> find_earlier(Path("nowhere")) is None
        True
    """
    run = artifacts.read_json(folder / artifacts.RUN)
    if run is None:
        return None
    try:
        return Earlier(
            folder,
            run["run_id"],
            run["status"],
            run["complete"],
            artifacts.read_json(folder / artifacts.RESOLVED_CONFIG),
            {dataset["name"]: dataset["digest"] for dataset in run["datasets"]},
            artifacts.read_json(folder / artifacts.RESULT),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(
            f"{folder / artifacts.RUN}: not as this version of Barrage writes it; name a new folder"
        ) from error


def unfinished(folder: Path) -> Iterator[Earlier]:
    """The trainings that were begun in folders of this one and have not finished, newest first.

    One that was killed while its model was logged has not finished either. What cannot be read is
    passed over.

    Example:
        >>> list(unfinished(Path("nowhere")))
        []
    """
    runs = {path: path.stat().st_mtime for path in folder.glob(f"*/{artifacts.RUN}")}
    for path in sorted(runs, key=runs.__getitem__, reverse=True):
        try:
            earlier = find_earlier(path.parent)
        except ArtifactError:
            continue
        if earlier is None or earlier.config is None:
            continue
        cut_off = not earlier.complete and earlier.status in ("RUNNING", "KILLED")
        if earlier.result is None or cut_off:
            yield earlier


def _change(before: bytes | None, now: bytes | None) -> str:
    if before is None:
        return "is new"
    return "is gone" if now is None else "has changed"
