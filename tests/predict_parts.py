"""Scoring a file in batches of four."""

from __future__ import annotations

from typing import Any

from barrage_mlflow import Scorer
from barrage_mlflow.commands import predict as batch_scoring
from barrage_mlflow.commands.predict import FileScores


def score_file(scorer: Scorer, source: str, *output: Any, **options: Any) -> FileScores:
    return batch_scoring.score_file(scorer, source, *output, **{"batch_size": 4, **options})
