"""Logs a packaged model to its run, as a LoggedModel."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from barrage_mlflow.tracking.store import Store, files_in

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Metric, Run

MODEL_NAME = "model"
"""Name of the LoggedModel in its run."""
_MLMODEL = "MLmodel"
_DIGEST_TAG = "barrage.digest"
"""What a LoggedModel was made of, so that it is not logged a second time."""


def log_model(store: Store, run: Run, folder: Path, digest: str, metrics: Sequence[Metric]) -> str:
    """Log a packaged model to its run, with its figures.

    One that an earlier process logged is taken, one that it left half logged is deleted. The
    folder stays as it is.

    Args:
        store: where the run is.
        run: the run that trained it.
        folder: the packaged model.
        digest: of what the model was made of.
        metrics: its figures, as the run has them.

    Returns:
        The model's URI, ``"models:/m-…"``.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses it.

    Example:
        >>> log_model(store, run, Path("artifacts/model"), "5f2b", [])  # doctest: +SKIP
        'models:/m-1f0c6d2b1d6e4c2f9d0f4f5f5a3c7b21'
    """
    from mlflow.entities import LoggedModelStatus

    act, client = "log the model", store.client
    experiments, of_run = [run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"
    for model in store.call(act, client.search_logged_models, experiments, of_run):
        if _DIGEST_TAG not in model.tags:
            continue  # by a component of the project
        if model.status != LoggedModelStatus.READY:
            store.call(act, client.delete_logged_model, model.model_id)
        elif model.tags[_DIGEST_TAG] == digest:
            return str(model.model_uri)
    model = _create(store, run, digest, metrics)
    files = files_in(folder, "**/*")
    with tempfile.TemporaryDirectory() as copies:
        _describe(model, folder / _MLMODEL, Path(copies, _MLMODEL))
        send = partial(client.log_model_artifact, model.model_id)
        store.send(send, {**files, _MLMODEL: Path(copies, _MLMODEL)})
    store.call(act, client.finalize_logged_model, model.model_id, LoggedModelStatus.READY)
    return str(model.model_uri)


def _create(store: Store, run: Run, digest: str, metrics: Sequence[Metric]) -> LoggedModel:
    from mlflow.entities import LoggedModelOutput, Metric

    act, client, run_id = "log the model", store.client, run.info.run_id
    model = store.call(
        act,
        client.create_logged_model,
        run.info.experiment_id,
        MODEL_NAME,
        run_id,
        tags={_DIGEST_TAG: digest},
        params=dict(store.read_run(run_id).data.params),
    )
    outputs = [LoggedModelOutput(model.model_id, max(metric.step for metric in metrics))]
    store.call(act, client.log_outputs, run_id, outputs)
    own = [
        Metric(each.key, each.value, each.timestamp, each.step, model.model_id, run_id=run_id)
        for each in metrics
    ]
    store.call(act, client.log_batch, run_id, metrics=own)
    return model


def _describe(model: LoggedModel, source: Path, target: Path) -> None:
    """Copy the description of a packaged model, with the names that MLflow gave to it."""
    from mlflow.models import Model

    description = Model.load(str(source))
    description.run_id = model.source_run_id
    description.model_id = description.model_uuid = model.model_id
    description.artifact_path = model.artifact_location
    description.save(str(target))
