"""Bad requests to a served model, how chance draws and writes them, and the judge of the answers.

All are records in JSON, and reach the model. What MLflow's server makes of broken HTTP, JSON, CSV
or Parquet is its own.
"""

from __future__ import annotations

import base64
import copy
import json
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Record = dict[str, Any]
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
    """A packaged model that requests are sent to.

    Attributes:
        name: for messages.
        folder: where it is packaged.
        columns: what it reads.
        formats: the formats in which the server takes good records of this model.
        records: good ones, in plain Python; bytes are sent in base64.
        scores: of these, as JSON has them.
    """

    name: str
    folder: Path
    columns: tuple[Column, ...]
    formats: tuple[str, ...]
    records: list[Record]
    scores: list[Record]


@dataclass(frozen=True)
class Request:
    """A request and what must come of it.

    Attributes:
        kind: the name of what is wrong with it.
        expect: ``"score"``, ``"refused"``, or ``"either"`` of the two.
        body: the bytes to send.
        count: how many scores there must be.
        columns: a refusal by the engine names one of them, if there are any.
        row: and this record.
    """

    kind: str
    expect: str
    body: bytes
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
    # An error of a component's own is told with the record alone, in a line after it.
    own = "\nin input, record " in message
    if request.columns and not own and not any(column in message for column in request.columns):
        return "fault", "the model does not name the column"
    if request.row is not None and not re.search(rf"\brecord {request.row}\b", message):
        return "fault", "the model does not name the record"
    return "refused by the model", ""


# --- Writing a request ----------------------------------------------------------------------------


def _encode(item: bytes) -> str:
    return base64.b64encode(item).decode()


def _by_column(records: Sequence[Record]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}


def _split(records: Sequence[Record]) -> dict[str, Any]:
    columns = _by_column(records)
    return {"columns": list(columns), "data": list(zip(*columns.values(), strict=True))}


FORMATS: dict[str, Callable[[Sequence[Record]], Any]] = {
    "dataframe_split": lambda records: {"dataframe_split": _split(records)},
    "dataframe_records": lambda records: {"dataframe_records": list(records)},
    "inputs": lambda records: {"inputs": _by_column(records)},
    "instances": lambda records: {"instances": list(records)},
}


def write(form: str, records: Sequence[Record]) -> bytes:
    """The bytes of a request of records in one of ``FORMATS``, bytes among them in base64."""
    return json.dumps(FORMATS[form](records), default=_encode).encode()


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
        body = write(form, records)
        return Request(f"{kind} in {form}", expect, body, count=len(records), **more)


# --- One value at fault ---------------------------------------------------------------------------


def _nest(depth: int, kind: type) -> Any:
    """A number within so many lists or dicts."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


_TYPES = ("number", "optional number", "integer", "boolean", "text", "list", "photo", "bytes")

# What must come of a value in a column of each type: S a score, R a refusal, E either of them.
# Either, where it is a number after all (True, "5", 1.5 among whole ones), which MLflow or the
# model may take, and where both readings are fair.
CELLS: dict[str, tuple[Any, str]] = {
    # number, optional number, integer, boolean, text, list or image, photo, bytes
    "null": (None, "R S R R R R R R"),
    "NaN": (math.nan, "R E R R R R R R"),
    "Infinity": (math.inf, "R R R R R R R R"),
    "-1e308": (-1e308, "R R R R R R R R"),
    "1e39": (1e39, "R E E R R R R R"),
    "5e-324": (5e-324, "S S E R R R R R"),
    "-0": (-0.0, "S S E E R R R R"),
    "a whole number": (7, "S S S R R R R R"),
    "a fraction": (1.5, "S S E R R R R R"),
    "true": (True, "E E E S R R R R"),
    "2**53 + 1": (2**53 + 1, "S S E R R R R R"),
    "-2**64": (-(2**64), "S S E R R R R R"),
    "400 digits": (10**400, "R R R R R R R R"),
    "a word": ("many", "R R R R R R R R"),
    "an empty string": ("", "R E R R E R R R"),
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
    "a deep list": (_nest(50, list), "R R R R R R R R"),
    "an object": ({"a": 1, "b": [{}]}, "R R R R R R R R"),
}


def _expected(column: Column, cell: str) -> str:
    name = {"image": "list"}.get(column.type, column.type)
    if column.optional and (cell in ("null", "NaN", "NaN in letters") or name == "number"):
        name = "optional number"
    letter = CELLS[cell][1].split()[_TYPES.index(name)]
    return {"S": SCORE, "R": REFUSED, "E": EITHER}[letter]


def _one_value(draw: Draw) -> Request:
    column = draw.column()
    name = draw.pick(list(CELLS))
    records = draw.records()
    row = draw.below(len(records))
    records[row][column.name] = CELLS[name][0]
    where = {"columns": (column.name,), "row": row}
    return draw.request(name, _expected(column, name), draw.form(), records, **where)


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
        items = "integer" if column.type == "image" else "number"
        expect = _expected(Column(column.name, items), name)
        if items == "number" and name in ("2**53 + 1", "-2**64"):
            expect = REFUSED  # MLflow, which would round it, leaves what is in lists to the model
    form = draw.form()
    where = {"columns": (column.name,), "row": row}
    return draw.request(f"{name} within", expect, form, records, **where)


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


def _good(draw: Draw) -> Request:
    names = [column.name for column in draw.model.columns]
    draw.chance.shuffle(names)
    records = [{name: record[name] for name in names} for record in draw.records()]
    return draw.request("columns in another order", SCORE, draw.form(), records)


def _missing_column(draw: Draw) -> Request:
    """Not there at all, under another name, or missing in one of several records."""
    column = draw.column()
    records = [*draw.records(), *draw.records()]
    name = draw.pick([None, column.name.upper(), f" {column.name}", f"{column.name}\u200b", ""])
    form, row = draw.form(), None
    if draw.chance.random() < 0.3:
        # MLflow itself refuses instances that do not all have the same columns.
        form, row = "dataframe_records", draw.below(len(records))
    for place, record in enumerate(records):
        if row in (None, place):
            cell = record.pop(column.name)
            if name is not None and row is None:
                record[name] = cell
    expect = SCORE if column.optional else REFUSED
    return draw.request("no such column", expect, form, records, columns=(column.name,), row=row)


def _extra_column(draw: Draw) -> Request:
    records = draw.records()
    extra = {"extra": draw.pick([cell for cell, _ in CELLS.values()])}
    if draw.chance.random() < 0.5:
        names = ["", " ", "\x00", "Größe 数", "predictions", "index", "0", "x" * 100_000, "%s"]
        extra = {draw.pick(names): 1.0}
    if draw.chance.random() < 0.2:
        extra = {f"extra {number}": number / 7 for number in range(5_000)}
    expect = EITHER if extra.get("extra") == "\ud800" else SCORE
    records = [{**record, **extra} for record in records]
    form = draw.form("dataframe_split", "dataframe_records")
    return draw.request("an extra column", expect, form, records)


def _nested(draw: Draw) -> Request:
    column, records = draw.column(), draw.records()
    row, depth = draw.below(len(records)), 51 + draw.below(200)
    records[row][column.name] = _nest(depth, draw.pick([list, dict]))
    where = {"columns": (column.name,), "row": row}
    return draw.request("nested", REFUSED, draw.form(), records, **where)


# Each is a named change to a good request, in whatever format chance picks.
_KINDS = {
    _one_value: 45,
    _value_in_a_list: 6,
    _broken_base64: 5,
    _good: 2,
    _missing_column: 3,
    _extra_column: 3,
    _nested: 3,
}
"""How often each comes."""


def make_request(model: Model, seed: int, number: int) -> Request:
    """Request ``number`` of a seed."""
    chance = random.Random(f"{seed} {model.name} {number}")
    (kind,) = chance.choices([*_KINDS], [*_KINDS.values()])
    return kind(Draw(model, chance))
