"""Searches the best values of a config: trials in MLflow runs of their own, under one parent."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from barrage_mlflow.commands.train import check_request
from barrage_mlflow.config.overrides import settle
from barrage_mlflow.config.paths import read_path, rebuilt
from barrage_mlflow.errors import ArtifactError, TrackingError, TuningError, describe_error
from barrage_mlflow.tracking.environment import environment_tags
from barrage_mlflow.tracking.publisher import Publisher
from barrage_mlflow.tracking.runs import RUN_ID, ending_project_run
from barrage_mlflow.training.prepare import read_document
from barrage_mlflow.training.settled import settle_training
from barrage_mlflow.training.stop import StopRequest
from barrage_mlflow.tuning.search_file import read_search, with_values
from barrage_mlflow.tuning.worker import Job, folder_of
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import read_record
from barrage_mlflow.workspace.threads import operation_threads
from barrage_mlflow.workspace.workspace import Workspace

if TYPE_CHECKING:
    from barrage_mlflow.tuning.study import Study

logger = logging.getLogger(__name__)

BEST_CONFIG = "best_config.json"
FITTED = f"{artifacts.TRIALS}/transformer"
"""Where a transformer is kept that is the same for all trials."""
_OWNER = "barrage.search_folder"
"""The tag that names machine and folder of a search for those that share a storage."""


@dataclass(frozen=True)
class TuningResult:
    """What a search leaves.

    Attributes:
        artifact_dir: the folder of the search.
        run_id: the parent run in MLflow; None if there is none yet.
        best_trial: the number of the best trial.
        best_value: its metric.
        best_values: what it has put in the config, by dotted path.
        threads: for each operation of TensorFlow, by which it was trained.
        best_dir: its artifact folder, with the packaged model; None if it was trained elsewhere.
        model_uri: the packaged model in MLflow; None as long as MLflow has not got it.
        version_uri: its version in the registry; None if there is none.
        run_page: where MLflow's pages show the parent run; None if that is not known.
    """

    artifact_dir: Path
    run_id: str | None
    best_trial: int
    best_value: float
    best_values: Mapping[str, Any]
    threads: int
    best_dir: Path | None = None
    model_uri: str | None = None
    version_uri: str | None = None
    run_page: str | None = None


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
    storage: str | None = None,
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
        storage: URL of a database in which several machines share one search, each in a folder of
            its own; a file in the folder if left out.
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
        TuningError: Optuna is missing, the storage cannot be used, no trial came to its end, or one
            cannot go on for want of MLflow, the disk or the storage.
        ArtifactError: the folder is in use, or what was begun in it has changed since.
        RecordError: records cannot be read.
        TrackingError: MLflow cannot be reached at the start, or refuses something of the search.

    Example:
        >>> tune(  # doctest: +SKIP
        ...     "config.json", "search.json", "train.csv", "validation.csv", artifact_dir="search"
        ... ).best_values
        {'solver.optimizer.learning_rate': 0.0031}
    """
    try:
        import optuna
    except ImportError as error:
        raise TuningError(
            "a search needs Optuna, which is not installed: pip install 'barrage-mlflow[tune]'"
        ) from error
    from barrage_mlflow.tuning.study import NAME, Study, answering
    from barrage_mlflow.tuning.table import shown
    from barrage_mlflow.tuning.tune import run_trials

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if jobs < 1:
        raise TuningError(f"jobs: expected at least 1, got {jobs}")
    folder, is_new = Path(artifact_dir), read_record(Path(artifact_dir)) is None
    with StopRequest() as stop, ending_project_run():
        with stop.at_once():
            document = read_document(config, overrides)
            asked = read_search(search, document, trials)
            check_request(register, alias, offline)
            sources = {"train": records_train, "validation": records_validation}
            every = sources if records_test is None else {**sources, "test": records_test}
            settled = settle_training(document, every, folder)
            if storage is not None and document.data["dataset"].get("seed") is None:
                raise TuningError(
                    "a search that several machines share needs one seed: write dataset.seed in "
                    "the config"
                )
            varied = {k: v for k, v in asked.data.items() if k != "trials"}
            varied |= {"shared": True} if storage is not None else {}
            resolved = {**settled.config, "search": varied}
            threads = threads or max(1, operation_threads() // jobs)
            tags = {**(tags or {}), **environment_tags(document.folders[0], threads)}
            here = f"{socket.gethostname()}-{secrets.token_hex(3)}:{folder.resolve()}"
            own = {_OWNER: here} if is_new else {}
            datasets = settled.datasets[: len(sources)]
            settled = replace(settled, sets={})  # each process reads them for itself
        with Workspace.open(folder) as work:
            changes = work.check_resumable(resolved, settled.code, datasets, True, resume_anyway)
            is_other = any(change.startswith("config $.search") for change in changes)
            is_code = all(change.startswith("code ") for change in changes)
            if is_other or (storage is not None and not is_code):
                raise ArtifactError(
                    f"{folder}: another search was begun there, with whose trials those of this "
                    "one have nothing in common; name a new folder"
                )
            if changes:  # it may be of other records
                shutil.rmtree(folder / FITTED, ignore_errors=True)
            given = {"experiment": experiment, "run_name": run_name}
            named = {key: value for key, value in given.items() if value is not None}
            known = {"datasets": datasets, "inferred": [*settled.inferred], "tags": {**tags, **own}}
            work.begin(document, resolved, settled.code, changes, {**named, **known})
            digest = artifacts.digest_of([resolved, [dataset.digest for dataset in datasets]])
            name = f"{NAME} {digest[:12]}" if storage else NAME
            source, owner = storage or folder / artifacts.STUDY, work.record.tags[_OWNER]
            study = Study(source, name, owner, asked, settle(document, settled.inferred))
            # A search that others have begun has its run already.
            is_first = study.run_id in (None, work.record.run_id) or RUN_ID in os.environ
            following = Publisher().following(work) if is_first and not offline else nullcontext()
            with following, work.attempt(), answering(source):
                if work.record.run_id and study.run_id is None:
                    study.note_run(work.record.run_id)
                run_id = study.run_id  # another one may have come at the same moment
                parent = {"mlflow.parentRunId": run_id} if run_id else {}
                request = {"experiment": experiment, "tags": {**tags, **parent}}
                final = {"register": register, "alias": alias, "records_test": records_test}
                is_fitted_once = not any(read_path(path)[0] == "dataset" for path in asked.space)
                job = Job(
                    *(folder, study.document, sources, asked.metric),
                    *(folder / FITTED if is_fitted_once else None, threads, request),
                    *(None if offline else Publisher, final, resume_anyway),
                )
                with shown(study, work, progress) as update:
                    run_trials(job, study, jobs, stop, timeout, update)
                with stop.at_once():
                    if not offline:
                        _publish_trials(study, folder, parent)
                    return _finish(work, study, run_id)


def _publish_trials(study: Study, folder: Path, parent: Mapping[str, str]) -> None:
    """Bring MLflow up to the trials that ended when it was gone, or offline."""
    for trial in study.ended():
        record = read_record(folder_of(folder, trial.number))
        if record and not record.published:
            with Workspace.open(folder_of(folder, trial.number)) as work:
                work.update(tags={**work.record.tags, **parent})
                try:
                    Publisher().publish(work)
                except TrackingError as problem:
                    logger.warning("%s\nthe same command sends it again", describe_error(problem))
                    return


def _root_from(home: Path, folder: Path, path: object, part: Any) -> Any:
    """A column or feature whose files are under a root, which is named from another folder."""
    is_rooted = isinstance(part, dict) and {"kind", "type"} & part.keys() and "root" in part
    if not is_rooted or Path(part["root"]).is_absolute():
        return part
    return {**part, "root": Path(os.path.relpath(home / part["root"], folder)).as_posix()}


def _finish(work: Workspace, study: Study, run_id: str | None) -> TuningResult:
    """Write the best config, the table of trials and the pictures."""
    from barrage_mlflow.tuning.study import THREADS
    from barrage_mlflow.tuning.table import run_of, write_trials

    best = study.best()
    assert best is not None
    values = study.draw(best.number)
    root_from = partial(_root_from, Path(study.document.folders[0]), work.folder)
    best_config = rebuilt(with_values(study.document, values).data, root_from)
    artifacts.write_json(work.folder / BEST_CONFIG, best_config)
    write_trials(study, work.folder)  # those that were offline have their runs by now
    study.write_pictures(work.folder)
    here = folder_of(work.folder, best.number) if study.is_own(best) else None
    record = here and read_record(here)
    run = run_of(best, work.folder) or ""
    found = {"barrage.best_trial": str(best.number), "barrage.best_run": run}
    work.update(tags={**work.record.tags, **found})
    return TuningResult(
        *(work.folder, run_id, best.number, float(best.value or 0), values),
        *(int(best.user_attrs[THREADS]), here),
        *((record.model_uri, record.version_uri) if record else (None, None)),
        work.record.run_page,
    )
