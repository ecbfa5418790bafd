"""A kill of each kind of training; ``.ci/nightly`` has many, in the parts that begin with kills."""

from pathlib import Path

import pytest
from chaos import Chaos


@pytest.mark.slow
@pytest.mark.parametrize(("config", "elsewhere"), [("records", False), ("columns", True)])
def test_trainings_that_are_killed_end_as_if_they_never_were(
    config: str, elsewhere: bool, tmp_path: Path
) -> None:
    assert Chaos(tmp_path, 1, seed=3, records=400, elsewhere=elsewhere).run([config]) == []
