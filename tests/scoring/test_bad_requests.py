"""Bad requests to served models; ``python tests/fuzz_serving.py`` sends many more of them."""

from __future__ import annotations

import json
from pathlib import Path

import fuzz_serving
import pytest
from bad_requests import make_request
from request_parts import (
    EITHER,
    FORMATS,
    JSON,
    LISTED,
    REFUSED,
    SCORE,
    Answer,
    Column,
    Literal,
    Model,
    Request,
    judge,
    to_json,
)

RECORD = {"size": 1.5, "age": None, "series": [0.5, 1.5], "photo": "QUJDRA==", "raw": b"abc"}
COLUMNS = (
    Column("size", "number"),
    Column("age", "number", optional=True),
    Column("series", "list"),
    Column("photo", "photo"),
    Column("raw", "bytes"),
)
MODEL = Model("small", COLUMNS, [RECORD], FORMATS)


@pytest.mark.nightly(part="fuzz")
def test_every_bad_request_is_scored_or_refused_and_good_ones_stay_right(tmp_path: Path) -> None:
    assert fuzz_serving.run(tmp_path, requests=200, seed=1, good=1_000) == []


def test_requests_of_a_seed_are_the_same_each_time_and_of_every_kind() -> None:
    requests = [make_request(MODEL, 0, number) for number in range(1_000)]
    assert requests[:200] == [make_request(MODEL, 0, number) for number in range(200)]
    named = {name for request in requests for name in (request.expect, request.may)}
    assert named >= {*LISTED, SCORE, REFUSED, EITHER}


def test_literals_stand_in_json_as_they_are() -> None:
    assert to_json({"a": Literal("1e400"), "b": [Literal("-0"), b"ab"]}) == (
        b'{"a": 1e400, "b": [-0, "YWI="]}'
    )


def refusal(message: str, **more: str) -> Answer:
    error = {"error_code": "INVALID_PARAMETER_VALUE", "message": message, **more}
    return Answer(400, JSON, json.dumps(error).encode())


BAD = Request("null", REFUSED, b"", columns=("age",), row=3)
GOOD = Request("good", SCORE, b"", count=1)
ODD = Request("odd CSV", EITHER, b"", may="unreadable CSV")
NAMES_NOTHING = "Failed to predict data 'age\n0 1.5 record 3'. \nError: input, record 1"


@pytest.mark.parametrize(
    ("request_", "answer", "outcome", "fault"),
    [
        (BAD, refusal("record 3: column 'age' is empty"), "refused by the model", ""),
        (BAD, refusal("record 31: column 'age'"), "fault", "the model does not name the record"),
        (BAD, refusal(NAMES_NOTHING), "fault", "the model does not name the column"),
        (BAD, refusal("age", stack_trace="Error"), "fault", "the refusal holds a traceback"),
        (BAD, Answer(500, JSON), "fault", "expected refused, got status 500"),
        (GOOD, Answer(200, JSON, b'{"predictions": []}'), "fault", "expected 1 scores, got 0"),
        (GOOD, Answer(200, JSON, b'{"predictions": [{"p": 0.5}]}'), "score", ""),
        (ODD, Answer(200, JSON, b"NaN"), "fault", "the answer is no JSON: NaN is not JSON"),
        (ODD, refusal("", stack_trace="in parse_csv_input"), "unreadable CSV", ""),
    ],
)
def test_an_answer_is_judged(request_: Request, answer: Answer, outcome: str, fault: str) -> None:
    assert judge(request_, answer) == (outcome, fault)
