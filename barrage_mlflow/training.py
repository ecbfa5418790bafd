"""The whole recipe of a training, from the config to the packaged model."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from barrage_mlflow import artifacts, pyfunc, tracking
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
from barrage_mlflow.errors import ArtifactError, RecordError, describe_error
from barrage_mlflow.progress import progress_callback
from barrage_mlflow.scoring import Scorer, rehearse, save_model

if TYPE_CHECKING:
    import keras

Config = dict[str, Any]

logger = logging.getLogger(__name__)

_SEEDS = 2**31
_SUMMARY_WIDTH = 120
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
) -> TrainingResult:
    """Train a network as a config says, in one MLflow run, and package the best of it.

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

    Raises:
        ConfigError: with every fault of the config; no run is opened.
        ArtifactError: the artifact folder is in use.
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
    try:
        document = _seeded(apply_overrides(read_config(config), overrides or {}))
        add_project_path(document)
        resolved = resolve_config(document, run_code=True)
        for warning in find_warnings(document):
            logger.warning("%s", warning)
        artifacts.check_free(artifact_dir)
        if register is not None:
            tracking.check_registrable(register)
    except BaseException as error:
        tracking.end_project_run(error)
        raise
    run = tracking.open_run(experiment, run_name)
    folder = artifacts.default_folder(run.run_id) if artifact_dir is None else Path(artifact_dir)
    try:
        _begin(run, folder, document, resolved)
        result = _train(
            run,
            folder,
            resolved,
            _read_dataset(run, records_train, "train"),
            _read_dataset(run, records_validation, "validation"),
            register,
            [*callbacks, *([progress_callback(progress)] if progress else [])],
        )
        _log_artifacts(run, folder)
    except KeyboardInterrupt as error:
        # The status goes first: whoever interrupts may soon kill.
        run.finish("KILLED", error)
        if any((folder / artifacts.CHECKPOINTS).rglob("*.npz")):
            error.add_note(f"checkpoints up to here are kept in {folder}")
        _log_artifacts(run, folder, error)
        raise
    except BaseException as error:
        try:
            _log_artifacts(run, folder, error)
        finally:
            run.finish("FAILED", error)
        raise
    run.finish("FINISHED")
    return result


def _train(
    run: tracking.TrackedRun,
    folder: Path,
    config: Config,
    train_records: Records,
    validation_records: Records,
    register: str | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> TrainingResult:
    import keras

    from barrage_mlflow.fitting import fit
    from barrage_mlflow.model import build_network, input_specs
    from barrage_mlflow.preparing import (
        build_feeder,
        build_objective,
        build_services,
        fit_pipelines,
        train_batches,
    )
    from barrage_mlflow.services import BestCheckpoint

    batch_size = config["solver"]["batch_size"]
    keras.utils.set_random_seed(config["dataset"]["seed"])

    fitted = folder / artifacts.MODEL / artifacts.MODEL_TRANSFORMER
    train_pipeline, validation_pipeline = fit_pipelines(config, train_records, fitted)
    network_params = train_pipeline.transformer.network_params

    example = train_pipeline.load_and_transform(train_records[:batch_size])
    network = build_network(config, network_params, example)
    objective = build_objective(config, network, network_params, example)
    _write_summary(network, folder / artifacts.NETWORK_SUMMARY)

    specs = input_specs(network)
    columns = rehearse(config, network, specs, fitted, train_records).columns
    services = build_services(config, folder)
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
            [*services, _metric_logger(run), *callbacks],
            objective,
            steps_per_execution=config["solver"].get("steps_per_execution"),
        )

    best = next(callback for callback in services if isinstance(callback, BestCheckpoint))
    best_epoch, best_network = best.restore()
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


def _seeded(document: Document) -> Document:
    """Draw a seed where the config has none, so that every run can be repeated."""
    dataset = document.data.get("dataset") if isinstance(document.data, dict) else None
    if not isinstance(dataset, dict) or "seed" in dataset:
        return document
    return apply_overrides(document, {"dataset.seed": secrets.randbelow(_SEEDS)})


def _begin(run: tracking.TrackedRun, folder: Path, document: Document, config: Config) -> None:
    """Make the artifact folder and write down what is about to be trained."""
    logger.info("MLflow run %s of %s", run.run_id, run.tracking_uri)
    logger.info("artifacts in %s", folder)
    try:
        for part in (artifacts.MODEL, artifacts.CHECKPOINTS):
            (folder / part).mkdir(parents=True)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: the artifact folder cannot be made ({error}); name another one"
        ) from error
    identity = {name: getattr(run, name) for name in ("run_id", "experiment_id", "tracking_uri")}
    artifacts.write_json(folder / artifacts.RUN, identity)
    suffix = Path(document.source).suffix or ".json"
    (folder / f"{artifacts.CONFIG}{suffix}").write_text(document.text, "utf-8")
    artifacts.write_json(folder / artifacts.RESOLVED_CONFIG, config)
    for path in map(Path, tracking.project_code(code_modules(config))):
        copy = folder / artifacts.CODE / path.name
        if path.is_dir():
            shutil.copytree(path, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            copy.parent.mkdir(exist_ok=True)
            shutil.copy2(path, copy)
    project = Path(document.source).parent if document.source else Path.cwd()
    run.set_tags(tracking.environment_tags(project))
    run.log_params(tracking.flatten_config(config))


def _read_dataset(run: tracking.TrackedRun, source: Any, context: str) -> Records:
    records = Records.read(source, name=None if _is_path(source) else context)
    if not len(records):
        raise RecordError(f"{records.name} holds no records; give at least one")
    run.log_dataset(
        name=context,
        context=context,
        digest=records.digest(),
        source=records.source,
        columns=records.dtypes(),
        rows=len(records),
    )
    return records


def _metric_logger(run: tracking.TrackedRun) -> keras.callbacks.Callback:
    import keras

    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: run.log_metrics(logs, step=epoch + 1)
    )


def _write_summary(network: keras.Model, path: Path) -> None:
    lines: list[str] = []
    # Keras cuts the table off at the width of the terminal, whatever length it is asked for.
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(_SUMMARY_WIDTH)
    try:
        network.summary(print_fn=lambda line, **_: lines.append(line), line_length=_SUMMARY_WIDTH)
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _log_artifacts(
    run: tracking.TrackedRun, folder: Path, failure: BaseException | None = None
) -> None:
    """Log whatever the artifact folder holds by now, the packaged model apart.

    After a failure what goes wrong here is a note on it, so that it does not hide it.
    """
    from barrage_mlflow.services import write_learning_curves

    if not folder.is_dir():
        return
    try:
        if (folder / artifacts.REPORT).exists():
            write_learning_curves(folder / artifacts.REPORT, folder / artifacts.LEARNING_CURVES)
        for path in sorted(folder.iterdir()):
            if path.name != artifacts.MODEL:
                run.log_artifact(path)
    except Exception as error:
        if failure is None:
            raise
        failure.add_note(f"besides: {describe_error(error)}")


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)
