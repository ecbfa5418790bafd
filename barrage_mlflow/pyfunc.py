"""Packs a trained model as an MLflow pyfunc, and is the module that MLflow loads it with.

The packed model is the artifact folder's ``model`` folder as it stands, the code of the
engine and of the project beside it, and pinned requirements. Nothing is pickled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, BarrageError, describe_error
from barrage_mlflow.scoring import Column, Scorer, to_frame

if TYPE_CHECKING:
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.models.model import ModelInfo

MODEL_NAME = "model"
"""Name of the LoggedModel in its run."""

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


def log_model(
    run_id: str,
    model_folder: Path,
    scorer: Scorer,
    example: Records,
    *,
    code_paths: Sequence[str],
    requirements: Sequence[str],
    registered_name: str | None = None,
) -> ModelInfo:
    """Log a trained model to a run as a LoggedModel with signature and input example.

    Args:
        run_id: the run that trained it.
        model_folder: the ``model`` folder of the artifact folder.
        scorer: loaded from that folder.
        example: a few records, which become the input example.
        code_paths: the project's modules and packages; the engine's are added.
        requirements: pinned pip requirements.
        registered_name: registered model to add a version to.
    """
    import mlflow.pyfunc
    from mlflow.models import Model

    rows = [
        {column.name: record.get(column.name) for column in scorer.columns} for record in example
    ]
    inputs = [{name: _to_native(value) for name, value in row.items()} for row in rows]
    scores: list[Any] = to_frame(scorer.score(example)).to_dict("records")
    engine = str(Path(__file__).parent)
    with _kept_path():
        logged: ModelInfo = Model.log(
            artifact_path=None,
            name=MODEL_NAME,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            registered_model_name=registered_name,
            loader_module=__name__,
            data_path=str(model_folder),
            code_paths=[engine, *code_paths],
            signature=_signature(scorer.columns, inputs, scores),
            input_example=_example_frame(inputs, scorer.columns),
            pip_requirements=list(requirements),
        )
    return logged


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
