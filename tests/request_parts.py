"""Requests to a served model, how chance draws and writes them, and the judge of the answers."""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
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


# MLflow's server, or the HTTP server below it, answers these without asking the model: the statuses
# (None is no answer at all), and where and why.
LISTED: dict[str, tuple[tuple[int | None, ...], str]] = {
    "no content type": ((500,), "invocations: content_type.split() of None"),
    "another content type": ((415,), "invocations: neither JSON, CSV nor Parquet in UTF-8"),
    "nested too deep": ((500,), "_decode_json_input: RecursionError is not caught"),
    "thousands of digits": ((500,), "_decode_json_input: json's own ValueError is not caught"),
    "column name is a list": ((500,), "cast_df_types_according_to_schema: set(pdf.columns)"),
    "unreadable CSV": ((400,), "parse_csv_input: answers with its stack trace"),
    "unreadable Parquet": ((400,), "parse_parquet_input: answers with its stack trace"),
    "no such route": ((404, 405, 307), "only POST /invocations is routed"),
    "not HTTP": ((400, None), "uvicorn takes it for no HTTP request"),
    "body cut off": ((None, 400, 500), "the connection ends before the body"),
}
_TRACES = {"unreadable CSV": b"in parse_csv_input", "unreadable Parquet": b"in parse_parquet_input"}


@dataclass(frozen=True)
class Request:
    """A request and what must come of it.

    Attributes:
        kind: the name of what is wrong with it.
        expect: ``"score"``, ``"refused"``, ``"either"`` of the two, or a name in ``LISTED``.
        wire: the bytes to send.
        count: how many scores there must be; None where that is open.
        columns: a refusal by the model names one of them, if there are any.
        row: and this record.
        may: a name in ``LISTED`` of what may come of it as well.
    """

    kind: str
    expect: str
    wire: bytes
    count: int | None = None
    columns: tuple[str, ...] = ()
    row: int | None = None
    may: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back: status, content type and body; all of it empty if nothing did."""

    status: int | None
    content_type: str = ""
    body: bytes = b""


# --- Judging an answer ----------------------------------------------------------------------------


def judge(request: Request, answer: Answer) -> tuple[str, str]:
    """What came of a request, and what is wrong with that; empty if nothing is.

    What came is ``"score"``, ``"refused by the model"``, ``"refused by MLflow"``, a name in
    ``LISTED`` or ``"fault"``.
    """
    for name in (request.expect, request.may):
        listed = name in LISTED and answer.status in LISTED[name][0]
        if listed and _TRACES.get(name, b"") in answer.body:
            return name, ""
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


def _fault_of_scores(answer: Answer, count: int | None) -> str:
    try:
        value = _strict_json(answer.body)
    except ValueError as error:
        return f"the answer is no JSON: {error}"
    scores = value.get("predictions") if isinstance(value, dict) else value
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        return "the answer holds no list of scores"
    wrong = count is not None and len(scores) != count
    return f"expected {count} scores, got {len(scores)}" if wrong else ""


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


JSON_FORMATS: dict[str, Callable[[Sequence[Record]], Any]] = {
    "dataframe_split": split,
    "dataframe_records": lambda records: {"dataframe_records": list(records)},
    "inputs": lambda records: {"inputs": _by_column(records)},
    "instances": lambda records: {"instances": list(records)},
}
FORMATS = (*JSON_FORMATS, "csv", "parquet")


def to_csv(records: Sequence[Record]) -> bytes:
    """A CSV file, with bytes in base64."""
    text = io.StringIO()
    columns = _by_column(records)
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(
        [
            cell.text
            if isinstance(cell, Literal)
            else base64.b64encode(cell).decode()
            if isinstance(cell, bytes)
            else cell
            for cell in row
        ]
        for row in zip(*columns.values(), strict=True)
    )
    return text.getvalue().encode("utf-8", "replace")


def to_parquet(records: Sequence[Record]) -> bytes:
    """A Parquet file."""
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame(_by_column(records)).to_parquet(file)
    return file.getvalue()


def http(
    body: bytes,
    content_type: str | None = JSON,
    *headers: str,
    line: str = "POST /invocations HTTP/1.1",
    length: int | None = None,
) -> bytes:
    """The bytes of an HTTP request."""
    lines = [line, "Host: 127.0.0.1", *headers]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def write(form: str, records: Sequence[Record]) -> bytes:
    """A request of records in one of ``FORMATS``.

    Raises:
        Exception: of pyarrow's, where Parquet cannot hold such values.
    """
    if form == "csv":
        return http(to_csv(records), CSV)
    if form == "parquet":
        return http(to_parquet(records), PARQUET)
    return http(to_json(JSON_FORMATS[form](records)))


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
        """One of some formats, JSON's if left out."""
        return self.pick(forms or tuple(JSON_FORMATS))

    def column(self, *types: str) -> Column | None:
        """A column of the model, of one of some types if they are given."""
        columns = [each for each in self.model.columns if not types or each.type in types]
        return self.pick(columns) if columns else None

    def json(self) -> bytes:
        """The body of a good request."""
        return to_json(JSON_FORMATS[self.form()](self.records()))

    def request(
        self, kind: str, expect: str, form: str, records: list[Record], **more: Any
    ) -> Request:
        """A request in a format, from which nothing is expected that the format cannot give."""
        try:
            wire = write(form, records)
        except Exception:
            form = "dataframe_records"  # Parquet holds no such values
            wire = write(form, records)
        if form not in self.model.formats:
            expect = EITHER
            more |= {"columns": (), "row": None}
        if expect != SCORE:
            may = {"csv": "unreadable CSV", "parquet": "unreadable Parquet"}
            more.setdefault("may", may.get(form, ""))
        return Request(f"{kind} in {form}", expect, wire, count=len(records), **more)
