"""Packs a trained model as an MLflow model, in its artifact folder and from there in its run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow import artifacts
from barrage_mlflow.code_files import copy_code
from barrage_mlflow.dataset import ColumnSpec, Records, as_specified
from barrage_mlflow.tracking import legal_name

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature

    from barrage_mlflow.tracking import Epoch, TrackedRun

MODEL_NAME = "model"
"""Name of the LoggedModel in its run."""
_LOADER = f"{__package__}.pyfunc"
_FLAVOR = "python_function"
_MLMODEL = "MLmodel"
_DIGEST_TAG = "barrage.digest"
"""What a LoggedModel was made of, so that it is not logged a second time."""

# For whole numbers and truth values MLflow's server would cut 1.5 to 1, and take null for false,
# before the model sees them, and a DataFrame of int64 is refused for a double.
_MLFLOW_TYPES = {"double": "double", "string": "string"}


def package_model(
    folder: Path,
    columns: Sequence[ColumnSpec],
    example: Records,
    scores: pd.DataFrame,
    requirements: Sequence[str],
    code: Iterable[Path],
) -> None:
    """Make an MLflow model of a folder whose ``data`` folder is what scoring reads.

    Args:
        folder: the model's folder.
        columns: the columns that scoring reads.
        example: a few records, which become the input example.
        scores: what the model answers to them.
        requirements: pinned pip requirements.
        code: files and folders of the project's modules.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    typed = as_specified(example, columns)
    frame = typed.to_frame()[[column.name for column in columns]]
    for path in folder.iterdir():
        if path.name != artifacts.DATA:
            path.unlink() if path.is_file() else shutil.rmtree(path)
    with tempfile.TemporaryDirectory() as described:
        mlflow.pyfunc.save_model(
            path=described,
            loader_module=_LOADER,
            signature=_signature(columns, frame, scores),
            input_example=frame,
            pip_requirements=list(requirements),
        )
        for path in Path(described).iterdir():
            shutil.move(path, folder / path.name)
    copy_code([Path(__file__).parent, *code], folder / artifacts.CODE)
    model = Model.load(str(folder / _MLMODEL))
    places = {"data": artifacts.DATA, "code": artifacts.CODE}
    model.add_flavor(_FLAVOR, **{**model.flavors[_FLAVOR], **places})
    model.save(str(folder / _MLMODEL))


def log_model(run: TrackedRun, folder: Path, epoch: Epoch) -> str:
    """Log a packaged model to its run, as a LoggedModel with the metrics of its epoch.

    One that an earlier process logged is taken, one that it left half logged is deleted.

    Args:
        run: the run that trained it.
        folder: the artifact folder.
        epoch: the epoch that the model is of.

    Returns:
        The model's URI, ``"models:/m-…"``.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses it.
    """
    made_of = (artifacts.RESOLVED_CONFIG, artifacts.RESULT)
    digest = artifacts.digest_of([artifacts.read_json(folder / name) for name in made_of])

    def log() -> str:
        return _logged(run, digest) or _log(run, folder / artifacts.MODEL, epoch, digest)

    return run.call("log the model", log)


def _log(run: TrackedRun, folder: Path, epoch: Epoch, digest: str) -> str:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Metric
    from mlflow.models import Model

    client = MlflowClient()
    logged = client.create_logged_model(
        run.experiment_id,
        MODEL_NAME,
        run.run_id,
        tags={_DIGEST_TAG: digest},
        params=client.get_run(run.run_id).data.params,
    )
    client.log_outputs(run.run_id, [LoggedModelOutput(logged.model_id, epoch.step)])
    client.log_batch(
        run.run_id,
        metrics=[
            Metric(
                legal_name(name),
                value,
                epoch.timestamp,
                epoch.step,
                model_id=logged.model_id,
                run_id=run.run_id,
            )
            for name, value in epoch.metrics.items()
        ],
    )
    model = Model.load(str(folder / _MLMODEL))
    model.run_id = run.run_id
    model.model_id = model.model_uuid = logged.model_id
    model.artifact_path = logged.artifact_location
    model.save(str(folder / _MLMODEL))
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_uri)


def _logged(run: TrackedRun, digest: str) -> str | None:
    """Find the model if it was logged to the run; delete what is half logged of it."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelStatus

    client = MlflowClient()
    models = client.search_logged_models(
        [run.experiment_id], f"source_run_id = '{run.run_id}' AND tags.`{_DIGEST_TAG}` = '{digest}'"
    )
    found = None
    for model in models:
        if model.status == LoggedModelStatus.READY:
            found = str(model.model_uri)
        else:
            client.delete_logged_model(model.model_id)
    return found


def _signature(
    columns: Sequence[ColumnSpec], frame: pd.DataFrame, scores: pd.DataFrame
) -> ModelSignature:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema, TensorSpec

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(_mlflow_type(column, frame[column.name]), column.name, required=column.required)
        for column in columns
    ]
    answers: list[Any] = scores.to_dict("records")
    outputs = infer_signature(model_input=None, model_output=answers).outputs
    return ModelSignature(inputs=Schema(inputs), outputs=outputs)


def _mlflow_type(column: ColumnSpec, cells: pd.Series[Any]) -> Any:
    from mlflow.types.schema import AnyType, Array

    if column.type in _MLFLOW_TYPES:
        return _MLFLOW_TYPES[column.type]
    present = next((cell for cell in cells if cell is not None), None)
    if isinstance(present, bytes):
        return "binary"
    # What a list holds is left open: MLflow would look at each number of it, which takes long,
    # and refuse whole numbers among doubles.
    anything = AnyType()  # type: ignore[no-untyped-call]
    return Array(anything) if isinstance(present, list) else anything
