"""What MLflow loads a packaged model with, and calls then.

Every packaged model names this module as its loader: it stays here for good.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import ArtifactError, describe_error
from barrage_mlflow.scoring.package import LOADER
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.scoring.scores import to_frame
from barrage_mlflow.workspace import layout as artifacts

if TYPE_CHECKING:
    import pandas as pd


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
            params: the transformer's ``score_params`` that are to have another value. MLflow
                fills in the others, leaves out unknown ones and refuses most wrong types.

        Returns:
            One row for each record, one column for each output after ``postprocess``: numbers,
            strings, and lists and dicts of them.

        Raises:
            mlflow.exceptions.MlflowException: a record cannot be scored, or a param is not of its
                type; answered by MLflow's server with status 400.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

        try:
            records = Records.read(model_input, "input", schema=self._scorer.inputs)
            return to_frame(self._scorer.score(records, params=params or {}))
        except Exception as error:
            # Also what a project's component raises: as it is, MLflow would answer its traceback.
            raise MlflowException(
                describe_error(error), error_code=INVALID_PARAMETER_VALUE
            ) from error

    def get_raw_model(self) -> Scorer:
        """Return the :class:`Scorer` (``PyFuncModel.get_raw_model`` calls this)."""
        return self._scorer


def _load_pyfunc(data_path: str) -> ScoringModel:
    """Load a packaged model; the name is MLflow's.

    Its first request is to take no longer than others: what is made at the first call is made by
    scoring the first record of the input example.
    """
    from mlflow.models import Model

    folder = Path(data_path).parent
    model = ScoringModel(Scorer.load(folder))
    if (folder / "MLmodel").exists():
        with artifacts.undamaged(folder / "input_example.json"):
            example: Any = Model.load(str(folder)).load_input_example(str(folder))
        model.predict(example if model._scorer.inputs.windows else example[:1])
    return model


def load_scorer(model: str | os.PathLike[str]) -> Scorer:
    """Load the :class:`Scorer` of a packaged model.

    Args:
        model: an artifact folder, any MLflow model URI (``models:/penguins/1``,
            ``runs:/…/model``) or a folder of an MLflow model.

    Raises:
        ArtifactError: there is no such model, another tool packaged it, or it is damaged.
    """
    if Path(model, artifacts.MODEL).is_dir():
        return Scorer.load(model)
    model_uri = str(model)
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    with artifacts.undamaged(f"{model_uri}/MLmodel"):
        try:
            flavors = Model.load(model_uri).flavors
        except (MlflowException, OSError) as error:
            raise ArtifactError(
                f"{model_uri}: MLflow finds no model there ({error}); expected an artifact folder "
                "or an MLflow model URI such as models:/NAME/1 or runs:/RUN_ID/model"
            ) from error
        if flavors.get("python_function", {}).get("loader_module") != LOADER:
            raise ArtifactError(f"{model_uri}: not a model that barrage-mlflow packaged")
    scorer: Scorer = mlflow.pyfunc.load_model(model_uri).get_raw_model()
    return scorer
