"""A few kills of real trainings; ``.ci/nightly kills kills-elsewhere`` has 100 of each."""

from pathlib import Path

import chaos
import pytest


@pytest.mark.slow
@pytest.mark.parametrize(("elsewhere", "kills"), [(False, 5), (True, 3)])
def test_trainings_that_are_killed_end_as_if_they_never_were(
    elsewhere: bool, kills: int, tmp_path: Path
) -> None:
    assert chaos.run(tmp_path, kills, seed=3, records=400, elsewhere=elsewhere) == []
