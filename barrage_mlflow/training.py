"""The whole recipe of a training, from the config to the packaged model."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from barrage_mlflow import artifacts, pyfunc, recording, tracking
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
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.locking import locked
from barrage_mlflow.progress import progress_callback
from barrage_mlflow.resuming import Earlier, find_earlier, unfinished
from barrage_mlflow.scoring import Scorer, rehearse, save_model
from barrage_mlflow.stopping import StopSignals

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.services import Checkpoint

Config = dict[str, Any]

logger = logging.getLogger(__name__)

_SEEDS = 2**31
_SUMMARY_WIDTH = 120
_PATIENCE = 30
"""Seconds: a supervisor may start again before the process that it stopped is gone."""
_EXAMPLE_RECORDS = 5
"""Records in the packaged model's input example."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training leaves.

    Attributes:
        artifact_dir: the artifact folder.
        run_id: the MLflow run.
        model_uri: the packaged model, for ``mlflow models serve -m`` and the like.
        best_epoch: the epoch whose weights were packaged, counted from 1.
        metrics: every metric at that epoch.
    """

    artifact_dir: Path
    run_id: str
    model_uri: str
    best_epoch: int
    metrics: dict[str, float]


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    records_train: Any,
    records_validation: Any,
    *,
    artifact_dir: str | os.PathLike[str] | None = None,
    experiment: str | None = None,
    run_name: str | None = None,
    register: str | None = None,
    overrides: Mapping[str, Any] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    progress: TextIO | None = None,
    resume: bool | Literal["auto"] = False,
    resume_anyway: bool = False,
) -> TrainingResult:
    """Train a network as a config says, in one MLflow run, and package the best of it.

    The first SIGTERM or Ctrl-C ends the training between two batches, with a resume checkpoint of
    that moment and the run KILLED.

    Args:
        config: a JSON or YAML file, or a dict.
        records_train: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
        records_validation: likewise.
        artifact_dir: a new or empty folder; ``artifacts/<time>-<run id>`` if left out.
        experiment: MLflow experiment, made if it is not there.
        run_name: name of the MLflow run.
        register: registered model to add the packaged model to, as a new version.
        overrides: config values by dotted path, ``{"solver.epochs": 3}``.
        callbacks: further Keras callbacks; they come after the config's services.
        progress: where to show epochs, metrics and the time left; nowhere if left out.
        resume: go on with the training in the artifact folder, in its MLflow run, as if it had
            never stopped; start one if there is none. A finished one is left as it is. ``"auto"``
            without a folder: go on with the newest unfinished one of this config and these records
            in ``artifacts``, and wait half a minute for another process to leave it.
        resume_anyway: resume also where the config, the code or the records have changed since.

    Raises:
        ConfigError: with every fault of the config; no run is opened.
        ArtifactError: the artifact folder is in use, or what was begun in it has changed since.
        RecordError: records cannot be read, loaded or fed to the network.
        ComponentError: a component broke its contract.
        TrackingError: MLflow cannot be reached, or refuses the name to register.
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
    if resume and resume != "auto" and artifact_dir is None:
        raise ArtifactError("resume needs an artifact_dir: name the folder of the training")
    with StopSignals() as signals, ExitStack() as until_end:
        try:
            sets = {"train": records_train, "validation": records_validation}
            if resume:
                sets = {name: recording.read_records(source, name) for name, source in sets.items()}
            folder = None if artifact_dir is None else Path(artifact_dir)
            if folder is None and resume == "auto":
                folder = _find_unfinished(config, overrides, sets)
            earlier = None
            if folder is not None:
                until_end.enter_context(locked(folder, _PATIENCE if resume == "auto" else 0))
                earlier = _find_earlier(folder, bool(resume))
            document, resolved = _resolve(config, overrides, earlier)
            if register is not None:
                tracking.check_registrable(register)
            if earlier is not None and earlier.result is not None:
                return _finished(earlier)
            changes = _changes(earlier, resolved, sets, resume_anyway) if earlier else []
        except BaseException as error:
            tracking.end_project_run(error)
            raise
        run = tracking.open_run(experiment, run_name, run_id=earlier.run_id if earlier else None)
        try:
            if folder is None:
                folder = artifacts.default_folder(run.run_id)
                until_end.enter_context(locked(folder))
            recording.begin(run, folder, document, resolved, earlier, changes)
            records = recording.read_datasets(run, folder, sets, earlier)
            result = _train(
                run,
                folder,
                resolved,
                records,
                register,
                [*callbacks, *([progress_callback(progress)] if progress else [])],
                signals,
            )
            recording.log_artifacts(run, folder)
            _write_result(result)
        except KeyboardInterrupt as error:
            # The status goes first: whoever interrupts may soon kill.
            run.finish("KILLED", error)
            if folder is not None:
                if any((folder / artifacts.CHECKPOINTS).rglob("*.npz")):
                    error.add_note(f"go on with: --artifact-dir {folder} --resume")
                recording.log_artifacts(run, folder, error)
            raise
        except BaseException as error:
            try:
                if folder is not None:
                    recording.log_artifacts(run, folder, error)
            finally:
                run.finish("FAILED", error)
            raise
        run.finish("FINISHED")
        return result


def _find_unfinished(
    config: Any, overrides: Mapping[str, Any] | None, sets: Mapping[str, Records]
) -> Path | None:
    """Find the folder of the newest unfinished training of a config, its code and records."""
    for earlier in unfinished(Path(artifacts.HOME)):
        _, resolved = _resolve(config, overrides, earlier)
        if not _differences(earlier, resolved, sets):
            return earlier.folder
    return None


def _find_earlier(folder: Path, resume: bool) -> Earlier | None:
    """Find what was begun in a folder, whose lock is held; refuse it unless it is to go on."""
    earlier = find_earlier(folder)
    if earlier is None or not resume:
        if earlier is not None and earlier.result is None:
            # Its process was killed before it could say so.
            tracking.settle_run(earlier.run_id, "KILLED")
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
    for warning in find_warnings(document):
        logger.warning("%s", warning)
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


def _say_resumed(run: tracking.TrackedRun, checkpoint: Checkpoint) -> None:
    place = f"epoch {checkpoint.epoch + 1}, batch {checkpoint.batch + 1}"
    logger.info("going on at %s, from %s", place, checkpoint.path)
    run.set_tags({"barrage.resumed_at": place})


def _write_result(result: TrainingResult) -> None:
    values = {name: getattr(result, name) for name in ("model_uri", "best_epoch", "metrics")}
    artifacts.write_json(result.artifact_dir / artifacts.RESULT, values)


def _finished(earlier: Earlier) -> TrainingResult:
    assert earlier.result is not None
    tracking.settle_run(earlier.run_id, "FINISHED")
    logger.info("%s has finished; nothing is left to train", earlier.folder)
    return TrainingResult(earlier.folder, earlier.run_id, **earlier.result)


def _train(
    run: tracking.TrackedRun,
    folder: Path,
    config: Config,
    records: Mapping[str, Records],
    register: str | None,
    callbacks: Sequence[keras.callbacks.Callback],
    signals: StopSignals,
) -> TrainingResult:
    import keras

    from barrage_mlflow.fitting import fit
    from barrage_mlflow.model import build_network, input_specs
    from barrage_mlflow.preparing import (
        build_feeder,
        build_objective,
        build_services,
        fit_pipelines,
        load_pipelines,
        train_batches,
    )
    from barrage_mlflow.services import BestCheckpoint, find_checkpoint

    train_records, validation_records = records["train"], records["validation"]
    batch_size = config["solver"]["batch_size"]
    keras.utils.set_random_seed(config["dataset"]["seed"])

    checkpoint = find_checkpoint(folder / artifacts.CHECKPOINTS / artifacts.RESUME)
    run.catch_up(checkpoint.logs if checkpoint else [])
    fitted = folder / artifacts.MODEL / artifacts.MODEL_TRANSFORMER
    if checkpoint:
        _say_resumed(run, checkpoint)
        train_pipeline, validation_pipeline = load_pipelines(config, fitted)
    else:
        # A training that was killed before its first checkpoint may have left half of it.
        shutil.rmtree(fitted, ignore_errors=True)
        train_pipeline, validation_pipeline = fit_pipelines(config, train_records, fitted)
    network_params = train_pipeline.transformer.network_params

    example = train_pipeline.load_and_transform(train_records[:batch_size])
    network = build_network(config, network_params, example)
    objective = build_objective(config, network, network_params, example)
    recording.write_summary(network, folder / artifacts.NETWORK_SUMMARY)

    specs = input_specs(network)
    columns = rehearse(config, network, specs, fitted, train_records).columns
    services = build_services(config, folder, recording.about(run, config, folder))
    with build_feeder(config, folder / artifacts.CACHE) as feeder:
        batches = train_batches(config, train_records, train_pipeline, specs, feeder)
        validation = ValidationBatches(
            validation_records, validation_pipeline, specs, batch_size, feeder
        )
        history = fit(
            network,
            batches,
            validation,
            config["solver"]["epochs"],
            [_metric_logger(run), *services, *callbacks],
            objective,
            checkpoint,
            config["solver"].get("steps_per_execution"),
            signals,
        )

    best = next(callback for callback in services if isinstance(callback, BestCheckpoint))
    best_epoch, best_network = best.restore()
    shutil.rmtree(folder / artifacts.MODEL / artifacts.MODEL_NETWORK, ignore_errors=True)
    save_model(folder / artifacts.MODEL, config, best_network, specs, columns)
    metrics = history[best_epoch - 1]
    model = pyfunc.log_model(
        run.run_id,
        folder / artifacts.MODEL,
        # Not of the artifact folder, whose copy of the code would go on the Python path.
        Scorer.load(folder / artifacts.MODEL),
        validation_records[:_EXAMPLE_RECORDS],
        code_paths=[str(path) for path in sorted((folder / artifacts.CODE).glob("*"))],
        requirements=tracking.requirements(code_modules(config)),
        registered_name=register,
    )
    run.log_model_metrics(model.model_id, metrics, step=best_epoch)
    return TrainingResult(folder, run.run_id, model.model_uri, best_epoch, metrics)


def _seeded(document: Document, seed: int) -> Document:
    """Set the seed where the config has none, so that every run can be repeated."""
    dataset = document.data.get("dataset") if isinstance(document.data, dict) else None
    if not isinstance(dataset, dict) or "seed" in dataset:
        return document
    return apply_overrides(document, {"dataset.seed": seed})


def _metric_logger(run: tracking.TrackedRun) -> keras.callbacks.Callback:
    import keras

    # To come before Keras's learning rate reducer, which changes what it is given.
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: run.log_metrics(logs, step=epoch + 1)
    )
