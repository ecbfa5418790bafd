"""Opens and ends the MLflow run of a training: a new one, or the one that ``mlflow run`` opened."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from barrage_mlflow.errors import TrackingError, describe_error
from barrage_mlflow.tracking.limits import TAG_LIMIT, shorten
from barrage_mlflow.tracking.store import NO_ANSWER, Store
from barrage_mlflow.workspace.record import RunRecord

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Run

logger = logging.getLogger(__name__)

ERROR_TAG = "barrage.error"
_KIND = {"mlflow.experimentKind": "custom_model_development"}
"""MLflow's list of experiments then says "Machine learning", not "GenAI apps & agents"."""
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

    act, client = "open the experiment", store.client
    if name is None:
        return str(store.call(act, _get_experiment_id))

    def find_or_make(name: str) -> Experiment:
        found = client.get_experiment_by_name(name)
        return found or client.get_experiment(client.create_experiment(name, tags=_KIND))

    found = store.call(act, find_or_make, name)
    if found.lifecycle_stage == "deleted":
        raise TrackingError(
            f"experiment {name!r} is deleted: choose another name, or bring it back with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
        )
    return str(found.experiment_id)


@contextmanager
def active(run: Run) -> Iterator[None]:
    """Make a run the active one of this thread, for whatever a project's own components log.

    ``mlflow.start_run`` would refuse a run outside of the experiment that was set last. As it does,
    this logs what the process takes of the machine where MLflow is set to.

    Example:
        >>> with active(run):  # doctest: +SKIP
        ...     mlflow.log_param("by_a_component", 1)
    """
    from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
    from mlflow.tracking.fluent import ActiveRun, _active_run_stack

    runs: list[ActiveRun] = _active_run_stack.get()  # type: ignore[no-untyped-call]
    depth = len(runs)
    runs.append(ActiveRun(run))  # type: ignore[no-untyped-call]
    monitor: Any = None
    if MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():  # type: ignore[no-untyped-call]
        with suppress(ImportError):  # MLflow needs psutil for it, but does not bring it along
            from mlflow.system_metrics import system_metrics_monitor as metrics

            monitor = metrics.SystemMetricsMonitor(  # type: ignore[no-untyped-call]
                run.info.run_id, resume_logging=True
            )
            monitor.start()
    try:
        yield
    finally:
        del runs[depth:]
        if monitor:
            monitor.finish()


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


@contextmanager
def ending_project_run() -> Iterator[None]:
    """Under ``mlflow run``, end the run that MLflow opened if the block fails; else do nothing.

    For what goes wrong before the engine has opened its run. Of its own it raises nothing: the
    error that is at hand matters more. The run is KILLED by a KeyboardInterrupt, FAILED by anything
    else; the message becomes a tag.

    Example:
        >>> with ending_project_run():
        ...     pass
    """
    try:
        yield
    except BaseException as error:
        run_id = os.environ.get(RUN_ID)
        if run_id and getattr(error, "error_code", "") != NO_ANSWER:
            status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
            with suppress(TrackingError):
                end_run(Store(), run_id, status, describe_error(error))
        raise
