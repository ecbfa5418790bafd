"""What a model answered for an output ``a``, for tests of how it is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from barrage_mlflow.evaluation.outcome import Outcome


def outcome_of(
    kind: str,
    truth: npt.ArrayLike,
    answer: npt.ArrayLike,
    weight: npt.ArrayLike | None = None,
    rows: npt.ArrayLike | None = None,
    **more: Any,
) -> Outcome:
    """An outcome of the first records, each of weight 1, unless told otherwise."""
    truth, answer = np.array(truth), np.array(answer)
    weight = np.ones(len(truth)) if weight is None else np.array(weight, float)
    rows = np.arange(len(truth)) if rows is None else np.array(rows)
    return Outcome("a", kind, truth, answer, weight, rows, **more)
