"""Scoring without TensorFlow, for tests of what is around it, and of files in batches of four."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.commands import predict
from barrage_mlflow.commands.predict import FileScores
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.components.score_params import fill_params
from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.scoring.scorer import Scorer


class StubScorer(Scorer):
    """Gives ``p`` (records, 2) float32, ``whole`` int64 and ``name``, of columns ``a`` and ``s``.

    A name ends with the param ``mark``.

    Args:
        folder: that its model would lie in.
        pause: seconds that a piece takes.

    Attributes:
        scored: how many records it has scored.
    """

    def __init__(self, folder: Path, pause: float = 0.0) -> None:
        columns = (Column("a", "number"), Column("s", "text", optional=True))
        self.schema = self.inputs = Schema({one.name: one for one in columns}, is_complete=True)
        self.outputs = ["p"]
        self.score_params = {"mark": ">"}
        self.folder = folder
        self.scored = 0
        self._by_columns = False
        self._pause = pause

    def score(
        self, records: Any, batch_size: int = 256, params: Mapping[str, Any] = {}
    ) -> dict[str, Any]:
        mark = fill_params(self.score_params, params)["mark"]
        typed = Records.read(records, schema=self.inputs)
        time.sleep(self._pause)
        self.scored += len(typed)
        a, s = typed["a"], typed.values("s")
        p = np.stack([a, a / 3], axis=1).astype(np.float32)
        names = [None if one is None else f"<{one}{mark}" for one in s]
        return {"p": p, "whole": a.astype(np.int64), "name": np.array([*names, None], object)[:-1]}


def score_file(scorer: Scorer, source: str, *output: Any, **options: Any) -> FileScores:
    return predict.score_file(scorer, source, *output, **{"batch_size": 4, **options})
