"""One MLflow run of one training: opened, written to, ended with its true status."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from barrage_mlflow.errors import ArtifactError, BarrageError, TrackingError, describe_error
from barrage_mlflow.tracking.environment import GIT_COMMIT
from barrage_mlflow.tracking.journal import Epoch
from barrage_mlflow.tracking.metrics import MetricQueue, Point
from barrage_mlflow.tracking.names import PARAM_LIMIT, batches, legal_name, legal_tags, shorten
from barrage_mlflow.tracking.server import (
    NO_ANSWER,
    call,
    hasty,
    is_server,
    no_patience,
    post,
    shown_uri,
)
from barrage_mlflow.tracking.stored import StoredRun
from barrage_mlflow.workspace import folder as artifacts

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Status = Literal["FINISHED", "FAILED", "KILLED"]
T = TypeVar("T")

logger = logging.getLogger(__name__)

ERROR_TAG = "barrage.error"
RESUMED_RUN_TAG = "barrage.resumed_run"
PARAMS_PER_REQUEST = 100

_FLUSH_TIMEOUTS: dict[Status, float] = {"FINISHED": 30, "FAILED": 30, "KILLED": 5}
"""Seconds to wait for metrics at the end; who presses Ctrl-C does not want to wait."""


class TrackedRun:
    """An MLflow run that is open; :func:`open_run` makes it.

    Metrics are sent by a thread of its own; everything else is written when it is called. A
    process that ends without :meth:`finish` leaves a run that is FAILED, not RUNNING.

    Attributes:
        run_id: MLflow's id of the run.
        experiment_id: the experiment that it is in.
        artifact_uri: where its artifacts lie.
        tracking_uri: the store, without user and password.

    Example:
        >>> run = open_run()  # doctest: +SKIP
        >>> try:  # doctest: +SKIP
        ...     train(run)
        ... except KeyboardInterrupt as error:
        ...     run.finish("KILLED", error)
        ...     raise
        ... except BaseException as error:
        ...     run.finish("FAILED", error)
        ...     raise
        ... else:
        ...     run.finish("FINISHED")
    """

    def __init__(self, client: MlflowClient, run: Run, uri: str, parent_id: str | None) -> None:
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.artifact_uri: str = run.info.artifact_uri
        self.tracking_uri = shown_uri(uri)
        self._uri = uri
        self._client = client
        self._parent_id = parent_id
        self._has_commit = GIT_COMMIT in run.data.tags
        self._metrics = MetricQueue(self._send_metrics)
        self._has_error = ERROR_TAG in run.data.tags
        self._stand_in: str | None = None
        self._had_metrics = bool(run.data.metrics)
        self._held: dict[tuple[str, int], Point] = {}
        self._status: Status | None = None
        self._ended: int | None = None
        self._home = (os.getpid(), threading.get_ident())
        # MLflow's own hook, which runs after this one, would call the run FINISHED.
        atexit.register(self._at_exit)

    def take_error_off(self) -> None:
        """Delete the tag of the error that the run ended with before.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        if self._has_error:
            act = "take its error off"
            self.call(act, lambda: self._client.delete_tag(self.run_id, ERROR_TAG))

    def stand_in(self, run_id: str) -> None:
        """Name the run that `mlflow run` opened for a training which goes on in this one.

        It holds nothing but a tag that leads here, and ends as this one does.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        self.call(
            "tag the run that mlflow run opened",
            lambda: self._client.set_tag(run_id, RESUMED_RUN_TAG, self.run_id),
        )
        self._stand_in = run_id

    def log_params(self, flat: Mapping[str, str]) -> None:
        """Write params, except those that the run already holds.

        Names that MLflow refuses are mended, values over 6,000 characters are shortened.

        Args:
            flat: names and values, as :func:`flatten_config` makes them.

        Raises:
            TrackingError: MLflow cannot be reached, or refuses them.
        """
        from mlflow.entities import Param

        held = self.call("read the params", lambda: self._client.get_run(self.run_id)).data.params
        params = {
            legal_name(name): shorten(value, PARAM_LIMIT, artifacts.RESOLVED_CONFIG)
            for name, value in flat.items()
        }
        new = [Param(name, value) for name, value in params.items() if name not in held]
        for batch in batches(new, PARAMS_PER_REQUEST, lambda param: param.key + param.value):
            self.call("write params", partial(self._client.log_batch, self.run_id, params=batch))

    def log_metrics(
        self, metrics: Mapping[str, float], step: int, timestamp: int | None = None
    ) -> None:
        """Hand metrics over to be sent; returns at once.

        Where the server is gone they are kept, and sent when it is back.

        Args:
            metrics: names and values; NaN and infinity are numbers here.
            step: the epoch.
            timestamp: milliseconds since 1970, when they were made; now if left out.

        Raises:
            TrackingError: the run has been ended.
        """
        if self._status is not None:
            raise TrackingError(f"run {self.run_id} has been ended: it takes no more metrics")
        now = time.time_ns() // 1_000_000 if timestamp is None else timestamp
        points = _points(Epoch(step, now, dict(metrics)))
        self._metrics.put([point for point in points if not self._holds(point)])

    def catch_up(self, history: Sequence[Epoch]) -> None:
        """Log the metrics of epochs that were trained before, each unless the run holds it.

        What the run holds of later epochs is not logged a second time either.

        Args:
            history: what was trained before.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        if self._had_metrics:
            self._held = self.stored().history()
        for epoch in history:
            self.log_metrics(epoch.metrics, epoch.step, epoch.timestamp)

    def points(self, epoch: Epoch) -> list[Point]:
        """The metrics of an epoch, as the run holds them or is to.

        Those that it held before :meth:`catch_up` keep the timestamp that they have there: MLflow
        takes the same value at another time for another point.

        Args:
            epoch: values that were handed to :meth:`log_metrics`.
        """
        return [
            self._held[point.key, point.step] if self._holds(point) else point
            for point in _points(epoch)
        ]

    def _holds(self, point: Point) -> bool:
        held = self._held.get((point.key, point.step))
        if held is None or math.isfinite(point.value):
            return held is not None and held.value == point.value
        if math.isnan(point.value):
            return math.isnan(held.value)
        # Stores keep infinity as the largest number.
        return held.value * point.value > 1e300

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all metrics have been written.

        Args:
            timeout: seconds to wait at most; as long as a run that ends does, if left out.

        Raises:
            TrackingError: MLflow cannot be reached or refuses them; they are kept.
        """
        self._metrics.flush(_FLUSH_TIMEOUTS["FINISHED"] if timeout is None else timeout)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; values over 5,000 characters are shortened.

        The commit that MLflow itself found, ``mlflow.source.git.commit``, is left as it is.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        from mlflow.entities import RunTag

        legal = legal_tags(tags)
        if self._has_commit:
            legal.pop(GIT_COMMIT, None)
        entities = [RunTag(name, value) for name, value in legal.items()]
        for batch in batches(entities, PARAMS_PER_REQUEST, lambda tag: tag.key + tag.value):
            self.call("set tags", partial(self._client.log_batch, self.run_id, tags=batch))

    def log_dataset(
        self,
        name: str,
        context: str,
        digest: str,
        source: str,
        columns: Mapping[str, str],
        rows: int,
    ) -> None:
        """Name a dataset as an input of the run, unless it is one already.

        Args:
            name: shown in the UI.
            context: what it is used for: ``"train"``, ``"validation"``.
            digest: hash of its whole content; MLflow keeps 36 characters.
            source: path or URL; empty for records that were handed over in memory.
            columns: dtype of each column, ``{"age": "int64"}``.
            rows: number of records.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        from barrage_mlflow.tracking.datasets import dataset_input

        entity = dataset_input(name, context, digest, source, columns, rows)
        self.call(
            "log the dataset", lambda: self._client.log_inputs(self.run_id, datasets=[entity])
        )

    def log_artifact(self, path: str | os.PathLike[str], folder: str | None = None) -> None:
        """Copy a file, or a folder with all that it holds, into the run's artifacts.

        Args:
            path: the file or folder; it keeps its name.
            folder: folder among the artifacts to put it in.

        Raises:
            ArtifactError: there is no such file.
            TrackingError: MLflow cannot be reached, or cannot store it.
        """
        local = Path(path).resolve()
        if not local.exists():
            raise ArtifactError(f"{path}: no such file or folder to log")
        self.call(
            f"store {local.name}",
            lambda: self._client.log_artifact(self.run_id, str(local), folder),
        )

    def stored(self) -> StoredRun:
        """The run as MLflow holds it now.

        Raises:
            TrackingError: MLflow cannot be reached.
        """
        return StoredRun(self.run_id, self._uri)

    def abandon(self) -> None:
        """Write no more to the run, and leave its status as it is."""
        self._status = "FINISHED"
        atexit.unregister(self._at_exit)

    def call(self, act: str, function: Callable[[], T]) -> T:
        """Make a call to MLflow for this run.

        Args:
            act: what the call does, for the message: ``"log the model"``.
            function: the call.

        Raises:
            TrackingError: MLflow cannot be reached, or the call failed.
        """
        return call(self._uri, act, function)

    def finish(
        self, status: Status, error: BaseException | None = None, ended: int | None = None
    ) -> bool:
        """Write what waits, and end the run. A run that has been ended stays as it is.

        Where ``error`` is given nothing is raised, because the caller is about to raise that
        one: what goes wrong here is added to it as a note. Once MLflow was found not to answer it
        is not asked again.

        Args:
            status: how it ended.
            error: why; its message and notes become the tag ``barrage.error``.
            ended: when, in milliseconds since 1970; now if left out.

        Returns:
            Whether all was written.

        Raises:
            TrackingError: metrics or the status could not be written. A run whose metrics are
                not complete ends FAILED.
            KeyboardInterrupt: Ctrl-C while metrics were being written; the run ends KILLED.
        """
        if self._status is not None:
            return True
        self._status, self._ended = status, ended
        with hasty() if status == "KILLED" else nullcontext():
            return self._finish(status, error)

    def _finish(self, status: Status, error: BaseException | None) -> bool:
        problems: list[TrackingError] = []
        killed = status == "KILLED"
        deadline = time.monotonic() + _FLUSH_TIMEOUTS[status] if killed else math.inf
        gone = isinstance(error, TrackingError) and error.error_code == NO_ANSWER

        def attempt(act: Callable[[], object]) -> None:
            nonlocal gone
            gone = gone or time.monotonic() > deadline
            try:
                if not gone:
                    act()
            except TrackingError as problem:
                problems.append(problem)
                gone = killed or problem.error_code == NO_ANSWER

        if killed:
            # First, because whoever interrupts may soon kill: `mlflow run` does.
            attempt(self._end)
        interrupt = None
        try:
            patience = min(_FLUSH_TIMEOUTS[status], deadline - time.monotonic())
            self._metrics.close(0 if gone else patience, patient=not killed)
        except TrackingError as unsent:
            if not gone:
                problems.append(unsent)
            gone = gone or unsent.error_code == NO_ANSWER
            if status == "FINISHED":
                self._status = "FAILED"
        except KeyboardInterrupt as raised:
            self._status, interrupt = "KILLED", raised
        cause = interrupt or error or next(iter(problems), None)
        if cause is not None:
            attempt(partial(self.set_tags, {ERROR_TAG: describe_error(cause)}))
        if not killed:
            try:
                attempt(self._end)
            except KeyboardInterrupt as raised:
                interrupt = cause = raised
                with hasty():
                    attempt(self._end)
        if gone:
            with no_patience():
                self._leave()
        cause = cause or next(iter(problems), None)
        if cause is None:
            return True
        for problem in problems:
            if problem is not cause:
                report(problem, cause)
        if cause is not error:
            raise cause
        return not problems and not gone

    def _send_metrics(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        act = "write metrics"
        if is_server(self._uri):
            body = {"run_id": self.run_id, "metrics": [_to_json(point) for point in points]}
            post(self._uri, act, "runs/log-batch", body)
        else:
            metrics = [Metric(*point) for point in points]
            self.call(act, partial(self._client.log_batch, self.run_id, metrics=metrics))

    def _end(self) -> None:
        def end() -> None:
            import mlflow

            if self._stand_in:
                # It matters less than the run, and may have been deleted.
                with suppress(Exception):
                    self._client.set_terminated(self._stand_in, self._status)
            if mlflow.get_tracking_uri() == self._uri and self._leave():
                return
            self._client.set_terminated(self.run_id, self._status, self._ended)
            # A component may have pointed MLflow at another store, which has no such run.
            with suppress(Exception):
                self._leave()

        self.call(f"end run {self.run_id} as {self._status}", end)

    def _leave(self) -> bool:
        """Take the run off this thread's active runs, ending it; tells whether it was there."""
        import mlflow

        if self._home != (os.getpid(), threading.get_ident()):
            return False
        status, left = self._status or "FAILED", False
        while not left and (active := mlflow.active_run()) is not None:
            if active.info.run_id == self._parent_id:
                break
            left = active.info.run_id == self.run_id
            mlflow.end_run(status)  # this run, or one that a component left open in it
        atexit.unregister(self._at_exit)
        return left

    def _at_exit(self) -> None:
        if os.getpid() != self._home[0]:  # pragma: no cover - in a forked child
            return
        if self._status is None:
            error = BarrageError("the process ended before its training did")
            self.finish("FAILED", error)
        else:  # ended by another thread, while this one still holds the run as active
            with suppress(Exception):
                self._leave()


def _points(epoch: Epoch) -> list[Point]:
    """The metrics of an epoch under the names that MLflow takes."""
    return [
        Point(legal_name(name), float(value), epoch.timestamp, epoch.step)
        for name, value in epoch.metrics.items()
    ]


def _to_json(point: Point) -> dict[str, Any]:
    value: float | str = point.value
    if not math.isfinite(point.value):
        value = "NaN" if math.isnan(point.value) else f"{'-' * (point.value < 0)}Infinity"
    return {**point._asdict(), "value": value}


def report(problem: TrackingError, error: BaseException) -> None:
    """Tell of a problem that must not hide the error that is being raised.

    Example:
        >>> error = ValueError("bad record")
        >>> report(TrackingError("no answer"), error)
        >>> error.__notes__
        ['besides: no answer']
    """
    logger.warning("%s", problem)
    error.add_note(f"besides: {problem}")
