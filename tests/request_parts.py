"""Requests to a served model, how chance draws and writes them, and the judge of the answers."""

from __future__ import annotations

import base64
import copy
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
JSON = "application/json"
SCORE, REFUSED, EITHER = "score", "refused", "either"


@dataclass(frozen=True)
class Column:
    """A column that the model reads.

    Attributes:
        name: the record key.
        type: ``"number"``, ``"integer"``, ``"boolean"``, ``"text"``, ``"list"`` (of numbers),
            ``"image"`` (a list of lists), ``"photo"`` (a PNG file in base64) or ``"bytes"``.
        optional: whether a train record lacked it; such a record is scored.
    """

    name: str
    type: str
    optional: bool = False


@dataclass(frozen=True)
class Model:
    """A model, as far as requests to it are concerned.

    Attributes:
        name: for messages.
        columns: what it reads.
        records: good ones, in plain Python; bytes are sent in base64.
        formats: the formats in which the server takes good records of this model.
    """

    name: str
    columns: tuple[Column, ...]
    records: list[Record]
    formats: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """A request and what must come of it.

    Attributes:
        kind: the name of what is wrong with it.
        expect: ``"score"``, ``"refused"``, or ``"either"`` of the two.
        wire: the bytes to send.
        count: how many scores there must be.
        columns: a refusal by the model names one of them, if there are any.
        row: and this record.
    """

    kind: str
    expect: str
    wire: bytes
    count: int
    columns: tuple[str, ...] = ()
    row: int | None = None


@dataclass(frozen=True)
class Answer:
    """What came back; nothing of it, if nothing did."""

    status: int | None
    body: bytes = b""


# --- Judging an answer ----------------------------------------------------------------------------


def judge(request: Request, answer: Answer) -> tuple[str, str]:
    """What came of a request, and what is wrong with that; empty if nothing is.

    What came is ``"score"``, ``"refused by the model"``, ``"refused by MLflow"`` or ``"fault"``.
    """
    if answer.status == 200 and request.expect in (SCORE, EITHER):
        fault = _fault_of_scores(answer, request.count)
        return "fault" if fault else "score", fault
    if answer.status == 400 and request.expect in (REFUSED, EITHER):
        return _judge_refusal(request, answer)
    got = "no answer" if answer.status is None else f"status {answer.status}"
    return "fault", f"expected {request.expect}, got {got}"


def _strict_json(body: bytes) -> Any:
    """JSON by the book: without NaN and Infinity, which Python's reader takes."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(body, parse_constant=refuse)


def _fault_of_scores(answer: Answer, count: int) -> str:
    try:
        value = _strict_json(answer.body)
    except ValueError as error:
        return f"the answer is no JSON: {error}"
    scores = value.get("predictions") if isinstance(value, dict) else value
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        return "the answer holds no list of scores"
    return "" if len(scores) == count else f"expected {count} scores, got {len(scores)}"


def _judge_refusal(request: Request, answer: Answer) -> tuple[str, str]:
    try:
        error = _strict_json(answer.body)
        code, message = error["error_code"], error["message"]
    except (ValueError, KeyError, TypeError):
        return "fault", "the refusal is no JSON with error_code and message"
    if "stack_trace" in error or "Traceback (most recent" in message or 'File "' in message:
        return "fault", "the refusal holds a traceback"
    # MLflow's own refusals have another code, or name the schema.
    if code != "INVALID_PARAMETER_VALUE" or error.get("error_class") == "SCHEMA_ENFORCEMENT_FAILED":
        return "refused by MLflow", ""
    # MLflow shows the data, with the names of all columns, before the model's own message.
    message = message.rpartition("\nError: ")[2]
    if request.columns and not any(column in message for column in request.columns):
        return "fault", "the model does not name the column"
    if request.row is not None and not re.search(rf"\brecord {request.row}\b", message):
        return "fault", "the model does not name the record"
    return "refused by the model", ""


# --- Writing a request ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Literal:
    """JSON text that stands in a request as it is."""

    text: str


def to_json(value: Any) -> bytes:
    """JSON, with bytes in base64 and each ``Literal`` as it stands."""
    literals: list[str] = []

    def default(item: Any) -> str:
        if isinstance(item, bytes):
            return base64.b64encode(item).decode()
        literals.append(item.text)
        return f"@literal {len(literals) - 1}@"

    text = json.dumps(value, default=default)
    for number, literal in enumerate(literals):
        text = text.replace(f'"@literal {number}@"', literal)
    return text.encode()


def split(records: Sequence[Record]) -> Any:
    """The records as ``dataframe_split``."""
    names = list(dict.fromkeys(name for record in records for name in record))
    data = [[record.get(name) for name in names] for record in records]
    return {"dataframe_split": {"columns": names, "data": data}}


def _by_column(records: Sequence[Record]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


FORMATS: dict[str, Callable[[Sequence[Record]], Any]] = {
    "dataframe_split": split,
    "dataframe_records": lambda records: {"dataframe_records": list(records)},
    "inputs": lambda records: {"inputs": _by_column(records)},
    "instances": lambda records: {"instances": list(records)},
}


def write(form: str, records: Sequence[Record]) -> bytes:
    """The bytes of a request of records in one of ``FORMATS``."""
    body = to_json(FORMATS[form](records))
    kind, length = f"Content-Type: {JSON}", f"Content-Length: {len(body)}"
    lines = ["POST /invocations HTTP/1.1", "Host: 127.0.0.1", kind, length, "", ""]
    return "\r\n".join(lines).encode() + body


def good_request(form: str, records: Sequence[Record]) -> Request:
    """A request that must be scored."""
    return Request("good", SCORE, write(form, records), count=len(records))


# --- Drawing a request ----------------------------------------------------------------------------


class Draw:
    """What a kind is given to make a request of: a model and chance."""

    def __init__(self, model: Model, chance: random.Random) -> None:
        self.model = model
        self.pick = chance.choice
        self.below = chance.randrange
        self.chance = chance

    def records(self, most: int = 5) -> list[Record]:
        """A few good records, to be changed at will."""
        return [copy.deepcopy(self.pick(self.model.records)) for _ in range(1 + self.below(most))]

    def form(self, *forms: str) -> str:
        """One of some formats, of those that the model is taken in."""
        return self.pick(sorted({*(forms or FORMATS)} & {*self.model.formats}))

    def column(self, *types: str) -> Column | None:
        """A column of the model, of one of some types if they are given."""
        columns = [each for each in self.model.columns if not types or each.type in types]
        return self.pick(columns) if columns else None

    def request(
        self, kind: str, expect: str, form: str, records: list[Record], **more: Any
    ) -> Request:
        """A request in a format."""
        wire = write(form, records)
        return Request(f"{kind} in {form}", expect, wire, count=len(records), **more)
