"""Opens the MLflow run of a training: a new one, or the one that ``mlflow run`` opened."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.names import legal_tags
from barrage_mlflow.tracking.run import ERROR_TAG, TrackedRun, report
from barrage_mlflow.tracking.server import NO_ANSWER, call, hasty
from barrage_mlflow.tracking.stored import StoredRun

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_RUN_ID = "MLFLOW_RUN_ID"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_OPENING_TIMEOUT = 10
"""Seconds that a request may take when a run is opened."""

_opening = threading.Lock()
"""Two threads that open runs at once would make the store's tables, or the experiment, twice."""


def open_run(
    experiment: str | None = None,
    run_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    run_id: str | None = None,
) -> TrackedRun:
    """Open the MLflow run of a training, or one that was left.

    Under ``mlflow run`` that is the run which MLflow opened. Otherwise it is a new one, a child
    if the caller has an active run. Until it is ended it is the active run of this thread, so
    that ``mlflow.log_…`` in a project's own components writes to it.

    Args:
        experiment: name of the experiment, made if it is not there; MLflow's own choice if left
            out. Under ``mlflow run`` the run is in an experiment already.
        run_name: name of the run; MLflow makes one up if left out.
        tags: tags of the run.
        run_id: a run to go on with; it is RUNNING again.

    Raises:
        TrackingError: the store cannot be reached, the experiment is deleted, or there is no run
            of this id, or of the one that ``mlflow run`` gave.

    Example:
        >>> run = open_run("penguins", "wider network")  # doctest: +SKIP
        >>> run.log_metrics({"loss": 0.5}, step=1)  # doctest: +SKIP
        >>> run.finish("FINISHED")  # doctest: +SKIP
    """
    import mlflow
    from mlflow import MlflowClient

    uri = mlflow.get_tracking_uri()
    # MLflow's own patience is half an hour where a server answers that it is there, and no more.
    patience = nullcontext() if os.environ.get(_TIMEOUT) else hasty(_OPENING_TIMEOUT)
    with _opening, patience:
        client = call(uri, "open its store", lambda: MlflowClient(uri))
        given = run_id or os.environ.get(_RUN_ID)
        parent = mlflow.active_run()
        experiment_id = None
        if experiment is not None and not given:
            experiment_id = call(
                uri, "open the experiment", partial(_find_experiment, client, experiment)
            )
        try:
            run = call(
                uri,
                f"take up run {given}" if given else "open a run",
                # The id is handed over, because MLflow would forget it if the call failed.
                lambda: mlflow.start_run(
                    run_id=given,
                    experiment_id=experiment_id,
                    run_name=run_name,
                    nested=True,
                    tags=legal_tags(tags or {}),
                ),
            )
        except KeyboardInterrupt:
            # MLflow would end a run that is half open as FINISHED when the process ends.
            if mlflow.active_run() is not parent:
                mlflow.end_run("KILLED")
            raise
        # Else a later run of this process would take it up again.
        opened_by_mlflow = os.environ.pop(_RUN_ID, None)
        if experiment is not None and opened_by_mlflow:
            logger.warning(
                "the experiment %r is left aside: the run was opened by `mlflow run`, whose "
                "--experiment-name says where",
                experiment,
            )
        tracked = TrackedRun(client, run, uri, parent.info.run_id if parent else None)
    try:
        tracked.take_error_off()
        if opened_by_mlflow and opened_by_mlflow != tracked.run_id:
            tracked.stand_in(opened_by_mlflow)
    except BaseException as error:
        tracked.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", error)
        raise
    return tracked


def attach_run(run_id: str) -> TrackedRun:
    """Take up a run to write what it lacks; its status stays as it is.

    Raises:
        TrackingError: the store cannot be reached, or has no such run.

    Example:
        >>> run = attach_run("1f0c")  # doctest: +SKIP
    """
    import mlflow
    from mlflow import MlflowClient

    uri = mlflow.get_tracking_uri()
    client = call(uri, "open its store", lambda: MlflowClient(uri))
    parent = mlflow.active_run()
    run = StoredRun(run_id).run
    tracked = TrackedRun(client, run, uri, parent.info.run_id if parent else None)
    tracked.take_error_off()
    return tracked


def create_run(experiment: str | None, run_name: str | None, started: int) -> str:
    """Make a run that began a while ago, as MLflow makes one that begins now.

    Args:
        experiment: name of its experiment; MLflow's own choice if None.
        run_name: its name; MLflow makes one up if None.
        started: when it began, in milliseconds since 1970.

    Returns:
        MLflow's id of the run.

    Raises:
        TrackingError: the store cannot be reached.

    Example:
        >>> run_id = create_run("penguins", None, 1_700_000_000_000)  # doctest: +SKIP
    """
    import mlflow
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.tracking.fluent import _get_experiment_id

    uri = mlflow.get_tracking_uri()
    client = call(uri, "open its store", lambda: MlflowClient(uri))

    def create() -> str:
        place = _find_experiment(client, experiment) if experiment else _get_experiment_id()
        assert place is not None
        created = client.create_run(place, started, resolve_tags(), run_name)
        return str(created.info.run_id)

    return call(uri, "open a run", create)


def end_project_run(error: BaseException) -> None:
    """Under ``mlflow run``, end the run that MLflow opened; else do nothing.

    For what goes wrong before the engine has opened its run. Nothing is raised: the error that
    is at hand matters more.

    Args:
        error: why; its message becomes a tag. The run is KILLED by a KeyboardInterrupt, FAILED
            by anything else.

    Example:
        >>> end_project_run(ValueError("no run is open here"))
    """
    silent = isinstance(error, TrackingError) and error.error_code == NO_ANSWER
    if silent or not os.environ.get(_RUN_ID):
        return
    try:
        open_run().finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", error)
    except TrackingError as problem:
        report(problem, error)


def settle_run(run_id: str) -> None:
    """Set a run whose process is gone KILLED; one that was ended is left as it is.

    Where MLflow cannot be reached, or has no such run, a warning says so.

    Example:
        >>> settle_run("1f0c")  # doctest: +SKIP
    """
    import mlflow
    from mlflow import MlflowClient

    uri = mlflow.get_tracking_uri()

    def settle() -> None:
        client = MlflowClient(uri)
        if client.get_run(run_id).info.status == "RUNNING":
            client.set_tag(run_id, ERROR_TAG, "the process was killed")
            client.set_terminated(run_id, "KILLED")

    try:
        call(uri, f"end run {run_id}", settle)
    except TrackingError as error:
        logger.warning("%s", error)


def _find_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment, which is made if it is not there."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise ValueError(
            f"experiment {name!r} is deleted: choose another name, or bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return found.experiment_id
