"""A few kills of real trainings; ``python tests/chaos.py --kills 100`` is the whole of it."""

from pathlib import Path

import chaos
import pytest


@pytest.mark.slow
def test_trainings_that_are_killed_end_as_if_they_never_were(tmp_path: Path) -> None:
    assert chaos.run(tmp_path, kills=8, seed=3, records=800) == []


@pytest.mark.slow
def test_trainings_that_go_on_elsewhere_end_as_if_they_never_were_killed(tmp_path: Path) -> None:
    assert chaos.run(tmp_path, kills=4, seed=4, records=800, elsewhere=True) == []
