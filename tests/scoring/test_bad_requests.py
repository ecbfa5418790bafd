"""Bad requests to served models; ``python tests/fuzz_serving.py`` sends the whole of them."""

from __future__ import annotations

import json
from pathlib import Path

import bad_requests
import fuzz_serving
import pytest
from serving_requests import (
    FORMATS,
    JSON,
    LISTED,
    Answer,
    Column,
    Literal,
    Model,
    Request,
    judge,
    to_json,
)

MODEL = Model(
    "small",
    (
        Column("size", "number"),
        Column("age", "number", optional=True),
        Column("count", "integer"),
        Column("ready", "boolean"),
        Column("colour", "text"),
        Column("series", "list"),
        Column("image", "image"),
        Column("photo", "photo"),
        Column("raw", "bytes"),
    ),
    [
        {
            "size": 1.5,
            "age": None,
            "count": 3,
            "ready": True,
            "colour": "blue",
            "series": [0.5, 1.5],
            "image": [[1, 2], [3, 4]],
            "photo": "QUJDRA==",
            "raw": b"abc",
        }
    ],
    FORMATS,
    10,
)


@pytest.mark.slow
def test_every_bad_request_is_scored_or_refused_and_good_ones_stay_right(tmp_path: Path) -> None:
    assert fuzz_serving.run(tmp_path, requests=450, seed=1) == []


@pytest.mark.slow
def test_the_memory_of_a_server_is_level(tmp_path: Path) -> None:
    assert fuzz_serving.run(tmp_path, requests=0, seed=0, models=["penguins"], good=3_000) == []


def test_the_requests_of_a_seed_are_the_same_each_time() -> None:
    def drawn(seed: int) -> list[Request]:
        return [bad_requests.make_request(MODEL, seed, number) for number in range(300)]

    requests = drawn(0)
    assert requests == drawn(0)
    assert requests != drawn(1)


def test_all_that_is_listed_is_asked_for() -> None:
    requests = [bad_requests.make_request(MODEL, 0, number) for number in range(1_500)]
    named = {name for request in requests for name in (request.expect, *request.may)}
    assert named >= LISTED.keys() - {"time limit"}


def test_literals_stand_in_json_as_they_are() -> None:
    assert to_json({"a": Literal("1e400"), "b": [Literal("-0"), b"ab"]}) == (
        b'{"a": 1e400, "b": [-0, "YWI="]}'
    )


def refusal(message: str, **more: str) -> Answer:
    error = {"error_code": "INVALID_PARAMETER_VALUE", "message": message, **more}
    return Answer(400, JSON, json.dumps(error).encode())


BAD = Request("null", "refused", columns=("age",), row=3)
MISLED = "Failed to predict data 'age\n0 1.5 record 3'. \nError: input, record 1: column 'size'"
SCHEMA = {"error_class": "SCHEMA_ENFORCEMENT_FAILED"}
PREDICTED = b'{"predictions": [{"p": 0.5}]}'


@pytest.mark.parametrize(
    ("request_", "answer", "outcome", "fault"),
    [
        (BAD, refusal("record 3: column 'age' is empty"), "refused by the model", ""),
        (BAD, refusal("record 31: column 'age'"), "fault", "the model does not name the record"),
        (BAD, refusal(MISLED), "fault", "the model does not name the column"),
        (BAD, refusal("Failed to enforce", **SCHEMA), "refused by MLflow", ""),
        (BAD, refusal("age", stack_trace="ValueError"), "fault", "the refusal holds a traceback"),
        (BAD, Answer(400, "text/plain", b"no"), "fault",
         "the refusal is no JSON with error_code and message"),
        (BAD, Answer(200, JSON, PREDICTED), "fault", "expected refused, got status 200"),
        (BAD, Answer(500, JSON), "fault", "expected refused, got status 500"),
        (Request("good", "score", count=1), Answer(200, JSON, PREDICTED), "score", ""),
        (Request("good", "score", count=2), Answer(200, JSON, PREDICTED), "fault",
         "expected 2 scores, got 1"),
        (Request("odd", "either"), Answer(200, JSON, PREDICTED.replace(b"0.5", b"NaN")), "fault",
         "the answer is no JSON: NaN is not JSON"),
        (Request("odd", "either"), Answer(None), "fault", "expected either, got no answer"),
        (Request("no content type", "no content type"), Answer(500), "no content type", ""),
        (Request("no content type", "no content type"), Answer(200), "fault",
         "expected 500, got status 200"),
        (Request("odd CSV", "either", may=("unreadable CSV",)),
         refusal("no CSV", stack_trace="in parse_csv_input"), "unreadable CSV", ""),
        (Request("odd CSV", "either", may=("unreadable CSV",)),
         refusal("no CSV", stack_trace="in predict"), "fault", "the refusal holds a traceback"),
    ],
)  # fmt: skip
def test_an_answer_is_judged(request_: Request, answer: Answer, outcome: str, fault: str) -> None:
    verdict = judge(request_, answer)
    assert (verdict.outcome, verdict.fault) == (outcome, fault)
