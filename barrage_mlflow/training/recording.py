"""What a training writes down of itself, in its artifact folder and in its MLflow run."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow import tracking
from barrage_mlflow.config import Document, code_modules
from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, RecordError, TrackingError, describe_error
from barrage_mlflow.scoring.package import log_model
from barrage_mlflow.stopping import put_off_signals
from barrage_mlflow.tracking import MetricJournal, TrackedRun
from barrage_mlflow.tracking.checkpoints import CheckpointUploads
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.code_files import copy_code
from barrage_mlflow.workspace.earlier import Earlier

if TYPE_CHECKING:
    import keras

Config = dict[str, Any]

logger = logging.getLogger(__name__)

_SUMMARY_WIDTH = 120
_KILLED_PATIENCE = 5
"""Seconds for the artifacts of a training that was interrupted: whoever interrupts may kill."""
_NOT_LOGGED = (
    artifacts.MODEL,
    artifacts.LOCK,
    artifacts.CACHE,
    artifacts.CHECKPOINTS,
)
"""What of the artifact folder is not logged as it stands."""
_NOTHING: dict[str, Any] = {
    "run_id": None,
    "experiment_id": None,
    "tracking_uri": None,
    "experiment": None,
    "run_name": None,
    "register": None,
    "alias": None,
    "status": None,
    "error": None,
    "started": None,
    "ended": None,
    "complete": False,
    "tags": {},
    "datasets": [],
}


class Logbook:
    """The record of one training: all of it in the artifact folder, and from there in MLflow.

    Without a run, offline, it is kept in the folder alone; :func:`~barrage_mlflow.sync` logs it
    later.

    Args:
        folder: the artifact folder, whose lock is held.
        run: the MLflow run; None: MLflow is not asked for anything.

    Attributes:
        folder: as given, like ``run``.
        about: what ``run.json`` holds; times are milliseconds since 1970.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     logbook = Logbook(Path(folder), None)
        ...     logbook.log_epoch(1, {"loss": 0.5})
        ...     logbook.end("FINISHED")
        ...     logbook.about["status"], sorted(path.name for path in Path(folder).iterdir())
        ('FINISHED', ['metrics.jsonl', 'run.json'])
    """

    def __init__(self, folder: Path, run: TrackedRun | None) -> None:
        self.folder = folder
        self.run = run
        self.about = {**_NOTHING, **(artifacts.read_json(folder / artifacts.RUN) or {})}
        self._journal = MetricJournal(folder / artifacts.METRICS)
        self._uploads = CheckpointUploads(run, folder) if run else None

    @property
    def run_id(self) -> str | None:
        """MLflow's id of the run; None if it has none yet."""
        run_id: str | None = self.about["run_id"]
        return run_id

    def begin(
        self,
        document: Document,
        config: Config,
        earlier: Earlier | None,
        changes: Sequence[str],
        wishes: Mapping[str, str | None],
        tags: Mapping[str, str],
    ) -> None:
        """Make the artifact folder and write down what is about to be trained.

        Args:
            document: the config as given.
            config: the resolved config.
            earlier: what was begun there before, if anything was.
            changes: what has changed since.
            wishes: ``experiment``, ``run_name``, ``register``, ``alias``, as the caller gave them.
            tags: further tags of the run.

        Raises:
            ArtifactError: the folder cannot be written to.
            TrackingError: MLflow cannot be reached.
        """
        if self.run:
            logger.info("MLflow run %s of %s", self.run.run_id, self.run.tracking_uri)
        logger.info("artifacts in %s", self.folder)
        project = Path(document.source).parent if document.source else Path.cwd()
        try:
            # First of all, so that the next start finds the run however this one ends.
            self._note(
                **{name: value for name, value in wishes.items() if value is not None},
                **_identity(self.run),
                status="RUNNING",
                error=None,
                started=self.about["started"] or _now(),
                ended=None,
                complete=False,
            )
            for part in (Path(artifacts.MODEL, artifacts.DATA), Path(artifacts.CHECKPOINTS)):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            tags = {**tags, **tracking.environment_tags(project)}
            if changes:
                tags["barrage.resumed_anyway"] = "\n".join(changes)
            self._note(tags={**self.about["tags"], **tags})
            if earlier is None or earlier.config is None or changes:
                # They tell of what was trained before.
                _remove(self.folder / artifacts.RESULT)
                _write_recipe(self.folder, document, config)
        except OSError as error:
            raise ArtifactError(
                f"{self.folder}: the artifact folder cannot be made ({error}); name another one"
            ) from error
        self._tell_start(config)

    def read_datasets(self, sets: Mapping[str, Any]) -> dict[str, Records]:
        """Read the datasets and name them as inputs of the run.

        Raises:
            RecordError: one cannot be read, or is empty.
            TrackingError: MLflow cannot be reached.
        """
        read = {name: read_records(source, name) for name, source in sets.items()}
        datasets: list[dict[str, Any]] = [
            {
                "name": name,
                "context": name,
                "digest": records.digest(),
                "source": records.source,
                "columns": records.dtypes(),
                "rows": len(records),
            }
            for name, records in read.items()
        ]
        self._note(datasets=datasets)
        self._tell_datasets()
        return read

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags of the run.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        self._note(tags={**self.about["tags"], **tags})
        if self.run:
            self.run.set_tags(tags)

    def catch_up(self, history: Sequence[Mapping[str, float]]) -> None:
        """Log the metrics of epochs that were trained before, each unless the run holds it.

        Args:
            history: the metrics of each epoch from the first on.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        for step, metrics in enumerate(history, 1):
            self._journal.add(step, metrics)
        if self.run:
            self.run.catch_up(self._journal.epochs()[: len(history)])

    def log_epoch(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write down the metrics of an epoch, counted from 1, and have them sent to MLflow."""
        timestamp = self._journal.add(step, metrics)
        if self.run:
            self.run.log_metrics(metrics, step, timestamp)

    def checkpoint_note(self, config: Config) -> dict[str, Any]:
        """What a resume checkpoint tells of the training to whoever finds it elsewhere."""
        known = {name: self.about[name] for name in ("run_id", "experiment_id", "tracking_uri")}
        return {**known, "config": config, "config_digest": artifacts.digest_of(config)}

    def offer(self, checkpoint: Path) -> None:
        """Have a resume checkpoint that was just written copied to the run, for other machines."""
        if self._uploads:
            self._uploads.offer(checkpoint)

    def write_result(self, best_epoch: int, metrics: Mapping[str, float]) -> None:
        """Write down what the training came to: with it, it has finished.

        Args:
            best_epoch: the epoch of the packaged weights, counted from 1.
            metrics: every metric at that epoch.
        """
        uris = {"model_uri": None, "version_uri": None}
        result = {**uris, "best_epoch": best_epoch, "metrics": dict(metrics)}
        artifacts.write_json(self.folder / artifacts.RESULT, result)

    def end(self, status: tracking.Status, error: BaseException | None = None) -> None:
        """Write down how the training ended, and bring its MLflow run up to the folder.

        Where MLflow cannot be reached a warning says how to do that later. With ``error``, which
        the caller is about to raise, that is a note on it.

        Args:
            status: how it ended.
            error: why.
        """
        told = describe_error(error) if error else None
        try:
            self._note(status=status, error=told, ended=_now())
        except OSError as problem:  # the disk is full, and may be why
            if error is None:
                raise
            error.add_note(f"besides: {self.folder / artifacts.RUN}: {problem}")
        if self.run is None:
            if error is None:
                logger.info("log it to MLflow with: barrage-mlflow sync %s", self.folder)
        elif status == "KILLED":
            self._tell_killed(self.run, error)
        elif status == "FAILED":
            self._tell_failed(self.run, error)
        else:
            self._tell_finished(self.run)

    def publish(self) -> None:
        """Bring the run up to the folder, all but its status.

        What the run holds already is not logged twice.

        Raises:
            TrackingError: MLflow cannot be reached, or refuses something.
        """
        assert self.run is not None
        self._note(**_identity(self.run))
        self._tell_start(artifacts.read_json(self.folder / artifacts.RESOLVED_CONFIG) or {})
        self._tell_datasets()
        self.run.catch_up(self._journal.epochs())
        self._tell_rest(self.run)

    def create_run(self) -> str:
        """Make the MLflow run of a training that has none yet.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        about = self.about
        with put_off_signals():  # or the next start would make another one
            run_id = tracking.create_run(about["experiment"], about["run_name"], about["started"])
            self._note(run_id=run_id)
        return run_id

    def wish_version(self, register: str, alias: str | None) -> None:
        """Write down that the model of a finished training is to be registered, unless it is.

        Args:
            register: the registered model.
            alias: the alias that is to lead to the version; that which does, if left out.
        """
        known = self.about["register"], self.about["alias"]
        alias = known[1] if alias is None and register == known[0] else alias
        if known != (register, alias):
            # In this order: killed between the two, it is not taken for registered.
            self._forget("version_uri")
            self._note(register=register, alias=alias, complete=False)

    def forget_run(self) -> None:
        """Write down that MLflow has nothing of the training."""
        self._note(run_id=None, experiment_id=None, tracking_uri=None, complete=False)
        self._forget("model_uri", "version_uri")

    def _forget(self, *uris: str) -> None:
        result = artifacts.read_json(self.folder / artifacts.RESULT)
        if result:
            artifacts.write_json(self.folder / artifacts.RESULT, {**result, **dict.fromkeys(uris)})

    def note_complete(self) -> None:
        """Write down that MLflow has it all."""
        self._note(complete=True)

    def _note(self, **values: Any) -> None:
        self.about.update(values)
        artifacts.write_json(self.folder / artifacts.RUN, self.about)

    def _tell_start(self, config: Config) -> None:
        if self.run:
            self.run.set_tags(self.about["tags"])
            self.run.log_params(tracking.flatten_config(config))
            if config:
                self.run.log_artifact(self.folder / artifacts.RESOLVED_CONFIG)

    def _tell_datasets(self) -> None:
        if self.run:
            for dataset in self.about["datasets"]:
                self.run.log_dataset(**dataset)

    def _tell_rest(self, run: TrackedRun) -> None:
        """Log what is there when training is over: the model and the artifacts."""
        run.flush()  # the model's metrics are those of the run
        result = artifacts.read_json(self.folder / artifacts.RESULT)
        name = self.about["register"]
        if result and not (result["model_uri"] and (result["version_uri"] or not name)):
            epoch = self._journal.epochs()[result["best_epoch"] - 1]
            uri = result["model_uri"] or log_model(run, self.folder, epoch)
            version_uri = None
            if name:
                alias = self.about["alias"]
                register = partial(tracking.register_version, uri, name, alias, epoch.metrics)
                number = run.call(f"register the model as {name!r}", register)
                version_uri = f"models:/{name}/{number}"
            uris = {"model_uri": uri, "version_uri": version_uri}
            artifacts.write_json(self.folder / artifacts.RESULT, {**result, **uris})
        self._log_artifacts(run)

    def _log_artifacts(self, run: TrackedRun) -> None:
        from barrage_mlflow.services import write_learning_curves

        report, curves = (
            self.folder / name for name in (artifacts.REPORT, artifacts.LEARNING_CURVES)
        )
        if report.exists() and not _is_newer(curves, report):
            write_learning_curves(report, curves)
        for path in sorted(self.folder.iterdir()):
            if path.name not in _NOT_LOGGED:
                run.log_artifact(path)
        best = self.folder / artifacts.CHECKPOINTS / artifacts.BEST_WEIGHTS
        if best.exists():
            run.log_artifact(best, artifacts.CHECKPOINTS)
        if self._uploads:
            self._uploads.upload_newest()

    def _tell_finished(self, run: TrackedRun) -> None:
        try:
            self._tell_rest(run)
            run.finish("FINISHED")
            self.note_complete()
        except TrackingError as problem:
            run.finish("FAILED", problem)
            logger.warning(
                "%s\nthe training is complete and kept in %s; log it to MLflow with: "
                "barrage-mlflow sync %s",
                describe_error(problem),
                self.folder,
                self.folder,
            )

    def _tell_failed(self, run: TrackedRun, error: BaseException | None) -> None:
        try:
            self._log_artifacts(run)
        except Exception as problem:
            if error is not None:
                error.add_note(f"besides: {describe_error(problem)}")
        finally:
            run.finish("FAILED", error)

    def _tell_killed(self, run: TrackedRun, error: BaseException | None) -> None:
        # The status goes first: whoever interrupts may soon kill.
        if not run.finish("KILLED", error):
            return

        def log() -> None:
            with suppress(Exception):  # the next start in the folder, or sync, does it again
                self._log_artifacts(run)

        rest = threading.Thread(target=log, name="artifacts", daemon=True)
        rest.start()
        rest.join(_KILLED_PATIENCE)


def project_code(config: Config) -> list[Path]:
    """The files and folders of the project's own code that a resolved config leads to."""
    return [Path(path) for path in tracking.project_code(code_modules(config))]


def read_records(source: Any, name: str) -> Records:
    """Read a dataset.

    Raises:
        RecordError: it cannot be read, or is empty.
    """
    if isinstance(source, Records):
        return source
    records = Records.read(source, name=None if _is_path(source) else name)
    if not len(records):
        raise RecordError(f"{records.name} holds no records; give at least one")
    return records


def write_summary(network: keras.Model, path: Path) -> None:
    """Write the network's layers and shapes as a table."""
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


def _identity(run: TrackedRun | None) -> dict[str, str]:
    names = ("run_id", "experiment_id", "tracking_uri")
    return {name: getattr(run, name) for name in names} if run else {}


def _write_recipe(folder: Path, document: Document, config: Config) -> None:
    # The resolved config is the sign that all of it is whole: it comes last.
    suffix = Path(document.source).suffix or ".json"
    (folder / f"{artifacts.CONFIG}{suffix}").write_text(document.text, "utf-8")
    _remove(folder / artifacts.CODE)
    copy_code(project_code(config), folder / artifacts.CODE)
    artifacts.write_json(folder / artifacts.RESOLVED_CONFIG, config)


def _is_newer(path: Path, other: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns >= other.stat().st_mtime_ns


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _is_path(source: Any) -> bool:
    return isinstance(source, str | os.PathLike)
