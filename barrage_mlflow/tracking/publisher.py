"""Brings an MLflow run up to an artifact folder: a stand-in until the real publisher is merged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

from barrage_mlflow import tracking
from barrage_mlflow.errors import TrackingError, describe_error
from barrage_mlflow.tracking.run import TrackedRun
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.workspace import Workspace

_NOT_LOGGED = (artifacts.MODEL, artifacts.LOCK, artifacts.CACHE, artifacts.CHECKPOINTS)


class Publisher:
    """Writes a run when the training is over."""

    @contextmanager
    def following(self, work: Workspace) -> Iterator[None]:
        """Open the run, and publish the folder when the block ends."""
        record = work.record
        run_id = record.run_id
        run = tracking.open_run(record.experiment, record.run_name, run_id=run_id)
        work.update(
            run_id=run.run_id, experiment_id=run.experiment_id, tracking_uri=run.tracking_uri
        )
        try:
            yield
        except BaseException as error:
            try:
                _publish(run, work)
            except TrackingError as problem:
                error.add_note(f"besides: {describe_error(problem)}")
            run.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", error)
            raise
        _publish(run, work)
        run.finish("FINISHED")
        work.update(published=True)

    def publish(self, work: Workspace) -> None:
        """Publish the folder of a training that is over."""
        with self.following(work):
            pass


def _publish(run: TrackedRun, work: Workspace) -> None:
    from barrage_mlflow.scoring.package import log_model

    record, folder = work.record, work.folder
    run.set_tags(record.tags)
    run.log_params(
        tracking.flatten_config(artifacts.read_json(folder / artifacts.RESOLVED_CONFIG) or {})
    )
    for dataset in record.datasets:
        run.log_dataset(**asdict(dataset), context=dataset.name)
    epochs = [tracking.Epoch(*epoch) for epoch in work.history.epochs()]
    run.catch_up(epochs)
    run.flush()
    if record.best_epoch is not None:
        epoch = epochs[record.best_epoch - 1]
        uri = log_model(run, folder, epoch)
        work.update(model_uri=uri)
        if record.register:
            register = partial(
                tracking.register_version, uri, record.register, record.alias, epoch.metrics
            )
            number = run.call("register the model", register)
            work.update(version_uri=f"models:/{record.register}/{number}")
    for path in sorted(folder.iterdir()):
        if path.name not in _NOT_LOGGED:
            run.log_artifact(path)
