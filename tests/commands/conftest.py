"""Parts so small that a small file has several of them."""

from __future__ import annotations

import pytest


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several parts of several pieces in a small file, and every moment to go on from kept."""
    monkeypatch.setattr("barrage_mlflow.dataset.records.parts.PART", 12)
    monkeypatch.setattr("barrage_mlflow.commands.resumable_file._SAVE_SECONDS", 0.0)
