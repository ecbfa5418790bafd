"""Requests to a served model, in every format that MLflow takes, and what their answers must be.

``judge`` tells what is wrong with an answer. What MLflow's server answers by itself, before it
calls the model, and not in the way that the model's own answers must have, stands in ``LISTED``,
with the reason.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
JSON = "application/json"
CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Column:
    """A column that the model reads.

    Attributes:
        name: the record key.
        type: ``"number"``, ``"integer"``, ``"boolean"``, ``"text"``, ``"list"`` (of numbers),
            ``"image"`` (a list of lists), ``"photo"`` (a PNG file in base64) or ``"bytes"``.
        optional: whether a train record lacked it; such a record is scored.
        lenient: whether the project's own components make something of values that they do not
            know, so that a score is as right as a refusal.
    """

    name: str
    type: str
    optional: bool = False
    lenient: bool = False


@dataclass(frozen=True)
class Model:
    """A model, as far as requests to it are concerned.

    Attributes:
        name: for messages.
        columns: what it reads.
        records: good ones, in plain Python; bytes are sent in base64.
        formats: the formats in which the server takes good records of this model.
        many: how many records it is to score at once.
    """

    name: str
    columns: tuple[Column, ...]
    records: list[Record]
    formats: tuple[str, ...]
    many: int


@dataclass(frozen=True)
class Listed:
    """What MLflow's server, or the HTTP server below it, answers without asking the model.

    Attributes:
        reason: where and why.
        statuses: what it answers; None is no answer at all.
    """

    reason: str
    statuses: tuple[int | None, ...]


LISTED = {
    "no content type": Listed("scoring_server.invocations: content_type.split() of None", (500,)),
    "another content type": Listed("scoring_server.invocations: neither JSON, CSV nor Parquet; or "
                                   "a parameter other than charset=utf-8", (415,)),
    "nested too deep": Listed("scoring_server._decode_json_input: json.loads raises "
                              "RecursionError, which is not caught", (500,)),
    "thousands of digits": Listed("scoring_server._decode_json_input: json.loads raises a "
                                  "ValueError of its own, which is not caught", (500,)),
    "column name is a list": Listed("proto_json_utils.cast_df_types_according_to_schema: "
                                    "set(pdf.columns) is outside its try", (500,)),
    "unreadable CSV": Listed("scoring_server.parse_csv_input: answers with its stack trace; for a "
                             "model with a column of type any or Array, whatever the CSV", (400,)),
    "unreadable Parquet": Listed("scoring_server.parse_parquet_input: answers with its stack "
                                 "trace", (400,)),
    "method": Listed("only POST /invocations is routed", (405,)),
    "path": Listed("only /invocations, /ping, /health and /version are routed", (404, 307)),
    "not HTTP": Listed("uvicorn takes it for no HTTP request", (400, None)),
    "body cut off": Listed("the connection ends before the body", (None, 400, 500)),
    "time limit": Listed("scoring_server.init: the answer takes longer than --timeout", (504,)),
}  # fmt: skip
"""Names, places and answers of what is counted apart."""

_TRACES = {"unreadable CSV": "in parse_csv_input", "unreadable Parquet": "in parse_parquet_input"}


@dataclass(frozen=True)
class Request:
    """A request and what must come of it.

    Attributes:
        kind: the name of what is wrong with it.
        expect: ``"score"``, ``"refused"``, ``"either"`` of the two, or a name in ``LISTED``.
        body: what is sent.
        content_type: its header; None leaves it out.
        headers: further ones.
        wire: what is sent in place of an HTTP request of all this, piece by piece.
        hang_up: whether to close the connection behind it, and expect no answer.
        count: how many scores there must be; None where that is open.
        columns: a refusal by the model names one of them, if there are any.
        row: and this record.
        may: names in ``LISTED`` of what may come of it as well.
        where: in what kind of column it is, if in one.
    """

    kind: str
    expect: str
    body: bytes = b""
    content_type: str | None = JSON
    headers: tuple[tuple[str, str], ...] = ()
    wire: tuple[bytes, ...] = ()
    hang_up: bool = False
    count: int | None = None
    columns: tuple[str, ...] = ()
    row: int | None = None
    may: tuple[str, ...] = ()
    where: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back: status, content type and body; all of it empty if nothing did."""

    status: int | None
    content_type: str = ""
    body: bytes = b""


# --- Judging an answer ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What came of a request.

    Attributes:
        outcome: ``"score"``, ``"refused by the model"``, ``"refused by MLflow"``, a name in
            ``LISTED``, or ``"fault"``.
        fault: what is wrong; empty if nothing is.
        message: what a refusal said.
        nameless: whether it was MLflow that refused, without a word of the column at fault.
    """

    outcome: str
    fault: str = ""
    message: str = ""
    nameless: bool = False


def judge(request: Request, answer: Answer) -> Verdict:
    """Tell what came of a request, and whether it should have."""
    for name in (request.expect, *request.may):
        if name in LISTED and _is_listed(name, answer):
            return Verdict(name)
    got = "no answer" if answer.status is None else f"status {answer.status}"
    if request.expect in LISTED:
        statuses = " or ".join(map(str, LISTED[request.expect].statuses))
        return Verdict("fault", f"expected {statuses}, got {got}")
    if answer.status == 200 and request.expect in ("score", "either"):
        fault = _fault_of_scores(answer, request.count)
        return Verdict("fault" if fault else "score", fault)
    if answer.status == 400 and request.expect in ("refused", "either"):
        return _judge_refusal(request, answer)
    return Verdict("fault", f"expected {request.expect}, got {got}")


def _is_listed(name: str, answer: Answer) -> bool:
    if answer.status not in LISTED[name].statuses:
        return False
    return name not in _TRACES or _TRACES[name].encode() in answer.body


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
    # Chat, completion and embedding requests are answered without the key around it.
    scores = value.get("predictions") if isinstance(value, dict) else value
    if not isinstance(scores, list) or not all(isinstance(score, dict) for score in scores):
        return "the answer holds no list of scores"
    if count is not None and len(scores) != count:
        return f"expected {count} scores, got {len(scores)}"
    return ""


def _judge_refusal(request: Request, answer: Answer) -> Verdict:
    try:
        error = _strict_json(answer.body)
        code, message = error["error_code"], error["message"]
    except (ValueError, KeyError, TypeError):
        return Verdict("fault", "the refusal is no JSON with error_code and message")
    if not answer.content_type.startswith(JSON):
        return Verdict("fault", f"the refusal has the content type {answer.content_type}")
    if "stack_trace" in error or "Traceback (most recent" in message or 'File "' in message:
        trace = str(error.get("stack_trace", message)).strip().rpartition("\n")[2]
        return Verdict("fault", "the refusal holds a traceback", trace)
    # MLflow's own refusals have another code, or say that the schema is at fault.
    if code != "INVALID_PARAMETER_VALUE" or error.get("error_class") == "SCHEMA_ENFORCEMENT_FAILED":
        named = any(column in message for column in request.columns)
        return Verdict("refused by MLflow", "", message, bool(request.columns) and not named)
    # MLflow shows the data, with the names of all columns, before what the model says.
    said = message.rpartition("\nError: ")[2]
    if request.columns and not any(column in said for column in request.columns):
        return Verdict("fault", "the model does not name the column", said)
    if request.row is not None and not re.search(rf"\brecord {request.row}\b", said):
        return Verdict("fault", "the model does not name the record", said)
    return Verdict("refused by the model", "", said)


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


def columns_of(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in record))


def split(records: Sequence[Record]) -> Any:
    names = columns_of(records)
    data = [[record.get(name) for name in names] for record in records]
    return {"dataframe_split": {"columns": names, "data": data}}


def by_column(records: Sequence[Record]) -> dict[str, list[Any]]:
    names = columns_of(records)
    return {name: [record.get(name) for record in records] for name in names}


JSON_FORMATS: dict[str, Callable[[Sequence[Record]], Any]] = {
    "dataframe_split": split,
    "dataframe_records": lambda records: {"dataframe_records": list(records)},
    "inputs": lambda records: {"inputs": by_column(records)},
    "inputs by row": lambda records: {"inputs": list(records)},
    "instances": lambda records: {"instances": list(records)},
    "instances by column": lambda records: {"instances": by_column(records)},
}
FORMATS = (*JSON_FORMATS, "csv", "parquet")
"""All that MLflow's server takes."""


def to_csv(records: Sequence[Record]) -> bytes:
    text = io.StringIO()
    names = columns_of(records)
    writer = csv.writer(text)
    writer.writerow(names)
    for record in records:
        writer.writerow([_csv_cell(record.get(name)) for name in names])
    # Half of a surrogate pair has no encoding.
    return text.getvalue().encode("utf-8", "replace")


def _csv_cell(value: Any) -> Any:
    if isinstance(value, Literal):
        return value.text
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def to_parquet(records: Sequence[Record]) -> bytes:
    import pandas as pd

    file = io.BytesIO()
    pd.DataFrame(list(records), columns=columns_of(records)).to_parquet(file)
    return file.getvalue()


def write(form: str, records: Sequence[Record]) -> tuple[bytes, str]:
    """The body and content type of records in one of ``FORMATS``.

    Raises:
        Exception: of pyarrow's, where Parquet cannot hold such values.
    """
    if form == "csv":
        return to_csv(records), CSV
    if form == "parquet":
        return to_parquet(records), PARQUET
    return to_json(JSON_FORMATS[form](records)), JSON


def good_request(model: Model, form: str, records: Sequence[Record]) -> Request:
    """A request that must be scored."""
    body, content_type = write(form, records)
    return Request("good", "score", body, content_type, count=len(records))


def http(
    body: bytes,
    *headers: tuple[str, str],
    line: str = "POST /invocations HTTP/1.1",
    length: int | None = None,
) -> bytes:
    """The bytes of an HTTP request."""
    given = {name.lower() for name, _ in headers}
    lines = [line, "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers)]
    if not given & {"transfer-encoding", "content-length"}:
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body
