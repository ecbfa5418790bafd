"""Brings an MLflow run up to an artifact folder, at any time, again and again."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.placeholders import fill_model
from barrage_mlflow.errors import ArtifactError, TrackingError, describe_error, hide_secrets
from barrage_mlflow.tracking.card import describe
from barrage_mlflow.tracking.checkpoint_slots import BEGUN, SLOTS, send_checkpoint
from barrage_mlflow.tracking.datasets import dataset_input
from barrage_mlflow.tracking.evaluations import TABLES_TAG, evaluation_metrics, tables_tag
from barrage_mlflow.tracking.limits import batches, legal_name, legal_tags
from barrage_mlflow.tracking.logged_model import log_model
from barrage_mlflow.tracking.params import flatten_config
from barrage_mlflow.tracking.registry import register_version
from barrage_mlflow.tracking.runs import ERROR_TAG, RUN_ID, active, end_run, open_run
from barrage_mlflow.tracking.store import NO_ANSWER, Store, check_store, files_in
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.history import Epoch
from barrage_mlflow.workspace.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities import Metric, Run

logger = logging.getLogger(__name__)

RESUMED_RUN_TAG = "barrage.resumed_run"

KILLED = "the process was killed"
"""The error of a training whose process could not write one."""

_PAUSE = 1.0
"""Seconds between two looks at the folder: each takes a core from the training."""
_PATIENCE = 30
"""Seconds for which a training that has finished waits for a server that has gone."""
_KILLED_PATIENCE = 5
"""Seconds for a call that is under way when a training is interrupted: whoever does may kill."""
_REST = 20
"""Times as long as sending a resume checkpoint took is waited before the next one is sent."""

_NOT_SENT = (
    *(artifacts.MODEL, artifacts.LOCK, artifacts.CACHE, artifacts.CHECKPOINTS),
    *(artifacts.TRIALS, artifacts.STUDY),
)
"""What of the artifact folder is not sent as it is."""


class Publisher:
    """Writes to the MLflow run of one training what the run lacks of the artifact folder.

    The folder is read, but for MLflow's names of run and model, which are added to the run record.
    What the run has already is not written twice, whoever wrote it.

    Example:
        >>> with Publisher().following(work):  # doctest: +SKIP
        ...     train(work)
    """

    _work: Workspace
    _store: Store
    _run: Run
    _config: dict[str, Any]

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Any] = {}
        self._epochs: dict[int, Epoch] = {}
        self._files: dict[str, tuple[int, int]] = {}
        self._checkpoint: tuple[Path, int] | None = None
        self._rested = 0.0
        self._left = threading.Event()
        self._problem: Exception | None = None

    @contextmanager
    def following(self, work: Workspace) -> Iterator[None]:
        """Open the run, write what is there, and follow the folder on a thread until the end.

        Meanwhile the run is the active one of the caller's thread. When the block ends, the status
        in the run record is final, and all is published. If MLflow is gone by then a warning says
        how to do that later, or a note on the exception that ended the block.

        Args:
            work: the artifact folder of a training that was begun.

        Raises:
            TrackingError: MLflow cannot be reached when the block begins, or refuses something.
        """
        self._attach(work)
        try:
            self._take_up()
        except BaseException as problem:
            with suppress(TrackingError):
                self._end("FAILED", describe_error(problem))
            raise
        thread = threading.Thread(target=self._follow, name="publisher", daemon=True)
        error = None
        with active(self._run):
            thread.start()
            try:
                yield
            except BaseException as raised:
                error = raised
                raise
            finally:
                self._left.set()
                thread.join(_KILLED_PATIENCE if work.record.status == "KILLED" else None)
                self._finish(thread.is_alive(), error)

    def publish(self, work: Workspace) -> None:
        """Write all that the run of a training that is over lacks, and end it.

        Args:
            work: its artifact folder.

        Raises:
            TrackingError: MLflow cannot be reached, has no such run, or refuses something.
            ArtifactError: the run was finished elsewhere.
        """
        self._attach(work)
        if not work.record.has_ended and self._run.info.status == "FINISHED":
            raise ArtifactError(
                f"run {work.record.run_id} was finished elsewhere: {work.folder} has an earlier "
                "state of it"
            )
        self._publish_all()

    def _attach(self, work: Workspace) -> None:
        """Find the run of a training, or make it, and read what it has."""
        from mlflow.entities import Param, RunTag

        self._work, self._store = work, Store()
        self._run = run = open_run(self._store, work.record)
        work.update(
            run_id=run.info.run_id,
            experiment_id=run.info.experiment_id,
            tracking_uri=hide_secrets(self._store.uri),
        )
        if ERROR_TAG in run.data.tags:
            delete = self._store.client.delete_tag
            self._store.call("take its error off", delete, run.info.run_id, ERROR_TAG)
        config = files_in(work.folder, artifacts.RESOLVED_CONFIG).get(artifacts.RESOLVED_CONFIG)
        self._config = artifacts.read_json(config) if config else {}
        services = self._config.get("services", {})
        self._in_mlflow = services.get("resume_checkpoint", {}).get("in_mlflow", False)
        params, tags = run.data.params.items(), run.data.tags.items()
        known = [*starmap(Param, params), *starmap(RunTag, tags), *self._store.read_metrics(run)]
        self._known = {_identity(entity): entity for entity in known}

    def _take_up(self) -> None:
        """Set the run RUNNING, and write what is known when a training begins."""
        run_id, client = self._run.info.run_id, self._store.client
        name = self._work.record.run_name
        self._store.call("take up the run", client.update_run, run_id, "RUNNING", name)
        # Else a later run of this process would take it up again.
        opened = os.environ.pop(RUN_ID, None)
        if opened and opened != run_id:
            act = "tag the run that mlflow run opened"
            self._store.call(act, client.set_tag, opened, RESUMED_RUN_TAG, run_id)
            self._store.call(act, client.set_terminated, opened)
        self._publish_begin()
        self._publish_progress()

    def _follow(self) -> None:
        """Publish what has become of the training, each second."""
        while not self._left.wait(_PAUSE):
            self._attempt(self._publish_news)

    def _finish(self, is_stuck: bool, error: BaseException | None) -> None:
        """Publish all of a training that is over; report what prevents it."""
        if is_stuck:
            self._problem = TrackingError(f"MLflow has not answered within {_KILLED_PATIENCE} s")
        else:
            self._attempt(self._publish_all)
        deadline = time.monotonic() + _PATIENCE * (self._work.record.status == "FINISHED")
        while _is_silence(self._problem) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            self._attempt(self._publish_all)
        folder, problem = self._work.folder, self._problem
        if problem is None:
            return
        advice = f"it is kept in {folder}; log it to MLflow with: barrage-mlflow sync {folder}"
        if not _is_silence(problem):
            with suppress(Exception):
                self._end("FAILED", describe_error(problem))
        if error is not None:
            error.add_note(f"besides: {describe_error(problem)}; {advice}")
        elif _is_silence(problem):
            logger.warning("%s\nthe training is complete; %s", describe_error(problem), advice)
        else:
            problem.add_note(f"the training is complete; {advice}")
            raise problem

    def _attempt(self, act: Callable[[], object]) -> None:
        """Do something; keep what prevents it, and warn when that begins and ends."""
        before = self._problem
        try:
            if before or self._left.is_set():
                check_store(self._store.uri)
            act()
            self._problem = None
        except Exception as error:
            self._problem = error
            if not before and not self._left.is_set():
                logger.warning(
                    "%s\nmeanwhile all is kept in %s, and sent when it does",
                    describe_error(error),
                    self._work.folder,
                )
        if before and not self._problem:
            logger.warning("MLflow answers again")

    def _publish_news(self) -> None:
        """Write what has become of a training that goes on."""
        self._publish_progress()
        if not self._files:
            self._send(files_in(self._work.folder, *BEGUN))
        if self._in_mlflow and time.monotonic() > self._rested:
            began = time.monotonic()
            self._publish_checkpoint()
            self._rested = time.monotonic() + _REST * (time.monotonic() - began)

    def _publish_all(self) -> None:
        """Write all that there is of a training that is over, and end its run."""
        from mlflow.entities import RunTag

        record, folder = self._work.record, self._work.folder
        # What it came to counts, also if the process was killed while that was published.
        finished = record.has_ended
        if not finished:
            self._end("FAILED" if record.status == "FAILED" else "KILLED", record.error or KILLED)
        self._publish_begin()
        self._publish_progress()
        if record.is_finished:
            self._publish_model()
        files = files_in(folder, "**/*")
        sent = [name for name in files if name.partition("/")[0] not in _NOT_SENT]
        if record.evaluation:
            before = self._run.data.tags.get(TABLES_TAG, "")
            self._log("tags", [RunTag(TABLES_TAG, tables_tag(sent, before))])
        self._send({name: files[name] for name in [*sent, artifacts.BEST_WEIGHTS] if name in files})
        if self._work.record.model_uri and artifacts.CARD in files:
            describe(self._store, self._work.record, files[artifacts.CARD].read_text("utf-8"))
        if self._in_mlflow and not finished:
            self._publish_checkpoint()
        if finished:
            if self._in_mlflow:
                self._store.delete_files(self._run, SLOTS)
            self._end("FINISHED")
        self._work.update(published=True)

    def _publish_begin(self) -> None:
        """Write what does not change: params and datasets."""
        from mlflow.entities import Param

        config, learnt = self._config, self._work.record.network_params
        if learnt is not None:
            config = {**config, "model": fill_model(config, learnt)}
        params = starmap(Param, flatten_config(config).items())
        # A param cannot be changed: one with a placeholder waits until that can be filled.
        self._log("params", [p for p in params if learnt is not None or "{{" not in p.value])
        datasets = [dataset_input(dataset) for dataset in self._work.record.datasets]
        log, run_id = self._store.client.log_inputs, self._run.info.run_id
        if datasets:
            self._store.call("log the datasets", log, run_id, datasets=datasets)

    def _publish_progress(self) -> None:
        """Write tags and metrics that are new."""
        from mlflow.entities import RunTag

        self._log("tags", [*starmap(RunTag, legal_tags(self._work.record.tags).items())])
        # An epoch that is trained a second time, with other metrics, is another object.
        epochs = [
            epoch
            for epoch in self._work.history.epochs()
            if self._epochs.get(epoch.step) is not epoch
        ]
        self._log("metrics", [metric for epoch in epochs for metric in _metrics_of(epoch)])
        self._epochs |= {epoch.step: epoch for epoch in epochs}

    def _log(self, kind: str, entities: Sequence[Any]) -> list[Any]:
        """Write the params, tags or metrics that the run lacks; return all, as the run has them.

        MLflow takes the same value at another time for another one.
        """
        log, run_id = self._store.client.log_batch, self._run.info.run_id
        identities = {_identity(entity): entity for entity in entities}
        new = {key: entity for key, entity in identities.items() if key not in self._known}
        for batch in batches(new.values(), lambda entity: f"{entity.key}{entity.value}"):
            options: dict[str, Any] = {kind: batch}
            self._store.call(f"write {kind}", log, run_id, **options)
        self._known |= new
        return [self._known[key] for key in identities]

    def _publish_model(self) -> None:
        """Log the packaged model, and register it if that was asked for."""
        work, record = self._work, self._work.record
        epoch = next(each for each in work.history.epochs() if each.step == record.best_epoch)
        digest = artifacts.digest_of([self._config, epoch.step, epoch.metrics])
        best = epoch.as_best()
        metrics = self._log("metrics", _metrics_of(best))
        if not work.is_packaged:
            return
        uri = log_model(self._store, self._run, work.folder / artifacts.MODEL, digest, metrics)
        if uri != record.model_uri:
            work.update(model_uri=uri, version_uri=None)
        self._log("metrics", evaluation_metrics(work.record, uri.rpartition("/")[2]))
        if record.register and not work.record.version_uri:
            act = f"register the model {uri} as {record.register!r}"
            register = partial(register_version, uri, record.register, record.alias)
            number = self._store.call(act, register, best.metrics)
            work.update(version_uri=f"models:/{record.register}/{number}")

    def _publish_checkpoint(self) -> None:
        """Send the newest resume checkpoint, unless that was done."""
        found = artifacts.resume_checkpoints(self._work.folder)
        if not found:
            return
        # A checkpoint after the validation replaces that of the same step before it.
        checkpoint = found[0]
        state = checkpoint, checkpoint.stat().st_mtime_ns
        if state != self._checkpoint:
            send_checkpoint(self._store, self._run.info.run_id, self._work.folder, checkpoint)
            self._checkpoint = state

    def _send(self, files: Mapping[str, Path]) -> None:
        """Send files by their paths among the artifacts, but for those that have not changed."""
        states = {
            name: (path.stat().st_mtime_ns, path.stat().st_size) for name, path in files.items()
        }
        new = {name: files[name] for name in states if self._files.get(name) != states[name]}
        self._store.send(partial(self._store.client.log_artifact, self._run.info.run_id), new)
        self._files |= states

    def _end(self, status: str, error: str | None = None) -> None:
        end_run(self._store, self._run.info.run_id, status, error, self._work.record.ended)


def _is_silence(problem: Exception | None) -> bool:
    """Whether MLflow does not answer; else it refuses something."""
    return getattr(problem, "error_code", "") == NO_ANSWER


def _metrics_of(epoch: Epoch) -> list[Metric]:
    from mlflow.entities import Metric

    return [
        Metric(legal_name(name), value, epoch.timestamp, epoch.step)
        for name, value in epoch.metrics.items()
    ]


def _identity(entity: Any) -> tuple[object, ...]:
    """What makes a param, a tag or a value of a metric one that the run has already."""
    from mlflow.entities import Param

    if isinstance(entity, Param):  # which cannot be changed
        return Param, entity.key
    # NaN is equal to NaN.
    return type(entity), entity.key, repr(entity.value), getattr(entity, "step", None)
