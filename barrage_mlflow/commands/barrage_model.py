"""The Python way in: train, load and score in three lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from barrage_mlflow.commands.train import train
from barrage_mlflow.dataset import RecordScore
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.training.train import TrainingResult


class BarrageModel:
    """A model that lives in an artifact folder.

    Args:
        artifact_dir: the artifact folder: new or empty to train, a finished training's to score.

    Example:
        >>> model = BarrageModel("artifacts/iris")  # doctest: +SKIP
        >>> model.train("config.json", "train.csv", "validation.csv")  # doctest: +SKIP
        >>> model.load().predict([{"sepal_length": 5.1, ...}])  # doctest: +SKIP
        [{'species': array([0.99, 0.01, 0.  ], dtype=float32)}]
    """

    def __init__(self, artifact_dir: str | os.PathLike[str]) -> None:
        self.artifact_dir = artifact_dir
        self._scorer: Scorer | None = None

    def train(
        self,
        config: str | os.PathLike[str] | Mapping[str, Any],
        records_train: Any,
        records_validation: Any,
        **options: Any,
    ) -> TrainingResult:
        """Train into the artifact folder; see :func:`barrage_mlflow.train` for all options."""
        self._scorer = None
        return train(
            config, records_train, records_validation, artifact_dir=self.artifact_dir, **options
        )

    def load(self) -> BarrageModel:
        """Load the packaged model of the artifact folder.

        Raises:
            ArtifactError: the folder holds no finished training.
        """
        self._scorer = Scorer.load(self.artifact_dir)
        return self

    def predict(self, records: Any, params: Mapping[str, Any] = {}) -> list[RecordScore]:
        """Score records; the model is loaded if it is not yet.

        Args:
            records: whatever :meth:`Records.read` takes: a DataFrame, dicts or a file.
            params: the transformer's ``score_params`` that are to have another value.

        Returns:
            One dict of outputs for each record, in their order.

        Raises:
            RecordError: a record cannot be loaded or fed to the network, or a param is unknown or
                of another type than its default.
        """
        self._scorer = self._scorer or Scorer.load(self.artifact_dir)
        scores = self._scorer.score(records, params=params)
        rows = zip(*scores.values(), strict=True)
        return [dict(zip(scores, row, strict=True)) for row in rows]
