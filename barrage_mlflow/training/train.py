"""The whole recipe of a training, from the config to the packaged model."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from barrage_mlflow import tracking
from barrage_mlflow.config import (
    Document,
    add_project_path,
    apply_overrides,
    code_modules,
    find_warnings,
    read_config,
    resolve_config,
)
from barrage_mlflow.dataset import Records, ValidationBatches
from barrage_mlflow.errors import ArtifactError, TrackingError
from barrage_mlflow.scoring.package import package_model
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.proof import proved
from barrage_mlflow.scoring.pyfunc import answer
from barrage_mlflow.scoring.scorer import Scorer, rehearse, save_model
from barrage_mlflow.stopping import StopSignals
from barrage_mlflow.tracking.checkpoints import clear_half_fetched, fetch_training
from barrage_mlflow.tracking.sync import sync_locked
from barrage_mlflow.training import recording
from barrage_mlflow.training.progress import progress_callback
from barrage_mlflow.training.recording import Logbook
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.disk import explain_unwritable, say_space
from barrage_mlflow.workspace.earlier import Earlier, find_earlier, unfinished
from barrage_mlflow.workspace.lock import locked

if TYPE_CHECKING:
    import keras

Config = dict[str, Any]

logger = logging.getLogger(__name__)

_SEEDS = 2**31
_PATIENCE = 30
"""Seconds: a supervisor may start again before the process that it stopped is gone."""
_EXAMPLE_RECORDS = 5
"""Records in the packaged model's input example."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training leaves.

    Attributes:
        artifact_dir: the artifact folder.
        run_id: the MLflow run; None if there is none yet, of a training that was offline.
        model_uri: the packaged model, for ``mlflow models serve -m`` and the like; None as long
            as MLflow has not got it.
        version_uri: its version in the registry, ``"models:/penguins/3"``; None if there is none.
        best_epoch: the epoch whose weights were packaged, counted from 1.
        metrics: every metric at that epoch.
    """

    artifact_dir: Path
    run_id: str | None
    model_uri: str | None
    best_epoch: int
    metrics: dict[str, float]
    version_uri: str | None = None


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    records_train: Any,
    records_validation: Any,
    *,
    artifact_dir: str | os.PathLike[str] | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    register: str | None = None,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: TextIO | None = None,
    resume: bool | str = False,
    resume_anyway: bool = False,
    offline: bool = False,
) -> TrainingResult:
    """Train a network as a config says, in one MLflow run, and package the best of it.

    The first SIGTERM or Ctrl-C ends the training between two batches, with a resume checkpoint of
    that moment and the run KILLED. An MLflow server that goes away once the training has begun
    does not hold it up: what the server lacks is sent when it is back, or by :func:`sync` later.

    Args:
        config: a JSON or YAML file, or a dict.
        records_train: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        records_validation: likewise.
        artifact_dir: a new or empty folder; ``artifacts/<time>-<run id>`` if left out.
        experiment: MLflow experiment, made if it is not there.
        run_name: name of the MLflow run.
        register: registered model to add the packaged model to, as a new version.
        alias: alias of the registered model that leads to the new version from then on.
        tags: tags of the MLflow run.
        overrides: config values by dotted path, ``{"solver.epochs": 3}``.
        callbacks: further Keras callbacks; they come after the config's services.
        progress: where to show epochs, metrics and the time left; nowhere if left out.
        resume: go on with the training in the artifact folder, in its MLflow run, as if it had
            never stopped; start one if there is none. A finished one is left as it is, but for
            what ``register`` and ``alias`` ask for. ``"auto"`` without a folder: go on with the
            newest unfinished one of this config and these records in ``artifacts``, and wait half
            a minute for another process to leave it. The id of an MLflow run: go on with that one,
            from the resume checkpoint among its artifacts unless the artifact folder has it
            already.
        resume_anyway: resume also where the config, the code or the records have changed since.
        offline: do without MLflow; :func:`sync` logs the run later.

    Raises:
        ConfigError: with every fault of the config; no run is opened.
        ArtifactError: the artifact folder is in use, cannot be written to or its disk is full, or
            what was begun in it has changed since.
        RecordError: records cannot be read, loaded or fed to the network.
        ComponentError: a component broke its contract.
        TrackingError: MLflow cannot be reached, or refuses the name to register or the alias, or
            there is an alias and nothing to register.
        TrainingError: the loss became NaN, or there was no best epoch.
        Exception: whatever the project's own components raise, with the place as a note.

    Example:
        >>> result = train(  # doctest: +SKIP
        ...     "config.json", "train.csv", "validation.csv", overrides={"solver.epochs": 3}
        ... )
        >>> result.metrics["val_loss"]  # doctest: +SKIP
        0.0813
    """
    resume = resume or resume_anyway
    run_to_fetch = resume if isinstance(resume, str) and resume != "auto" else None
    if resume is True and artifact_dir is None:
        raise ArtifactError("resume needs an artifact_dir: name the folder of the training")
    with StopSignals() as signals, ExitStack() as until_end:
        try:
            sets = {"train": records_train, "validation": records_validation}
            if resume:
                sets = {name: recording.read_records(source, name) for name, source in sets.items()}
            folder = None if artifact_dir is None else Path(artifact_dir)
            if folder is None and resume == "auto":
                folder = _find_unfinished(config, overrides, sets)
            elif folder is None and run_to_fetch:
                folder = _find_folder(run_to_fetch)
            earlier = None
            if folder is not None:
                until_end.enter_context(locked(folder, _PATIENCE if resume == "auto" else 0))
                earlier = _find_earlier(folder, bool(resume), run_to_fetch, offline)
            document, resolved = _resolve(config, overrides, earlier)
            for warning in find_warnings(document):
                logger.warning("%s", warning)
            if alias is not None:
                tracking.check_alias(alias)
                if register is None:
                    raise TrackingError(
                        f"the alias {alias!r} needs a registered model: name one by register "
                        "(--register NAME), or leave the alias out"
                    )
            if register is not None and not offline:
                tracking.check_registrable(register)
            changes = _changes(earlier, resolved, sets, resume_anyway) if earlier else []
            if earlier is not None and earlier.result is not None and not changes:
                return _finished(earlier, offline, register, alias)
        except BaseException as error:
            tracking.end_project_run(error)
            raise
        run = None
        if not offline:
            run_id = earlier.run_id if earlier else None
            if earlier and run_id is None:
                run_id = Logbook(earlier.folder, None).create_run()
            run = tracking.open_run(experiment, run_name, run_id=run_id)
        logbook = None
        try:
            if folder is None:
                folder = artifacts.default_folder(
                    run.run_id if run else f"offline-{secrets.token_hex(4)}"
                )
                until_end.enter_context(locked(folder))
            logbook = Logbook(folder, run)
            wishes = {
                "experiment": experiment,
                "run_name": run_name,
                "register": register,
                "alias": alias,
            }
            logbook.begin(document, resolved, earlier, changes, wishes, tags or {})
            # It loads what it will need for the proof of the packaged model beside the training.
            elsewhere = until_end.enter_context(ModelProcess.spare())
            elsewhere.ask("warm_up")
            records = logbook.read_datasets(sets)
            further = [*callbacks, *([progress_callback(progress)] if progress else [])]
            _train(logbook, resolved, records, further, signals, elsewhere)
            logbook.end("FINISHED")
        except KeyboardInterrupt as error:
            _end(logbook, run, "KILLED", error)
            if folder is not None and any((folder / artifacts.CHECKPOINTS).rglob("*.npz")):
                error.add_note(f"go on with: --artifact-dir {folder} --resume")
            raise
        except BaseException as failure:
            explained = explain_unwritable(failure, folder)
            _end(logbook, run, "FAILED", explained)
            if explained is failure:
                raise
            raise explained from failure
        return _result(folder, logbook)


def _end(
    logbook: Logbook | None,
    run: tracking.TrackedRun | None,
    status: tracking.Status,
    error: BaseException,
) -> None:
    if logbook is not None:
        logbook.end(status, error)
    elif run is not None:
        run.finish(status, error)


def _find_unfinished(
    config: Any, overrides: Mapping[str, Any] | None, sets: Mapping[str, Records]
) -> Path | None:
    """Find the folder of the newest unfinished training of a config, its code and records."""
    for earlier in unfinished(Path(artifacts.HOME)):
        _, resolved = _resolve(config, overrides, earlier)
        if not _differences(earlier, resolved, sets):
            return earlier.folder
    return None


def _find_folder(run_id: str) -> Path:
    """Find the folder where a run was trained or fetched to before; name a new one if none was."""
    known = Path(artifacts.HOME).glob(f"*-{run_id}/{artifacts.RUN}")
    return next((path.parent for path in known), artifacts.default_folder(run_id))


def _find_earlier(folder: Path, resume: bool, run_id: str | None, offline: bool) -> Earlier | None:
    """Find what was begun in a folder, whose lock is held; refuse it unless it is to go on.

    A run that is named is fetched from MLflow if the folder is empty.
    """
    clear_half_fetched(folder)
    earlier = find_earlier(folder)
    if run_id is not None and earlier is None:
        artifacts.check_free(folder)
        fetch_training(run_id, folder)
        earlier = find_earlier(folder)
    if run_id is not None and earlier is not None and earlier.run_id != run_id:
        raise ArtifactError(
            f"{folder} holds the run {earlier.run_id}, not {run_id}: name another folder"
        )
    if earlier is None or not resume:
        if earlier is not None and earlier.result is None and earlier.run_id and not offline:
            # Its process was killed before it could say so.
            tracking.settle_run(earlier.run_id)
        artifacts.check_free(folder)
    return earlier


def _resolve(
    config: Any, overrides: Mapping[str, Any] | None, earlier: Earlier | None
) -> tuple[Document, Config]:
    document = apply_overrides(read_config(config), overrides or {})
    seed = earlier.config["dataset"]["seed"] if earlier and earlier.config else None
    document = _seeded(document, secrets.randbelow(_SEEDS) if seed is None else seed)
    add_project_path(document)
    resolved = resolve_config(document, run_code=True)
    return document, resolved


def _changes(
    earlier: Earlier, config: Config, sets: Mapping[str, Records], anyway: bool
) -> list[str]:
    """Tell what has changed since a training was begun; refuse it unless told otherwise."""
    changes = _differences(earlier, config, sets)
    if changes and not anyway:
        listed = "".join(f"\n  {change}" for change in changes)
        raise ArtifactError(
            f"{earlier.folder}: what was begun there has changed since:{listed}\n"
            "undo that, name a new folder, or go on all the same with --resume-anyway"
        )
    return changes


def _differences(earlier: Earlier, config: Config, sets: Mapping[str, Records]) -> list[str]:
    digests = {name: records.digest() for name, records in sets.items()}
    return [
        *earlier.changes(config, recording.project_code(config)),
        *earlier.changed_records(digests),
    ]


def _finished(
    earlier: Earlier, offline: bool, register: str | None, alias: str | None
) -> TrainingResult:
    """Leave a finished training as it is; log and register what MLflow lacks of it."""
    logbook = Logbook(earlier.folder, None)
    if register is not None:
        logbook.wish_version(register, alias)
    if not logbook.about["complete"] and not offline:
        try:
            sync_locked(earlier.folder)
        except TrackingError as error:
            logger.warning("%s", error)
    logger.info("%s has finished; nothing is left to train", earlier.folder)
    return _result(earlier.folder, logbook)


def _result(folder: Path, logbook: Logbook) -> TrainingResult:
    return TrainingResult(folder, logbook.run_id, **artifacts.read_json(folder / artifacts.RESULT))


def _train(
    logbook: Logbook,
    config: Config,
    records: Mapping[str, Records],
    callbacks: Sequence[keras.callbacks.Callback],
    signals: StopSignals,
    elsewhere: ModelProcess,
) -> None:
    import keras

    from barrage_mlflow.model import build_network, input_specs
    from barrage_mlflow.services import BestCheckpoint, find_checkpoint, rewrite_report
    from barrage_mlflow.training.loop import fit
    from barrage_mlflow.training.prepare import (
        build_feeder,
        build_objective,
        build_services,
        fit_pipelines,
        load_pipelines,
        train_batches,
    )

    train_records, validation_records = records["train"], records["validation"]
    batch_size = config["solver"]["batch_size"]
    keras.utils.set_random_seed(config["dataset"]["seed"])

    folder = logbook.folder
    checkpoint = find_checkpoint(folder / artifacts.CHECKPOINTS / artifacts.RESUME)
    logbook.catch_up(checkpoint.logs if checkpoint else [])
    data = folder / artifacts.MODEL / artifacts.DATA
    fitted = data / artifacts.TRANSFORMER
    if checkpoint:
        place = f"epoch {checkpoint.epoch + 1}, batch {checkpoint.batch + 1}"
        logger.info("going on at %s, from %s", place, checkpoint.path)
        logbook.set_tags({"barrage.resumed_at": place})
        rewrite_report(folder / artifacts.REPORT, checkpoint.logs)
        train_pipeline, validation_pipeline = load_pipelines(config, fitted)
    else:
        # A training that was killed before its first checkpoint may have left half of it.
        shutil.rmtree(fitted, ignore_errors=True)
        train_pipeline, validation_pipeline = fit_pipelines(config, train_records, fitted)
    network_params = train_pipeline.transformer.network_params

    example = train_pipeline.load_and_transform(train_records[:batch_size])
    network = build_network(config, network_params, example)
    objective = build_objective(config, network, network_params, example)
    say_space(network, config, folder)
    recording.write_summary(network, folder / artifacts.NETWORK_SUMMARY)

    specs = input_specs(network)
    columns = rehearse(config, network, specs, fitted, train_records).columns
    services = build_services(config, folder, logbook.checkpoint_note(config), logbook.offer)
    with build_feeder(config, folder / artifacts.CACHE) as feeder:
        batches = train_batches(config, train_records, train_pipeline, specs, feeder)
        logger.info("feeding: %s", batches.plan)
        validation = ValidationBatches(
            validation_records, validation_pipeline, specs, batch_size, feeder
        )
        history = fit(
            network,
            batches,
            validation,
            config["solver"]["epochs"],
            [_metric_logger(logbook), *services, *callbacks],
            objective,
            checkpoint,
            config["solver"].get("steps_per_execution"),
            signals,
        )

    best = next(callback for callback in services if isinstance(callback, BestCheckpoint))
    best_epoch, best_network = best.restore()
    shutil.rmtree(data / artifacts.NETWORK, ignore_errors=True)
    save_model(data, config, best_network, specs, columns)
    scorer = Scorer.of_network(config, best_network, specs, fitted, columns)
    _package(folder, config, scorer, records, elsewhere)
    logbook.write_result(best_epoch, history[best_epoch - 1])


def _package(
    folder: Path,
    config: Config,
    scorer: Scorer,
    records: Mapping[str, Records],
    elsewhere: ModelProcess,
) -> None:
    """Make an MLflow model of what was trained, and prove that it scores elsewhere as it does here.

    The curves are drawn meanwhile.

    Args:
        folder: the artifact folder.
        config: the resolved config.
        scorer: scores with the best network.
        records: the train and the validation records.
        elsewhere: a clean process, which was asked to warm up.
    """
    from barrage_mlflow.services import write_learning_curves

    model = folder / artifacts.MODEL
    example = records["validation"][:_EXAMPLE_RECORDS]
    scores = answer(scorer, example)
    requirements = tracking.requirements(code_modules(config))
    code = sorted((folder / artifacts.CODE).glob("*"))
    package_model(model, scorer.columns, example, scores, requirements, code)
    files = [Path(each.source) for each in records.values() if each.source]
    homes = [path.parent for path in (*files, *recording.project_code(config))]
    again = partial(answer, scorer, example)
    with proved(elsewhere, model, scores, again, [folder, Path.cwd(), *homes]):
        write_learning_curves(folder / artifacts.REPORT, folder / artifacts.LEARNING_CURVES)


def _seeded(document: Document, seed: int) -> Document:
    """Set the seed where the config has none, so that every run can be repeated."""
    dataset = document.data.get("dataset") if isinstance(document.data, dict) else None
    if not isinstance(dataset, dict) or "seed" in dataset:
        return document
    return apply_overrides(document, {"dataset.seed": seed})


def _metric_logger(logbook: Logbook) -> keras.callbacks.Callback:
    import keras

    # To come before Keras's learning rate reducer, which changes what it is given.
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: logbook.log_epoch(epoch + 1, logs)
    )
