"""Trains a run of MLflow again and compares what comes out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from barrage_mlflow.commands.train import train
from barrage_mlflow.config import add_project_path, read_config
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.scoring.dependencies import project_code
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.training.prepare import read_sets
from barrage_mlflow.training.settled import describe_sets
from barrage_mlflow.training.train import TrainingResult
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.changes import begun_config, find_changes
from barrage_mlflow.workspace.record import read_record

REPRODUCES_TAG = "barrage.reproduces"

Values = Mapping[tuple[str, int], float]

_ENVIRONMENT = (
    "version", "python", "tensorflow", "keras", "mlflow", "threads", "git.commit", "git.clean"
)  # fmt: skip


@dataclass(frozen=True)
class Reproduction:
    """How a training of what a run was made of compares with that run.

    Attributes:
        run_id: the run.
        result: what the training came to.
        changes: what was not as it was then: packages, commit, code, records; one line each.
        epochs: how many epochs were compared.
        difference: the first epoch and metric that differ; empty if none does.
    """

    run_id: str
    result: TrainingResult
    changes: list[str]
    epochs: int
    difference: str

    @property
    def report(self) -> str:
        """All of it, in lines to read."""
        changes = self.changes or ["packages, commit, code and records are as they were"]
        verdict = self.difference or f"identical: every metric of {self.epochs} epochs"
        return "\n".join([*changes, verdict])


def reproduce(
    run_id: str,
    records_train: Any = None,
    records_validation: Any = None,
    *,
    records_test: Any = None,
    artifact_dir: str | os.PathLike[str] | None = None,
    progress: TextIO | None = None,
) -> Reproduction:
    """Train what a run was made of, in a run of its own beside it, and compare their metrics.

    The config is the resolved one that the run has. Code, packages and records are those that
    are here; what differs from what the run names is reported.

    Args:
        run_id: an MLflow run of a training.
        records_train: whatever :func:`~barrage_mlflow.train` takes; the file that the run names,
            if left out.
        records_validation: likewise.
        records_test: likewise, where the run has a test set.
        artifact_dir: a new or empty folder; ``artifacts/<time>-<run id>`` if left out.
        progress: where to show epochs, metrics and the time left; nowhere if left out.

    Raises:
        TrackingError: MLflow cannot be reached, or has no such run.
        ArtifactError: the run is not one of a training, or does not name its records.
        Exception: whatever :func:`~barrage_mlflow.train` raises.

    Example:
        >>> print(reproduce("1f0c6d2b1d6e4c2f9d0f4f5f5a3c7b21").report)  # doctest: +SKIP
        packages, commit, code and records are as they were
        identical: every metric of 40 epochs
    """
    store = Store()
    run = store.read_run(run_id)
    place = run.info.experiment_id
    experiment = store.call("read the experiment", store.client.get_experiment, place)
    with tempfile.TemporaryDirectory() as home:
        fetched = Path(home)
        files = store.list_files(run_id)
        for name in (artifacts.RUN, artifacts.RESOLVED_CONFIG, artifacts.CODE):
            if name in files:
                store.fetch(run_id, name, fetched)
        record, config = read_record(fetched), begun_config(fetched)
        if record is None or config is None:
            raise ArtifactError(
                f"run {run_id} ({run.info.status}) has no {artifacts.RUN} and "
                f"{artifacts.RESOLVED_CONFIG}: expected a run of a training"
            )
        sources = {"train": records_train, "validation": records_validation, "test": records_test}
        given = {name: records for name, records in sources.items() if records is not None}
        for dataset in record.datasets:
            if dataset.name not in given:
                if not dataset.source:
                    raise ArtifactError(
                        f"run {run_id} was made of {dataset.name} records that were handed over in "
                        "memory: give them"
                    )
                given[dataset.name] = dataset.source
        add_project_path(read_config({}))
        load_tensorflow(with_keras=True)  # quietly, before the project's code does
        sets = ask_kinds(config, read_sets(given, config["dataset"]))
        changes = [
            *_changed_tags(record.tags, environment_tags(Path.cwd())),
            *find_changes(fetched, config, project_code(config), describe_sets(sets)),
        ]
    result = train(
        config,
        sets["train"],
        sets["validation"],
        records_test=sets.get("test"),
        artifact_dir=artifact_dir,
        experiment=experiment.name,
        progress=progress,
        tags={REPRODUCES_TAG: run_id},
    )
    assert result.run_id is not None
    then, now = (_values(store, each) for each in (run_id, result.run_id))
    epochs, difference = _compare(then, now, run.info.status == "FINISHED")
    return Reproduction(run_id, result, changes, epochs, difference)


def _changed_tags(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = {name: f"barrage.{name}" for name in _ENVIRONMENT}
    return [
        f"{name}: {then.get(tag, 'unknown')} → {now.get(tag, 'unknown')}"
        for name, tag in names.items()
        if then.get(tag) != now.get(tag)
    ]


def _values(store: Store, run_id: str) -> Values:
    metrics = store.read_metrics(store.read_run(run_id))
    return {
        (metric.key, metric.step): metric.value
        for metric in metrics
        # At step 0 is what was evaluated later. Besides what MLflow measures of the machine, and
        # what an epoch has already under other names.
        if metric.step and not metric.key.startswith(("system/", "best_"))
    }


def _compare(then: Values, now: Values, finished: bool) -> tuple[int, str]:
    """Count the epochs that both have; tell the first metric that differs in one of them.

    Args:
        then: the metrics of the run.
        now: those of its repetition.
        finished: whether the run had all its epochs.
    """
    lengths = [max((step for _, step in history), default=0) for history in (then, now)]
    epochs = min(lengths)
    for step, name in sorted((step, name) for name, step in {**then, **now} if step <= epochs):
        # Written out, as NaN is not equal to itself.
        before, after = (str(history.get((name, step), "nothing")) for history in (then, now))
        if before != after:
            return epochs, f"epoch {step}: {name} {before} → {after}"
    if lengths[0] > lengths[1] or (finished and lengths[0] != lengths[1]):
        return epochs, f"{lengths[0]} epochs → {lengths[1]} epochs"
    return epochs, ""
