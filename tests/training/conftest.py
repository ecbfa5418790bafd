"""Two trainings for many tests; what changes one of them does so in a copy."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from trainings import Finished, finish, kill


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(tmp_path_factory.mktemp("finished"))


@pytest.fixture(scope="session")
def _killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return kill(tmp_path_factory.mktemp("killed") / "out")


@pytest.fixture
def killed(_killed: Path) -> Path:
    """A copy of a training that was killed in its second epoch."""
    return Path(shutil.copytree(_killed, "killed"))


@pytest.fixture
def copied(finished: Finished) -> Callable[[], Path]:
    """Copies the finished training."""
    return lambda: Path(shutil.copytree(finished.folder, "out"))
