"""Bad requests to served models; ``python tests/fuzz_serving.py`` sends many more of them."""

from __future__ import annotations

from pathlib import Path

import fuzz_serving
import pytest


@pytest.mark.nightly(part="fuzz")
def test_every_bad_request_is_scored_or_refused_and_good_ones_stay_right(tmp_path: Path) -> None:
    assert fuzz_serving.run(tmp_path, requests=200, seed=1, good=1_000) == []
