"""Bad requests to a served model, each with what must come of it, and the judge of the answers.

A kind is a named change to a good request, in whatever format chance picks. ``make_request`` gives
number ``n`` of a seed, always the same one. What MLflow's server answers by itself, before it calls
the model, and not as the model's own answers must be, is in ``LISTED``, with the reason.
"""

from __future__ import annotations

import base64
import copy
import csv
import io
import json
import math
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


def _to_csv(records: Sequence[Record]) -> bytes:
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


def _to_parquet(records: Sequence[Record]) -> bytes:
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
        return http(_to_csv(records), CSV)
    if form == "parquet":
        return http(_to_parquet(records), PARQUET)
    return http(to_json(JSON_FORMATS[form](records)))


def good_request(form: str, records: Sequence[Record]) -> Request:
    """A request that must be scored."""
    return Request("good", SCORE, write(form, records), count=len(records))


# --- A deck of kinds ------------------------------------------------------------------------------


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


Kind = Callable[[Draw], Request]
_DECK: list[Kind] = []


def _kind(times: int = 1) -> Callable[[Kind], Kind]:
    """Put a function into the deck, so many times."""

    def put(made: Kind) -> Kind:
        _DECK.extend([made] * times)
        return made

    return put


def make_request(model: Model, seed: int, number: int) -> Request:
    """Request ``number`` of a seed: the deck is gone through in a new order in each round."""
    turn, place = divmod(number, len(_DECK))
    deck = random.Random(f"{seed} {model.name} round {turn}").sample(_DECK, len(_DECK))
    return deck[place](Draw(model, random.Random(f"{seed} {model.name} {number}")))


# --- One value at fault ---------------------------------------------------------------------------

_TYPES = ("number", "optional number", "integer", "boolean", "text", "list", "photo", "bytes")

# What must come of a value in a column of each type: S a score, R a refusal, E either of them.
# Either, where it is a number after all (True, "5", 1.5 among whole ones), which MLflow or the
# model may take, and where both readings are fair.
CELLS: dict[str, tuple[Any, str]] = {
    # number, optional number, integer, boolean, text, list or image, photo, bytes
    "null": (None, "R S R R R R R R"),
    "NaN": (math.nan, "R E R R R R R R"),
    "Infinity": (math.inf, "R R R R R R R R"),
    "1e400": (Literal("1e400"), "R R R R R R R R"),
    "-1e308": (-1e308, "R R R R R R R R"),
    "1e39": (1e39, "R E E R R R R R"),
    "5e-324": (5e-324, "S S E R R R R R"),
    "-0": (Literal("-0"), "S S S E R R R R"),
    "a whole number": (7, "S S S R R R R R"),
    "a fraction": (1.5, "S S E R R R R R"),
    "true": (True, "E E E S R R R R"),
    "2**53 + 1": (2**53 + 1, "S S E R R R R R"),
    "-2**64": (-(2**64), "S S E R R R R R"),
    "400 digits": (Literal("1" + "0" * 400), "R R R R R R R R"),
    "a word": ("many", "R R R R R R R R"),
    "an empty string": ("", "R E R R R R R R"),
    "a number in letters": ("5", "E E E R R R R R"),
    "1_000": ("1_000", "E E E R R R R R"),
    "0x10": ("0x10", "R R R R R R R R"),
    "true in letters": ("true", "R R R E R R R R"),
    "NaN in letters": ("NaN", "R E R R R R R R"),
    "inf in letters": ("inf", "R R R R R R R R"),
    "another script": ("Größe 数 \U0001f427 \u202e", "R R R R R R R R"),
    "a surrogate": ("\ud800", "R R R R R R R R"),
    "control characters": ("\x00\x1b[31m\r\n\t\x7f", "R R R R R R R R"),
    "quotes and braces": ("{{'\"%s}}\\<script>", "R R R R R R R R"),
    "a long string": ("very long " * 100_000, "R R R R R R R R"),
    "an empty list": ([], "R E R R R R R R"),
    "a list": ([1.5], "R R R R R R R R"),
    "a list of nothing": ([None], "R R R R R R R R"),
    "a ragged list": ([[1.0], [1.0, 2.0]], "R R R R R R R R"),
    "a deep list": (Literal("[" * 50 + "1" + "]" * 50), "R R R R R R R R"),
    "an object": ({"a": 1, "b": [{}]}, "R R R R R R R R"),
}
_CERTAIN_IN_CSV = {"null", "Infinity", "1e400", "-1e308"}
"""What a CSV file can hold too; all else is a word or a number there."""


def _expected(column: Column, cell: str) -> str:
    name = {"image": "list"}.get(column.type, column.type)
    if column.optional and (cell in ("null", "NaN", "NaN in letters") or name == "number"):
        name = "optional number"
    letter = CELLS[cell][1].split()[_TYPES.index(name)]
    return {"S": SCORE, "R": REFUSED, "E": EITHER}[letter]


@_kind(times=45)
def _one_value(draw: Draw) -> Request:
    column = draw.column()
    name = draw.pick(list(CELLS))
    expect = _expected(column, name)
    form = draw.form(*FORMATS)
    # Parquet has types of its own, which MLflow compares with the model's.
    if (form == "csv" and name not in _CERTAIN_IN_CSV) or (form == "parquet" and expect == SCORE):
        expect = EITHER
    records = draw.records(1 if form == "parquet" else 5)
    row = draw.below(len(records))
    records[row][column.name] = CELLS[name][0]
    return draw.request(name, expect, form, records, columns=(column.name,), row=row)


@_kind(times=6)
def _value_in_a_list(draw: Draw) -> Request:
    """A list of the right shape with one value of another kind in it, or of a wrong shape."""
    column = draw.column("list", "image")
    if column is None:
        return _one_value(draw)
    records = draw.records()
    row = draw.below(len(records))
    cell = records[row][column.name]
    shapes = {"one item too few": cell[:-1], "one item too many": [*cell, cell[-1]],
              "one level more": [cell], "a row of nothing": [*cell[:-1], None]}  # fmt: skip
    if draw.chance.random() < 0.3:
        name = draw.pick(list(shapes))
        records[row][column.name], expect = shapes[name], REFUSED
    else:
        name = draw.pick(list(CELLS))
        inner = draw.pick(cell) if column.type == "image" else cell
        inner[draw.below(len(inner))] = CELLS[name][0]
        expect = _expected(Column(column.name, "number"), name)
    form = draw.form()
    where = {"columns": (column.name,), "row": row}
    return draw.request(f"{name} within", expect, form, records, **where)


@_kind(times=5)
def _broken_base64(draw: Draw) -> Request:
    column = draw.column("photo", "bytes")
    if column is None:
        return _one_value(draw)
    records = draw.records()
    row = draw.below(len(records))
    cell = records[row][column.name]
    text = base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell
    content = base64.b64decode(text)
    others = [content + b"more"] * (column.type == "bytes")
    others += [b"something else entirely", content[: len(content) // 2]]
    broken = [text[:4] + "!" + text[5:], text[:4] + "!" + text[4:], text.rstrip("=")[:-1], "",
              text[: len(text) // 2 + 1], text[:4] + "\x00" + text[4:], "QQ==" + text,
              *(base64.b64encode(other).decode() for other in others)]  # fmt: skip
    records[row][column.name] = draw.pick(broken)
    where = {"columns": (column.name,), "row": row}
    return draw.request("broken base64", REFUSED, draw.form(), records, **where)


# --- Columns and rows -----------------------------------------------------------------------------


@_kind(times=2)
def _good(draw: Draw) -> Request:
    names = [column.name for column in draw.model.columns]
    draw.chance.shuffle(names)
    records = [{name: record[name] for name in names} for record in draw.records()]
    return draw.request("columns in another order", SCORE, draw.form(*JSON_FORMATS, "csv"), records)


@_kind(times=3)
def _missing_column(draw: Draw) -> Request:
    """Not there at all, under another name, or missing in one of several records."""
    column = draw.column()
    records = [*draw.records(), *draw.records()]
    name = draw.pick([None, column.name.upper(), f" {column.name}", f"{column.name}\u200b", ""])
    form, row = draw.form(*FORMATS), None
    if draw.chance.random() < 0.3:
        form, row = draw.form("dataframe_records", "instances"), draw.below(len(records))
    for place, record in enumerate(records):
        if row in (None, place):
            cell = record.pop(column.name)
            if name is not None and row is None:
                record[name] = cell
    expect = SCORE if column.optional else REFUSED
    return draw.request("no such column", expect, form, records, columns=(column.name,), row=row)


@_kind(times=3)
def _extra_column(draw: Draw) -> Request:
    records = draw.records()
    cells = [cell for cell, _ in CELLS.values() if not isinstance(cell, Literal)]
    extra = {"extra": draw.pick(cells)}
    if draw.chance.random() < 0.5:
        names = ["", " ", "\x00", "Größe 数", "predictions", "index", "0", "x" * 100_000, "%s"]
        extra = {draw.pick(names): 1.0}
    if draw.chance.random() < 0.2:
        extra = {f"extra {number}": number / 7 for number in range(5_000)}
    expect = EITHER if extra.get("extra") == "\ud800" else SCORE
    records = [{**record, **extra} for record in records]
    form = draw.form("dataframe_split", "dataframe_records")
    return draw.request("an extra column", expect, form, records)


@_kind(times=5)
def _odd_split(draw: Draw) -> Request:
    """``dataframe_split`` whose columns, rows or index are none, too few, too many or doubled."""
    records = draw.records()
    frame = split(records)["dataframe_split"]
    names, rows = frame["columns"], frame["data"]
    columns = [None, 5, "abc", {}, [], names[:-1], [*names, "more"], [None] * len(names),
               [1.5, *names[1:]], [names], ["\ud800", *names[1:]], [*names, names[0]]]  # fmt: skip
    data = [None, {}, [], [*rows, []], [*rows, None], [*rows, "row"], [*rows, rows[0][:-1]],
            [*rows, [*rows[0], 1.0]], [rows], [[]], 5, "text"]  # fmt: skip
    index = [[], [1] * (len(rows) + 1), 5, "ab", {}, [[1, 2]] * len(rows), ["\ud800"] * len(rows),
             [2**70] * len(rows), [math.nan] * len(rows)]  # fmt: skip
    key, values = draw.pick([("columns", columns), ("data", data), ("index", index), ("more", [1])])
    frame[key] = draw.pick(values)
    return Request(f"odd {key}", EITHER, http(to_json({"dataframe_split": frame})))


@_kind()
def _column_name_is_a_list(draw: Draw) -> Request:
    frame = split(draw.records())
    frame["dataframe_split"]["columns"][-1] = draw.pick([["a"], [], {}, {"a": 1}])
    name = "column name is a list"
    return Request(name, name, http(to_json(frame)))


# --- The whole of the body ------------------------------------------------------------------------

_ODD = [None, True, 5, -1.5, math.nan, "", "text", [], {}, [None], [[]], [{}], [5], ["ab"], [[1.0]],
        [[[]]], {"a": None}, {"a": []}, {"a": [1]}, {"a": {"b": {"c": []}}}, [[], [1], [1, 2]],
        {"": ""}, {"columns": [], "data": []}, "/etc/passwd", 2**70, "\ud800", "NaN"]  # fmt: skip


@_kind(times=3)
def _odd_payload(draw: Draw) -> Request:
    values = [draw.pick(_ODD), {}, {"data": draw.records()}, {draw.form(): draw.pick(_ODD)}]
    return Request("an odd payload", EITHER, http(to_json(draw.pick(values))))


@_kind(times=10)
def _random_place(draw: Draw) -> Request:
    """Any value in any place of a good request: whatever comes of it, it is a clean answer."""
    payload = JSON_FORMATS[draw.form()](draw.records())
    holder, key = payload, next(iter(payload))
    while isinstance(holder[key], (list, dict)) and holder[key] and draw.chance.random() < 0.75:
        holder = holder[key]
        key = draw.pick(range(len(holder)) if isinstance(holder, list) else list(holder))
    holder[key] = draw.pick(_ODD)
    may = "column name is a list"
    return Request("any value anywhere", EITHER, http(to_json(payload)), may=may)


@_kind(times=3)
def _nested(draw: Draw) -> Request:
    column, records = draw.column(), draw.records()
    row, depth = draw.below(len(records)), 51 + draw.below(1_000)
    pair = draw.pick([("[", "]"), ('{"a":', "}")])
    records[row][column.name] = Literal(pair[0] * depth + "1" + pair[1] * depth)
    more: dict[str, Any] = {"columns": (column.name,), "row": row}
    if depth > 300:
        return draw.request("nested", EITHER, draw.form(), records, may="nested too deep")
    return draw.request("nested", REFUSED, draw.form(), records, **more)


@_kind()
def _too_much_for_json(draw: Draw) -> Request:
    """What Python's own reader gives up on."""
    depth = draw.pick([2_000, 100_000])
    opened, closed = draw.pick([("[", "]"), ('{"a":', "}"), ("[", "")])
    digits = [{**record, "extra": Literal("7" * 5_000)} for record in draw.records()]
    name, body = draw.pick(
        [
            ("nested too deep", (opened * depth + "1" + closed * depth).encode()),
            ("thousands of digits", to_json(split(digits))),
        ]
    )
    return Request(name, name, http(body))


@_kind(times=3)
def _broken_json(draw: Draw) -> Request:
    text = draw.json().decode()
    bodies = [text + "}", text + text, text + "\x00", text.replace('"', "'"), text[:-1] + ",}",
              f"// comment\n{text}", f"callback({text})", text.replace(":", "="), text[1:], "nan",
              text.replace("[", "[,", 1), f"\ufeff\ufeff{text}", "undefined", "{", '"', "<xml/>",
              text.replace(": ", ": +", 1), "01", "0x10", '{"a": "\\x"}', '{"a": "\n"}', "\x00", "",
              " ", "null", text[: draw.below(len(text))]]  # fmt: skip
    return Request("broken JSON", REFUSED, http(draw.pick(bodies).encode()))


@_kind(times=4)
def _changed_bytes(draw: Draw) -> Request:
    """A few bytes of a good request changed, put in or taken away: often it is JSON still."""
    body = bytearray(draw.json())
    for _ in range(1 + draw.below(4)):
        place = draw.below(len(body))
        byte = draw.pick([draw.below(256), *b'0123456789-+.eE[]{}",: \\u'])
        body[place : place + draw.below(2)] = bytes([byte] * draw.below(2))
    bodies = [bytes(body), body.decode("latin-1").encode("utf-16"), bytes(body) + b"\xc0\x80"]
    # A quote taken from one list of names can put another list among them.
    return Request("changed bytes", EITHER, http(draw.pick(bodies)), may="column name is a list")


@_kind(times=3)
def _odd_csv(draw: Draw) -> Request:
    text = _to_csv(draw.records()).decode()
    head, _, rows = text.partition("\r\n")
    bodies = ["", "\n", ",", '"', head, rows, text * 2, text.replace(",", ";"), text + '"',
              text.replace("\r\n", ",1\r\n"), text + "1,2\n", f"{head},{head}\n{rows}",
              text.replace("\r\n", "\r"), "\ufeff" + text, text + "\x00", text.replace(",", '","'),
              text + ",".join(["1e999"] * 9), text + "9" * 5_000, draw.json().decode()]  # fmt: skip
    body = draw.pick(bodies).encode()
    return Request("odd CSV", EITHER, http(body, CSV), may="unreadable CSV")


@_kind(times=2)
def _odd_parquet(draw: Draw) -> Request:
    try:
        body = bytearray(_to_parquet(draw.records()))
    except Exception:
        body = bytearray(b"PAR1PAR1")
    body[draw.below(len(body))] ^= 1 << draw.below(8)
    bodies = [bytes(body), bytes(body[: draw.below(len(body))]), draw.json(), b"", b"PAR1" * 99]
    return Request(
        "odd Parquet", EITHER, http(draw.pick(bodies), PARQUET), may="unreadable Parquet"
    )


# --- HTTP -----------------------------------------------------------------------------------------


@_kind(times=2)
def _content_type(draw: Draw) -> Request:
    types = [None, "", "text/plain", "application/octet-stream", "APPLICATION/JSON", "json",
             "application/json; charset=latin-1", "application/json; v=1", ";", "=",
             "application/json, text/csv", "\xff\xfe", "a" * 5_000]  # fmt: skip
    content_type = draw.pick(types)
    name = "no content type" if content_type is None else "another content type"
    return Request(name, name, http(draw.json(), content_type))


@_kind(times=2)
def _cut_off(draw: Draw) -> Request:
    """The connection is closed for writing with less sent than announced."""
    body = draw.json()
    wires = [http(body, length=len(body) + 100), http(body[: len(body) // 2], length=len(body)),
             http(b"5\r\n{", JSON, "Transfer-Encoding: chunked"), http(body)[:30], b""]  # fmt: skip
    return Request("body cut off", "body cut off", draw.pick(wires))


@_kind(times=2)
def _no_such_route(draw: Draw) -> Request:
    lines = [f"{name} /invocations" for name in ("GET", "PUT", "DELETE", "OPTIONS", "BREW")]
    paths = ("/", "/nowhere", "/INVOCATIONS", "//invocations", "/../etc/passwd", "/%00")
    lines += [f"POST {path}" for path in paths]
    wire = http(draw.json(), line=f"{draw.pick(lines)} HTTP/1.1")
    return Request("no such route", "no such route", wire)


@_kind(times=2)
def _not_http(draw: Draw) -> Request:
    body = draw.json()
    wires = [body + b"\r\n\r\n", b"POST\r\n\r\n", http(body, line="POST /invocations"),
             http(body, line="POST /invoc ations HTTP/1.1"), http(body, JSON, "Content-Length: -5"),
             http(body, JSON, *(f"X-{number}: {'a' * 99}" for number in range(2_000))),
             http(b"zz\r\n{}\r\n", JSON, "Transfer-Encoding: chunked"),
             http(body, JSON, "a\x00b: c"), b"\x16\x03\x01\x02\x00\x01\r\n\r\n"]  # fmt: skip
    return Request("not HTTP", "not HTTP", draw.pick(wires))
