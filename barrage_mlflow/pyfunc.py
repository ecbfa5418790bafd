"""Packs a trained model as an MLflow pyfunc, and is the module that MLflow loads it with.

The packed model is the artifact folder's ``model`` folder as it stands, the code of the
engine and of the project beside it, and pinned requirements. Nothing is pickled.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow import artifacts
from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, BarrageError, describe_error
from barrage_mlflow.scoring import Column, Scorer, to_frame

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

    from barrage_mlflow.tracking import TrackedRun

MODEL_NAME = "model"
"""Name of the LoggedModel in its run."""
_DIGEST_TAG = "barrage.digest"
"""What a LoggedModel was made of, so that it is not logged a second time."""

# A column that is an integer here has no missing value, or it would hold doubles. MLflow takes
# no int64 frame, which is what pandas reads from a CSV file, for a double.
_MLFLOW_TYPES = {"integer": "long", "double": "double", "boolean": "boolean", "string": "string"}


class ScoringModel:
    """What MLflow calls: a DataFrame in, a DataFrame of scores out.

    Example:
        >>> import mlflow  # doctest: +SKIP
        >>> mlflow.pyfunc.load_model("models:/penguins/1").predict(frame)  # doctest: +SKIP
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def predict(
        self, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score records.

        Args:
            model_input: one row for each record, with the columns of the signature.
            params: MLflow's inference parameters; there are none.

        Returns:
            One row for each record, one column for each output after ``postprocess``.

        Raises:
            mlflow.exceptions.MlflowException: a record cannot be scored; answered by
                MLflow's server with status 400.
        """
        import pandas as pd
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            records = Records.read(pd.DataFrame(model_input), name="input")
            return to_frame(self._scorer.score(records))
        except BarrageError as error:
            raise MlflowException(
                describe_error(error), error_code=INVALID_PARAMETER_VALUE
            ) from error

    def get_raw_model(self) -> Scorer:
        """Return the :class:`Scorer` (``PyFuncModel.get_raw_model`` calls this)."""
        return self._scorer


def _load_pyfunc(data_path: str) -> ScoringModel:
    """Load what :func:`log_model` packed; the name is MLflow's."""
    return ScoringModel(Scorer.load(data_path))


def describe_model(
    folder: Path, scorer: Scorer, example: Records, requirements: Sequence[str]
) -> None:
    """Write what MLflow tells of a packaged model: signature, input example, requirements.

    Args:
        folder: a new folder, or one to be replaced.
        scorer: the model.
        example: a few records, which become the input example.
        requirements: pinned pip requirements.
    """
    import mlflow.pyfunc

    rows = [
        {column.name: record.get(column.name) for column in scorer.columns} for record in example
    ]
    inputs = [{name: _to_native(value) for name, value in row.items()} for row in rows]
    scores: list[Any] = to_frame(scorer.score(example)).to_dict("records")
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.pyfunc.save_model(
        path=folder,
        loader_module=__name__,
        signature=_signature(scorer.columns, inputs, scores),
        input_example=_example_frame(inputs, scorer.columns),
        pip_requirements=list(requirements),
    )


def log_model(run: TrackedRun, folder: Path, step: int, registered_name: str | None = None) -> str:
    """Log a trained model to its run, as a LoggedModel with signature and input example.

    One that an earlier process logged is taken, one that it left half logged is deleted.

    Args:
        run: the run that trained it.
        folder: the artifact folder.
        step: the epoch that the model is of; the run's metrics of that epoch become the model's.
        registered_name: registered model to add a version to.

    Returns:
        The model's URI, ``"models:/m-…"``.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses it.
    """
    digest = artifacts.digest_of(
        [
            artifacts.read_json(folder / name)
            for name in (artifacts.RESOLVED_CONFIG, artifacts.RESULT)
        ]
    )

    def log() -> str:
        import mlflow.pyfunc
        from mlflow import MlflowClient
        from mlflow.models import Model

        model_uri = _logged(run, digest)
        if model_uri is None:
            client = MlflowClient()
            model = client.create_logged_model(
                run.experiment_id,
                MODEL_NAME,
                run.run_id,
                tags={_DIGEST_TAG: digest},
                params=client.get_run(run.run_id).data.params,
            )
            package = Model.load(str(folder / artifacts.PACKAGE))
            code = sorted((folder / artifacts.CODE).glob("*"))
            with _kept_path():
                logged: ModelInfo = Model.log(
                    artifact_path=None,
                    name=MODEL_NAME,
                    model_id=model.model_id,
                    flavor=mlflow.pyfunc,
                    run_id=run.run_id,
                    step=step,
                    loader_module=__name__,
                    data_path=str(folder / artifacts.MODEL),
                    code_paths=[str(path) for path in (Path(__file__).parent, *code)],
                    signature=package.signature,
                    input_example=package.load_input_example(str(folder / artifacts.PACKAGE)),
                    pip_requirements=str(folder / artifacts.PACKAGE / "requirements.txt"),
                )
            model_uri = logged.model_uri
        if registered_name is not None:
            _register(model_uri, registered_name)
        return model_uri

    return run.call("log the model", log)


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
            found = model.model_uri
        else:
            client.delete_logged_model(model.model_id)
    return found


def _register(model_uri: str, name: str) -> None:
    import mlflow
    from mlflow import MlflowClient

    quote = '"' if "'" in name else "'"
    versions = MlflowClient().search_model_versions(f"name = {quote}{name}{quote}")
    if not any(version.model_id == model_uri.removeprefix("models:/") for version in versions):
        mlflow.register_model(model_uri, name)


def load_scorer(model_uri: str) -> Scorer:
    """Load the :class:`Scorer` of a packaged model.

    Args:
        model_uri: any MLflow model URI (``models:/penguins/1``, ``runs:/…/model``) or a folder
            that holds an MLflow model.

    Raises:
        ArtifactError: there is no such model, or another tool packaged it.
    """
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    try:
        model = mlflow.pyfunc.load_model(model_uri)
    except (MlflowException, OSError) as error:
        raise ArtifactError(
            f"{model_uri}: MLflow finds no model there ({error}); expected an artifact folder or "
            "an MLflow model URI such as models:/NAME/1 or runs:/RUN_ID/model"
        ) from error
    if model.metadata.flavors["python_function"].get("loader_module") != __name__:
        raise ArtifactError(f"{model_uri}: not a model that barrage-mlflow packaged")
    scorer: Scorer = model.get_raw_model()
    return scorer


@contextmanager
def _kept_path() -> Iterator[None]:
    """Leave the Python path as it was: MLflow tries the model's code from a temporary folder."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


def _signature(
    columns: Sequence[Column], inputs: list[dict[str, Any]], scores: list[Any]
) -> ModelSignature:
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    specs: list[ColSpec | TensorSpec] = []
    for column in columns:
        kind: Any = _MLFLOW_TYPES.get(column.type)
        if kind is None:
            present = [row[column.name] for row in inputs if row[column.name] is not None]
            inferred = infer_signature([{column.name: value} for value in present])
            kind = inferred.inputs.inputs[0].type if present else AnyType()  # type: ignore[no-untyped-call]
        specs.append(ColSpec(kind, column.name, required=column.required))
    outputs = infer_signature(model_input=None, model_output=scores).outputs
    return ModelSignature(inputs=Schema(specs), outputs=outputs)


def _example_frame(inputs: list[dict[str, Any]], columns: Sequence[Column]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(inputs, columns=[column.name for column in columns])
    numbers = [c.name for c in columns if _MLFLOW_TYPES.get(c.type) == "double"]
    return frame.astype(dict.fromkeys(numbers, "float64"))


def _to_native(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
