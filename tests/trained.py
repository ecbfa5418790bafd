"""Artifact folders as a training leaves them, made by hand, and all that MLflow has of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow.models import Model
from runs import history

from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.workspace.record import Dataset, read_record
from barrage_mlflow.workspace.workspace import Workspace

CONFIG: dict[str, Any] = {"solver": {"epochs": 3, "batch_size": 16}, "services": {}}
IN_MLFLOW = {**CONFIG, "services": {"resume_checkpoint": {"in_mlflow": True}}}
DATASETS = (
    Dataset("train", "5f2b", "train.csv", {"age": "int64"}, 60),
    Dataset("validation", "81c0", "", {"age": "int64"}, 20),
)


@contextmanager
def begun(folder: str = "out", config: Any = None, **record: Any) -> Iterator[Workspace]:
    """An artifact folder in which a training begins or goes on."""
    with Workspace.open(Path(folder)) as work:
        for name in ("config.json", "resolved_config.json"):
            write(work.folder / name, json.dumps(config or CONFIG))
        write(work.folder / "code/project/loaders.py", "class Loader: ...\n")
        values = {"datasets": DATASETS, "tags": {"barrage.version": "0.1.0"}, **record}
        work.update(**{"status": "RUNNING", "error": None, "ended": None, **values})
        yield work


@contextmanager
def published(folder: str = "out", config: Any = None, **record: Any) -> Iterator[Workspace]:
    """A training in a folder, which a publisher follows."""
    with begun(folder, config, **record) as work, Publisher().following(work), work.attempt():
        yield work


def train_epoch(work: Workspace, epoch: int, **metrics: float) -> None:
    """Add what an epoch leaves: metrics, better weights and a resume checkpoint."""
    work.history.add(epoch, metrics or {"loss": 1 / epoch, "val_loss": 2 / epoch})
    write(work.folder / "checkpoints/best.weights.h5", f"weights of epoch {epoch}")
    name = f"step-{epoch:09}.npz"
    write(work.folder / "checkpoints/resume" / name, f"checkpoint of epoch {epoch}")


def figures(epoch: int, **metrics: float) -> dict[str, float]:
    """What MLflow has of a packaged model as such."""
    values = metrics or {"loss": 1 / epoch, "val_loss": 2 / epoch}
    return {"best_epoch": epoch, **{f"best_{name}": value for name, value in values.items()}}


def package(work: Workspace, best_epoch: int) -> None:
    """Leave a packaged model, as a training does that has come to its end."""
    write(work.folder / "model/data/config.json", "{}")
    write(work.folder / "model/code/barrage_mlflow/errors.py", "")
    write(work.folder / "training_report.csv", "epoch,loss\n")
    write(work.folder / "tensorboard/train/events", "")
    model = Model()
    model.add_flavor("python_function", loader_module="barrage_mlflow.pyfunc", data="data")
    model.save(str(work.folder / "model/MLmodel"))
    work.update(best_epoch=best_epoch)


def train(folder: str = "out", config: Any = None, epochs: int = 3, **record: Any) -> str:
    """Train in a folder to the end with a publisher; give the id of the run."""
    with published(folder, config, **record) as work:
        for epoch in range(1, epochs + 1):
            train_epoch(work, epoch)
        package(work, epochs)
    return str(work.record.run_id)


def train_offline(folder: str = "out", config: Any = None, **record: Any) -> None:
    """Train in a folder to the end without MLflow."""
    with begun(folder, config, **record) as work, work.attempt():
        for epoch in range(1, 4):
            train_epoch(work, epoch)
        package(work, 3)


def train_and_raise(
    error: BaseException,
    folder: str = "out",
    act: Callable[[Workspace], object] | None = None,
    **options: Any,
) -> None:
    """Train an epoch in a folder with a publisher, and let the training fail."""
    with published(folder, **options) as work:
        train_epoch(work, 1)
        if act:
            act(work)
        raise error


def interrupt(folder: str = "out", **options: Any) -> str:
    """Train an epoch in a folder with a publisher, and interrupt the training; give its run."""
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train_and_raise(KeyboardInterrupt("SIGTERM"), folder, **options)
    return run_of(folder)


def run_of(folder: str = "out") -> str:
    """The id of the run of the training in a folder."""
    record = read_record(Path(folder))
    assert record is not None
    assert record.run_id is not None
    return record.run_id


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def held(run_id: str) -> dict[str, Any]:
    """All that MLflow has of a run, but what is the run's alone."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    steps = {output.model_id: output.step for output in run.outputs.model_outputs}
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": history(run_id),
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")},
        "inputs": sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
        "files": files(run_id),
        "models": [
            (str(model.status), steps[model.model_id], {m.key: m.value for m in model.metrics})
            for model in models
        ],
    }


def files(run_id: str, folder: str | None = None) -> list[str]:
    """The paths of all artifacts of a run."""
    listed = mlflow.MlflowClient().list_artifacts(run_id, folder)
    return sorted(
        name
        for file in listed
        for name in (files(run_id, file.path) if file.is_dir else [file.path])
    )
