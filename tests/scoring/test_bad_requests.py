"""Bad requests to served models; ``python tests/fuzz_serving.py`` sends many more of them."""

from __future__ import annotations

from pathlib import Path

import fuzz_serving
import pytest
from bad_requests import make_request
from request_parts import EITHER, FORMATS, REFUSED, SCORE, Column, Model

RECORD = {"size": 1.5, "age": None, "series": [0.5, 1.5], "photo": "QUJDRA==", "raw": b"abc"}
COLUMNS = (
    Column("size", "number"),
    Column("age", "number", optional=True),
    Column("series", "list"),
    Column("photo", "photo"),
    Column("raw", "bytes"),
)
MODEL = Model("small", COLUMNS, [RECORD], tuple(FORMATS))


@pytest.mark.slow
def test_every_bad_request_is_scored_or_refused_and_good_ones_stay_right(tmp_path: Path) -> None:
    assert fuzz_serving.run(tmp_path, requests=200, seed=1, good=1_000) == []


def test_requests_of_a_seed_are_the_same_each_time_and_of_every_kind() -> None:
    requests = [make_request(MODEL, 0, number) for number in range(1_000)]
    assert requests[:200] == [make_request(MODEL, 0, number) for number in range(200)]
    assert {request.expect for request in requests} == {SCORE, REFUSED, EITHER}
