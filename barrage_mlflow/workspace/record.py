"""The run record: what an artifact folder knows of its training besides config and metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace.layout import RUN, read_json, write_json

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

_LOCAL_PAGES = "http://127.0.0.1:5000"
"""Where ``mlflow ui`` shows them, unless it is told otherwise."""
_FORMAT = 4
"""Counted up whenever the engine before could not go on with a folder: where the keys of this
record or of a resume checkpoint change, or what they mean."""


def now() -> int:
    """Milliseconds since 1970.

    Example:
        >>> now() > 1_700_000_000_000
        True
    """
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Dataset:
    """A set of records that a training was made from.

    Attributes:
        name: what it is called and used for: ``"train"``, ``"validation"``.
        digest: of the bytes of its file, else of its values.
        source: path or URL, without what gives access; empty for records from memory.
        columns: type of each column, ``{"age": "int64"}``.
        rows: number of records.
    """

    name: str
    digest: str
    source: str
    columns: Mapping[str, str]
    rows: int


@dataclass(frozen=True)
class RunRecord:
    """What is in ``run.json``.

    Attributes:
        status: how the training ended; ``"RUNNING"`` until it has.
        error: why, where it did not finish.
        started: milliseconds since 1970, like ``ended``.
        ended: None until it has.
        experiment: the MLflow experiment that was asked for, like the next three.
        run_name: name of the MLflow run.
        register: registered model that the packaged model is to be a version of.
        alias: alias that is to lead to that version.
        run_id: MLflow's id of the run; None as long as MLflow does not have it.
        experiment_id: where MLflow has it.
        tracking_uri: likewise, without what gives access.
        tags: tags of the MLflow run.
        datasets: what it was trained and validated on.
        inferred: paths in the resolved config of what the training settled by itself.
        network_params: what the transformer has learnt for the placeholders of the config, as JSON
            or text; None until it is fitted.
        best_epoch: the epoch whose weights are packaged, counted from 1; with it the training has
            come to its end.
        evaluation: how good the packaged model is, by set: ``{"test": {"at": milliseconds since
            1970, "metrics": {"price_rmse": 541.2}}}``.
        model_uri: the packaged model in MLflow.
        version_uri: its version in the registry.
        published: MLflow has all that is in the folder.
    """

    status: Status = "RUNNING"
    error: str | None = None
    started: int = field(default_factory=now)
    ended: int | None = None
    experiment: str | None = None
    run_name: str | None = None
    register: str | None = None
    alias: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None
    tracking_uri: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    inferred: Sequence[str] = ("$.dataset.seed",)
    network_params: Mapping[str, Any] | None = None
    best_epoch: int | None = None
    evaluation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    model_uri: str | None = None
    version_uri: str | None = None
    published: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether the training has come to its end, with a packaged model."""
        return self.best_epoch is not None

    @property
    def run_page(self) -> str | None:
        """Where MLflow's pages show the run; None where that is not known.

        Of a store in a file or database it is where ``mlflow ui`` shows it.

        Example:
            >>> RunRecord(run_id="1f0c", experiment_id="3", tracking_uri="sqlite:///m.db").run_page
            'http://127.0.0.1:5000/#/experiments/3/runs/1f0c?workflowType=machine_learning'
        """
        home = self.tracking_uri or ""
        if not home.startswith("http"):
            home = _LOCAL_PAGES if "://" in home else ""
        known = self.run_id and self.experiment_id and home
        page = f"{home.rstrip('/')}/#/experiments/{self.experiment_id}/runs/{self.run_id}"
        # Else a browser that was never there shows it among prompts and agents.
        return f"{page}?workflowType=machine_learning" if known else None

    @property
    def has_ended(self) -> bool:
        """Whether there is nothing left to do: of a training, or of a search."""
        return self.is_finished or self.status == "FINISHED"

    def write(self, folder: Path) -> None:
        """Write it to an artifact folder, whole or not at all.

        Raises:
            OSError: it cannot be written.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> with TemporaryDirectory() as folder:
            ...     RunRecord(run_id="1f0c").write(Path(folder))
            ...     read_record(Path(folder)).run_id
            '1f0c'
        """
        write_json(folder / RUN, {"format": _FORMAT, **asdict(self)})


def read_record(folder: Path) -> RunRecord | None:
    """Read the record of the training that was begun in an artifact folder; None if none was.

    Raises:
        ArtifactError: it cannot be read, or another version of Barrage wrote it.

    Example:
        >>> read_record(Path("nowhere")) is None
        True
    """
    values: dict[str, Any] | None = read_json(folder / RUN)
    if values is None:
        return None
    try:
        if values.pop("format") != _FORMAT:
            raise ValueError
        datasets = tuple(Dataset(**dataset) for dataset in values.pop("datasets"))
        return RunRecord(datasets=datasets, **values)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArtifactError(
            f"{folder / RUN}: not as this version of Barrage writes it; it can neither be resumed "
            "nor synced: name a new folder, or use the version that began it"
        ) from None
