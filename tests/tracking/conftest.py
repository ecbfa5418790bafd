"""A store that is asked again at once."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest

from barrage_mlflow.tracking import publisher, store


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pauses between attempts and checkpoints; no run stays open, nor an experiment active."""
    monkeypatch.setattr(store, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(publisher, "_PAUSE", 0.01)
    monkeypatch.setattr(publisher, "_REST", 0)
    monkeypatch.setattr("mlflow.tracking.fluent._active_experiment_id", "0")
    yield
    while mlflow.active_run():
        mlflow.end_run()
