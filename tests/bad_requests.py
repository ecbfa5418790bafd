"""Bad requests to a served model, each with what must come of it."""

from __future__ import annotations

import base64
import math
import random
from collections.abc import Callable
from typing import Any

from request_parts import (
    CSV,
    EITHER,
    FORMATS,
    JSON,
    JSON_FORMATS,
    PARQUET,
    REFUSED,
    SCORE,
    Column,
    Draw,
    Literal,
    Model,
    Request,
    http,
    split,
    to_csv,
    to_json,
    to_parquet,
)

# --- A deck of kinds ------------------------------------------------------------------------------

# A named change to a good request, in whatever format chance picks.
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
    text = to_csv(draw.records()).decode()
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
        body = bytearray(to_parquet(draw.records()))
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
