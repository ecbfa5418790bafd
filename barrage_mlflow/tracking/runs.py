"""Opens and ends the MLflow run of a training: a new one, or the one that ``mlflow run`` opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from barrage_mlflow.errors import TrackingError, describe_error
from barrage_mlflow.tracking.limits import TAG_LIMIT, shorten
from barrage_mlflow.tracking.store import NO_ANSWER, Store
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import RunRecord, read_record

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

ERROR_TAG = "barrage.error"
KILLED = "the process was killed"
"""The error of a training whose process could not write one."""
RUN_ID = "MLFLOW_RUN_ID"
"""The variable by which ``mlflow run`` names the run that it opened."""


def open_run(store: Store, record: RunRecord) -> Run:
    """Find the run of a training, or make it.

    Args:
        store: where it is.
        record: what is known of the training. Without a run's id in it, the run is that which
            ``mlflow run`` opened; else a new one, a child if the caller has an active run.

    Raises:
        TrackingError: MLflow cannot be reached, has no such run, or the experiment is deleted.

    Example:
        >>> open_run(Store(), RunRecord(experiment="penguins")).info.status  # doctest: +SKIP
        'RUNNING'
    """
    run_id = record.run_id or os.environ.get(RUN_ID)
    if run_id is None:
        return _create_run(store, record)
    if record.run_id is None and record.experiment is not None:
        logger.warning(
            "the experiment %r is left aside: the run was opened by `mlflow run`, whose "
            "--experiment-name says where",
            record.experiment,
        )
    try:
        return store.read_run(run_id)
    except TrackingError as error:
        if record.tracking_uri is not None:
            error.add_note(f"run {run_id} was begun at {record.tracking_uri}")
        raise


def _create_run(store: Store, record: RunRecord) -> Run:
    import mlflow
    from mlflow.tracking.context.registry import resolve_tags
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    place = _find_experiment(store, record.experiment)
    parent = mlflow.active_run()
    tags = resolve_tags({MLFLOW_PARENT_RUN_ID: parent.info.run_id} if parent else None)
    create = store.client.create_run
    return store.call("open a run", create, place, record.started, tags, record.run_name)


def _find_experiment(store: Store, name: str | None) -> str:
    """Return the id of an experiment, which is made if it is not there; without a name MLflow's."""
    from mlflow.tracking.fluent import _get_experiment_id

    act, find = "open the experiment", store.client.get_experiment_by_name
    if name is None:
        return str(store.call(act, _get_experiment_id))
    found = store.call(act, find, name)
    if found is None:
        try:
            return store.call(act, store.client.create_experiment, name)
        except TrackingError:
            found = store.call(act, find, name)  # another process may have been faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"experiment {name!r} is deleted: choose another name, or bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return found.experiment_id


@contextmanager
def active(run: Run) -> Iterator[None]:
    """Make a run the active one of this thread, for whatever a project's own components log.

    ``mlflow.start_run`` would refuse a run outside of the experiment that was set last. Runs that
    a component opens within it and leaves open are ended with it.

    Example:
        >>> with active(run):  # doctest: +SKIP
        ...     mlflow.log_param("by_a_component", 1)
    """
    import mlflow
    from mlflow.tracking.fluent import ActiveRun, _active_run_stack

    runs, status = _active_run_stack.get(), "FAILED"  # type: ignore[no-untyped-call]
    depth = len(runs)
    runs.append(ActiveRun(run))  # type: ignore[no-untyped-call]
    try:
        yield
        status = "FINISHED"
    finally:
        while len(runs) > depth:
            if runs[-1].info.run_id == run.info.run_id:
                runs.pop()
            else:
                with suppress(Exception):  # it may be of another store
                    mlflow.end_run(status)


def end_run(
    store: Store, run_id: str, status: str, error: str | None = None, ended: int | None = None
) -> None:
    """Write how a run ended, the status first: whoever interrupts a training may soon kill it.

    Args:
        store: where the run is.
        run_id: MLflow's id of the run.
        status: ``"FINISHED"``, ``"FAILED"`` or ``"KILLED"``.
        error: why; becomes the tag ``barrage.error``.
        ended: when, in milliseconds since 1970; now if left out.

    Raises:
        TrackingError: MLflow cannot be reached.

    Example:
        >>> end_run(Store(), "1f0c", "FAILED", "train.csv holds no records")  # doctest: +SKIP
    """
    act, client = f"end run {run_id} as {status}", store.client
    store.call(act, client.set_terminated, run_id, status, ended)
    if error is not None:
        store.call("set tags", client.set_tag, run_id, ERROR_TAG, shorten(error, TAG_LIMIT))


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
    run_id = os.environ.get(RUN_ID)
    if silent or not run_id:
        return
    status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
    try:
        end_run(Store(), run_id, status, describe_error(error))
    except TrackingError as problem:
        error.add_note(f"besides: {problem}")


def settle_run(folder: Path) -> None:
    """Set the run of a training KILLED if its process is gone and could not do it.

    Where MLflow cannot be reached, or has no such run, a warning is logged.

    Args:
        folder: an artifact folder that another training asks for.

    Raises:
        ArtifactError: the folder cannot be read, or a process is training in it.

    Example:
        >>> settle_run(Path("nowhere"))
    """
    record = read_record(folder)
    if record is None or record.run_id is None or record.status != "RUNNING":
        return
    with locked(folder):
        try:
            store = Store()
            if store.read_run(record.run_id).info.status == "RUNNING":
                end_run(store, record.run_id, "KILLED", KILLED)
        except TrackingError as error:
            logger.warning("%s", error)
