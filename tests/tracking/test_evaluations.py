"""Evaluations that are added to a run."""

from __future__ import annotations

import mlflow
import pytest

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.evaluations import find_run, log_evaluation


def test_the_figures_of_a_set_are_not_replaced_whatever_its_name() -> None:
    with mlflow.start_run() as run:
        run_id = run.info.run_id
    for name in ("test", "test (1)"):
        log_evaluation(*find_run(run_id, name), name, {"price_mae": 1.0}, {})
        with pytest.raises(TrackingError, match="has figures that begin with"):
            find_run(run_id, name)
