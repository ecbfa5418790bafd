"""Searches the best values of a config: trials in MLflow runs of their own, under one parent."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from barrage_mlflow.commands.train import check_request
from barrage_mlflow.config.overrides import apply_overrides, settle
from barrage_mlflow.dataset.components.reading import ask_kinds
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.files import written_whole
from barrage_mlflow.scoring.dependencies import project_code
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.training.prepare import infer, read_document, read_sets, resolve
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.training.train import describe_sets, find_inferred
from barrage_mlflow.tuning.search import read_search
from barrage_mlflow.tuning.study import Study
from barrage_mlflow.tuning.table import shown, write_trials
from barrage_mlflow.tuning.tune import run_trials
from barrage_mlflow.tuning.worker import FITTED, Job, folder_of
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import read_record
from barrage_mlflow.workspace.threads import operation_threads
from barrage_mlflow.workspace.workspace import Workspace

BEST_CONFIG = "best_config.json"


@dataclass(frozen=True)
class TuningResult:
    """What a search leaves.

    Attributes:
        artifact_dir: the folder of the search.
        run_id: the parent run in MLflow; None if there is none yet.
        best_trial: the number of the best trial.
        best_value: its metric.
        best_values: what it has put in the config, by dotted path.
        best_dir: its artifact folder, with the packaged model.
        model_uri: the packaged model in MLflow; None as long as MLflow has not got it.
        version_uri: its version in the registry; None if there is none.
        threads: for each operation of TensorFlow, by which the trials were trained.
    """

    artifact_dir: Path
    run_id: str | None
    best_trial: int
    best_value: float
    best_values: Mapping[str, Any]
    best_dir: Path
    model_uri: str | None
    version_uri: str | None
    threads: int


def tune(
    config: str | os.PathLike[str] | Mapping[str, Any],
    search: str | os.PathLike[str] | Mapping[str, Any],
    records_train: Any,
    records_validation: Any,
    *,
    artifact_dir: str | os.PathLike[str],
    records_test: Any = None,
    jobs: int = 1,
    trials: int | None = None,
    timeout: float | None = None,
    threads: int | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    register: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: TextIO | None = None,
    resume_anyway: bool = False,
    offline: bool = False,
) -> TuningResult:
    """Search the values of a config that give the best metric, and package the best model.

    Each trial is a training in a folder and an MLflow run of its own, under the run of the search.
    Killed and called again, the search goes on: what had ended stays, what was half done goes on
    from its checkpoints. Called with more trials, it goes on to these.

    Args:
        config: a JSON or YAML file, or a dict.
        search: the search file, or a dict: what is varied, and by what a trial is judged.
        records_train: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        records_validation: likewise.
        records_test: likewise; the best model is evaluated on them too.
        artifact_dir: a new folder, or that of the search to go on with.
        jobs: trials at once, each in a process of its own.
        trials: how many in all, instead of what the search says.
        timeout: seconds after which no trial is begun any more.
        threads: for each operation of TensorFlow; left out, the cores are shared among the jobs.
        experiment: MLflow experiment, made if it is not there.
        run_name: name of the parent run.
        register: registered model that the best model becomes a version of.
        alias: alias of the registered model that leads to the new version from then on.
        tags: tags of all runs.
        overrides: config values by dotted path.
        progress: where to show trials; nowhere if left out.
        resume_anyway: go on also where config, search, code or records have changed since.
        offline: do without MLflow.

    Raises:
        ConfigError: with every fault of the config, or of the search.
        TuningError: Optuna is missing, or no trial came to its end.
        ArtifactError: the folder is in use, or what was begun in it has changed since.
        RecordError: records cannot be read.
        TrackingError: MLflow cannot be reached, or refuses something.

    Example:
        >>> tune(  # doctest: +SKIP
        ...     "config.json", "search.json", "train.csv", "validation.csv", artifact_dir="search"
        ... ).best_values
        {'solver.optimizer.learning_rate': 0.0031}
    """
    folder = Path(artifact_dir)
    threads = threads or max(1, operation_threads() // jobs)
    with StopRequest() as stop:
        with stop.at_once():
            document = read_document(config, overrides)
            asked = read_search(search, document, trials)
            check_request(register, alias, offline)
            home = document.folders[0]
            sources = {"train": records_train, "validation": records_validation}
            read = read_sets(sources, document.data["dataset"], home)
            inferred = find_inferred(folder) or infer(document, read)
            resolved = resolve(document, inferred)
            datasets = describe_sets(ask_kinds(resolved, read, home))
            code = project_code(resolved)
            resolved["search"] = {k: v for k, v in asked.data.items() if k != "trials"}
        with Workspace.open(folder) as work:
            changes = work.check_begun(resolved, code, datasets, True, resume_anyway)
            if any(change.startswith("config $.search") for change in changes):
                raise ArtifactError(
                    f"{folder}: another search was begun there, with whose trials those of this "
                    "one have nothing in common; name a new folder"
                )
            if changes:  # it may be of other records
                shutil.rmtree(folder / FITTED, ignore_errors=True)
            common = {**(tags or {}), **environment_tags(home)}
            values = {
                "experiment": experiment,
                "run_name": run_name,
                "tags": common,
                "datasets": datasets,
                "inferred": [*inferred],
            }
            work.begin(document, resolved, code, changes, values)
            publisher = None if offline else Publisher()
            following = publisher.following(work) if publisher else nullcontext()
            with following, work.attempt():
                study = Study(folder, asked, settle(document, inferred))
                final = {"register": register, "alias": alias, "records_test": records_test}
                parent = {"mlflow.parentRunId": work.record.run_id or ""}
                request = {"experiment": experiment, "tags": {**common, **parent}}
                job = Job(
                    *(folder, os.getpid(), asked, study.document, sources, threads, request),
                    *(None if offline else Publisher, final, resume_anyway),
                )
                with shown(study, work.history, progress) as update, _told_to_go_on():
                    run_trials(job, study, jobs, stop, timeout, update)
                with stop.at_once():
                    return _finish(work, study, threads)


def _finish(work: Workspace, study: Study, threads: int) -> TuningResult:
    """Write the best config, the table of trials and the pictures."""
    best = study.best()
    assert best is not None
    values = study.sample(study.open_trial(best.number))
    config = apply_overrides(study.document, values).data
    artifacts.write_json(work.folder / BEST_CONFIG, config)
    write_trials(study, work.folder)
    for name, picture in study.pictures().items():
        with written_whole(work.folder / f"{name}.png") as partial:  # none of its names cut
            picture.savefig(partial, format="png", dpi=110, bbox_inches="tight")
    folder = folder_of(work.folder, best.number)
    record = read_record(folder)
    assert record is not None
    found = {"barrage.best_trial": str(best.number), "barrage.best_run": record.run_id or ""}
    work.update(tags={**work.record.tags, **found})
    return TuningResult(
        *(work.folder, work.record.run_id, best.number, float(best.value or 0), values, folder),
        *(record.model_uri, record.version_uri, threads),
    )


@contextmanager
def _told_to_go_on() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("the same command goes on, with the trials that are half done first")
        raise
