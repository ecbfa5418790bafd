"""Trainings without MLflow that tests look at: a finished one, a killed one, and what they left."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outside import read_weights
from runs import Terminate
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import Scorer, TrainingResult
from barrage_mlflow.training.train import train
from barrage_mlflow.workspace.record import RunRecord, read_record
from barrage_mlflow.workspace.workspace import Workspace

OUT = Path("out")


@dataclass
class Following:
    """A publisher that keeps what it finds in the folder when it begins and when it ends."""

    records: list[RunRecord] = field(default_factory=list)
    files: list[set[str]] = field(default_factory=list)
    error: Exception | None = None

    @contextlib.contextmanager
    def following(self, work: Workspace) -> Iterator[None]:
        if self.error:
            raise self.error
        self._look(work)
        work.update(run_id="1f0c")
        try:
            yield
        finally:
            self._look(work)
        work.update(published=True)

    def publish(self, work: Workspace) -> None:
        self._look(work)
        work.update(published=True)

    def _look(self, work: Workspace) -> None:
        self.records.append(work.record)
        self.files.append(files(work.folder))


@dataclass(frozen=True)
class Finished:
    """A training that has finished, and what its publisher saw."""

    folder: Path
    result: TrainingResult
    publisher: Following


def finish(folder: Path) -> Finished:
    with contextlib.chdir(folder):
        publisher = Following()
        result = train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="out",
            resume=True,
            publisher=publisher,
            tags={"by": "a test"},
        )
    return Finished(folder / "out", result, publisher)


def kill(folder: Path, place: tuple[int, int] = (1, 1), **options: Any) -> Path:
    """Train into a folder, and end it by a SIGTERM."""
    options = {"config": small_config(), **options}
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(
            records_train=TRAIN,
            records_validation=VALIDATION,
            artifact_dir=folder,
            callbacks=[Terminate(*place)],
            **options,
        )
    return folder


def resume(folder: Path, **options: Any) -> TrainingResult:
    options = {"config": small_config(), "records_train": TRAIN, **options}
    return train(records_validation=VALIDATION, artifact_dir=folder, resume=True, **options)


def record_of(folder: Path) -> RunRecord:
    record = read_record(folder)
    assert record is not None
    return record


def files(folder: Path) -> set[str]:
    """Names of all files below a folder; of some folders not one by one."""
    joined = ("model/data/network", "model/code/barrage_mlflow", "tensorboard", "lock")
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {next((own for own in joined if name.startswith(own)), name) for name in found}


def outcome(folder: Path) -> dict[str, Any]:
    """All that two trainings of the same must have alike, to the last bit."""
    newest = np.load(newest_checkpoint(folder))
    return {
        "best": read_weights(folder / "checkpoints" / "best.weights.h5"),
        "newest": {n: newest[n].tobytes() for n in newest.files if newest[n].dtype.kind == "f"},
        "report": (folder / "training_report.csv").read_text("utf-8"),
        "scores": repr(Scorer.load(folder).score(VALIDATION)),
    }


def newest_checkpoint(folder: Path) -> Path:
    paths = (folder / "checkpoints" / "resume").glob("[es]*.npz")
    return max(paths, key=lambda path: path.stat().st_mtime_ns)
