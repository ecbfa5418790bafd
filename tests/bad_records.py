"""Bad requests that hold records: wrong values, columns and rows, in every format."""

from __future__ import annotations

import base64
import copy
import functools
import math
import zlib
from typing import Any

from request_deck import EITHER, RARE, REFUSED, SCORE, Draw, at, kind
from serving_requests import (
    CSV,
    FORMATS,
    Column,
    Literal,
    Request,
    by_column,
    split,
    to_json,
)

# --- One value at fault ---------------------------------------------------------------------------

_HUGE = "1" + "0" * 400
_DEEP: Any = functools.reduce(lambda inner, _: [inner], range(50), 1.0)
_LONG = "very long " * 100_000

_TYPES = ("number", "optional number", "integer", "boolean", "text", "lenient text", "list",
          "photo", "bytes")  # fmt: skip

# What must come of a value in a column of each type: S a score, R a refusal, E either of them.
# Either, where it is a number after all (True, "5", 1.5 among whole ones), which MLflow or the
# model may take; where the project's own components may make something of it; and where both
# readings are fair.
CELLS: dict[str, tuple[Any, str]] = {
    # number, optional number, integer, boolean, text, lenient text, list or image, photo, bytes
    "null": (None, "R S R R R S R R R"),
    "NaN": (math.nan, "R E R R R E R R R"),
    "Infinity": (math.inf, "R R R R R E R R R"),
    "-Infinity": (-math.inf, "R R R R R E R R R"),
    "1e400": (Literal("1e400"), "R R R R R E R R R"),
    "1e308": (1e308, "R R R R R E R R R"),
    "-1e308": (-1e308, "R R R R R E R R R"),
    "1e39": (1e39, "R E E R R E R R R"),
    "5e-324": (5e-324, "S S E R R E R R R"),
    "1e-400": (Literal("1e-400"), "S S E E R E R R R"),
    "-0": (Literal("-0"), "S S S E R E R R R"),
    "-0.0": (Literal("-0.0"), "S S E E R E R R R"),
    "a whole number": (7, "S S S R R E R R R"),
    "a whole number as a float": (7.0, "S S E R R E R R R"),
    "a fraction": (1.5, "S S E R R E R R R"),
    "true": (True, "E E E S R E R R R"),
    "2**31": (2**31, "S S E R R E R R R"),
    "2**53 + 1": (2**53 + 1, "S S E R R E R R R"),
    "2**63": (2**63, "S S E R R E R R R"),
    "-2**64": (-(2**64), "S S E R R E R R R"),
    "10**30": (10**30, "E E E R R E R R R"),
    "400 digits": (Literal(_HUGE), "R R R R R E R R R"),
    "4,300 digits": (Literal("9" * 4300), "R R R R R E R R R"),
    "a word": ("many", "R R R R R S R R R"),
    "an empty string": ("", "R E R R R E R R R"),
    "a blank": (" ", "R E R R R E R R R"),
    "a number in letters": ("5", "E E E R R E R R R"),
    "a fraction in letters": ("1.5", "E E E R R E R R R"),
    "1_000": ("1_000", "E E E R R E R R R"),
    "0x10": ("0x10", "R R R R R E R R R"),
    "Arabic digits": ("\u0663", "E E E R R E R R R"),
    "true in letters": ("true", "R R R E R E R R R"),
    "NaN in letters": ("NaN", "R E R R R E R R R"),
    "inf in letters": ("inf", "R R R R R E R R R"),
    "1e400 in letters": ("1e400", "R R R R R E R R R"),
    "None in letters": ("None", "R E R R R E R R R"),
    "NA in letters": ("NA", "R E R R R E R R R"),
    "a date": ("2024-02-30", "R R R R R S R R R"),
    "another script": ("Größe 数 \U0001f427 \u202e", "R R R R R S R R R"),
    "a surrogate": ("\ud800", "R R R R R E R R R"),
    "NUL": ("a\x00b", "R R R R R E R R R"),
    "control characters": ("\x1b[31m\r\n\t\x7f", "R R R R R E R R R"),
    "quotes and braces": ("{{'\"%s}}\\", "R R R R R S R R R"),
    "markup": ("<script>&amp;</script>", "R R R R R S R R R"),
    "a long string": (_LONG, "R R R R R E R R R"),
    "an empty list": ([], "R E R R R E R R R"),
    "a list": ([1.5], "R R R R R E R R R"),
    "a list of words": (["a", "b"], "R R R R R E R R R"),
    "a list of nothing": ([None], "R R R R R E R R R"),
    "a ragged list": ([[1.0], [1.0, 2.0]], "R R R R R E R R R"),
    "a deep list": (_DEEP, "R R R R R E R R R"),
    "an empty object": ({}, "R R R R R E R R R"),
    "an object": ({"a": 1, "b": [{}]}, "R R R R R E R R R"),
    "an object with the key twice": (Literal('{"a": 1, "a": 2}'), "R R R R R E R R R"),
}
_MISSING = {"null", "NaN", "NaN in letters"}
_CERTAIN_IN_CSV = {"null", "Infinity", "-Infinity", "1e400", "1e308", "-1e308"}
"""What a CSV file can say too; all else is a word or a number there."""


def _expected(column: Column, cell: str) -> str:
    name = {"image": "list"}.get(column.type, column.type)
    if name == "number" and column.optional:
        name = "optional number"
    if name == "text" and column.lenient:
        name = "lenient text"
    if cell in _MISSING and (column.lenient or column.optional):
        return SCORE if column.optional and cell == "null" else EITHER
    letter = CELLS[cell][1].split()[_TYPES.index(name)]
    return {"S": SCORE, "R": REFUSED, "E": EITHER}[letter]


@kind(times=45)
def _one_value(draw: Draw) -> Request:
    column = draw.column()
    name = draw.chance.choice(list(CELLS))
    expect = _expected(column, name)
    form = draw.form(*FORMATS)
    # Parquet has types of its own, which MLflow compares with the model's.
    if (form == "csv" and name not in _CERTAIN_IN_CSV) or (form == "parquet" and expect == SCORE):
        expect = EITHER
    records = draw.records(1 if form == "parquet" else 5)
    row = draw.chance.randrange(len(records))
    records[row][column.name] = CELLS[name][0]
    return draw.request(name, expect, form, records, **at(column, row))


@kind(times=6)
def _value_in_a_list(draw: Draw) -> Request:
    """A list of the right shape with one value of another kind in it, or of a wrong shape."""
    lists = [column for column in draw.model.columns if column.type in ("list", "image")]
    if not lists:
        return _one_value(draw)
    column = draw.chance.choice(lists)
    records = draw.records()
    row = draw.chance.randrange(len(records))
    cell = records[row][column.name]
    if draw.chance.random() < 0.3:
        name, value = draw.chance.choice(list(_shapes(cell).items()))
        records[row][column.name] = value
        expect = REFUSED
    else:
        name = draw.chance.choice(list(CELLS))
        inner = draw.chance.choice(cell) if column.type == "image" else cell
        inner[draw.chance.randrange(len(inner))] = CELLS[name][0]
        expect = _expected(Column(column.name, "number"), name)
    form = draw.form()
    return draw.request(f"{name} within", expect, form, records, **at(column, row))


def _shapes(cell: list[Any]) -> dict[str, Any]:
    longer = [*cell, copy.deepcopy(cell[-1])]
    shapes = {"one item too few": cell[:-1], "one item too many": longer, "one level more": [cell]}
    if isinstance(cell[0], list):
        shapes |= {
            "a ragged row": [*cell[:-1], cell[-1][:-1]],
            "a row of nothing": [*cell[:-1], None],
            "a number for a row": [*cell[:-1], 1.0],
            "one level less": [item for inner in cell for item in inner],
        }
    return shapes


def _png(width: int, height: int, rows: int) -> bytes:
    """A PNG file that claims a size, and holds so many black rows."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checked = name + content
        return len(content).to_bytes(4) + checked + zlib.crc32(checked).to_bytes(4)

    header = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 0, 0, 0, 0])
    pixels = zlib.compress(bytes((1 + width) * rows), 9)
    head = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return head + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _broken_base64(text: str) -> dict[str, tuple[str, str]]:
    """Base64 that is none, or not the right thing: each with what must come of it."""

    def encoded(content: bytes) -> str:
        return base64.b64encode(content).decode()

    content = base64.b64decode(text)
    return {
        "a character that base64 lacks": (text[:4] + "!" + text[5:], REFUSED),
        "a character too many": (text[:4] + "!" + text[4:], REFUSED),
        "no padding": (text.rstrip("=")[:-1], REFUSED),
        "base64 cut off": (text[: len(text) // 2 + 1], REFUSED),
        "a line break in base64": (text[:4] + "\n" + text[4:], EITHER),
        "a NUL in base64": (text[:4] + "\x00" + text[4:], REFUSED),
        "padding within base64": ("QQ==" + text, REFUSED),
        "base64 of the wrong length": (encoded(content + b"more"), EITHER),
        "base64 of nothing": ("", REFUSED),
        "base64 of something else": (encoded(b"something else entirely"), REFUSED),
        "base64 of a cut off file": (encoded(content[: len(content) // 2]), REFUSED),
        "base64 of an image of another size": (encoded(_png(3, 9, 9)), REFUSED),
        "base64 of an image that is a bomb": (encoded(_png(60_000, 60_000, 100)), REFUSED),
    }


@kind(times=5)
def _broken_bytes(draw: Draw) -> Request:
    held = [column for column in draw.model.columns if column.type in ("photo", "bytes")]
    if not held:
        return _one_value(draw)
    column = draw.chance.choice(held)
    records = draw.records()
    row = draw.chance.randrange(len(records))
    cell = records[row][column.name]
    text = base64.b64encode(cell).decode() if isinstance(cell, bytes) else cell
    name, (value, expect) = draw.chance.choice(list(_broken_base64(text).items()))
    if column.type == "bytes" and name == "base64 of the wrong length":
        expect = REFUSED
    records[row][column.name] = value
    form = draw.form("dataframe_split", "dataframe_records", "inputs", "instances")
    return draw.request(name, expect, form, records, **at(column, row))


# --- Columns --------------------------------------------------------------------------------------


@kind(times=2)
def _good(draw: Draw) -> Request:
    return draw.request("good", SCORE, draw.form(*FORMATS), draw.records())


@kind(times=3)
def _missing_column(draw: Draw) -> Request:
    column = draw.column()
    records = draw.records()
    for record in records:
        del record[column.name]
    expect = SCORE if column.optional else REFUSED
    return draw.request("no such column", expect, draw.form(*FORMATS), records, **at(column))


@kind()
def _only_one_column(draw: Draw) -> Request:
    column = draw.column()
    records = [{column.name: record[column.name]} for record in draw.records()]
    others = tuple(each.name for each in draw.model.columns if each != column and not each.optional)
    return draw.request("one column alone", REFUSED, draw.form(*FORMATS), records, columns=others)


@kind()
def _renamed_column(draw: Draw) -> Request:
    column = draw.column()
    name = draw.chance.choice([column.name.upper(), f" {column.name}", f"{column.name}\u200b", ""])
    records = draw.records()
    for record in records:
        record[name] = record.pop(column.name)
    expect = SCORE if column.optional else REFUSED
    return draw.request("another name", expect, draw.form(), records, **at(column))


@kind()
def _column_missing_in_one_record(draw: Draw) -> Request:
    column = draw.column()
    records = [*draw.records(), *draw.records()]
    row = draw.chance.randrange(len(records))
    del records[row][column.name]
    expect = _expected(column, "null")
    form = draw.form("dataframe_records", "inputs by row")
    return draw.request("missing in one record", expect, form, records, **at(column, row))


@kind(times=2)
def _extra_column(draw: Draw) -> Request:
    value, _ = draw.chance.choice([cell for name, cell in CELLS.items() if name != "a surrogate"])
    records = draw.records()
    for record in records:
        record["extra"] = value
    form = draw.form("dataframe_split", "dataframe_records")
    # pandas keeps a column in as narrow a type as holds it, and not every number has one.
    expect = EITHER if isinstance(value, Literal) else SCORE
    return draw.request("an extra column", expect, form, records)


@kind()
def _strange_extra_column(draw: Draw) -> Request:
    names = ["", " ", "\x00", "\ud800", "Größe 数", "predictions", "index", "0", "x" * 100_000,
             "__class__", "columns", "self", "{0}", "%s"]  # fmt: skip
    records = draw.records()
    name = draw.chance.choice(names)
    for record in records:
        record[name] = 1.0
    expect = EITHER if name == "\ud800" else SCORE
    form = draw.form("dataframe_split", "dataframe_records", "inputs by row")
    return draw.request("an extra column of a strange name", expect, form, records)


@kind()
def _thousands_of_columns(draw: Draw) -> Request:
    records = draw.records(2)
    for record in records:
        record.update({f"extra {number}": number / 7 for number in range(5_000)})
    form = draw.form("dataframe_split", "dataframe_records")
    return draw.request("5,000 extra columns", SCORE, form, records)


@kind()
def _duplicate_column(draw: Draw) -> Request:
    payload = split(draw.records())
    frame = payload["dataframe_split"]
    place = frame["columns"].index(draw.column().name)
    frame["columns"].append(frame["columns"][place])
    for row in frame["data"]:
        row.append(copy.deepcopy(row[place]))
    return Request("a column twice", EITHER, to_json(payload), count=len(frame["data"]))


@kind()
def _duplicate_key(draw: Draw) -> Request:
    (record,) = draw.records(1)
    column = draw.column()
    inner = to_json(record).decode().strip("{}")
    again = to_json({column.name: record[column.name]}).decode().strip("{}")
    payload = {"dataframe_records": [Literal("{" + f"{inner}, {again}" + "}")]}
    return Request("a key twice", SCORE, to_json(payload), count=1)


@kind()
def _reordered(draw: Draw) -> Request:
    names = [column.name for column in draw.model.columns]
    draw.chance.shuffle(names)
    records = [{name: record[name] for name in names} for record in draw.records()]
    return draw.request("columns in another order", SCORE, draw.form(), records)


@kind()
def _column_names(draw: Draw) -> Request:
    """``dataframe_split`` whose ``columns`` are no list of names."""
    records = draw.records()
    frame = split(records)["dataframe_split"]
    names = frame["columns"]
    shuffled = [[name, name] for name in names]
    values = [None, 5, "abc", {}, [], names[:-1], [*names, "more"], [None] * len(names), shuffled,
              list(range(len(names))), [True, *names[1:]], [1.5, *names[1:]], [None, *names[1:]],
              [names], {name: name for name in names}, ["\ud800", *names[1:]]]  # fmt: skip
    frame["columns"] = draw.chance.choice(values)
    return Request("columns that are no names", EITHER, to_json({"dataframe_split": frame}))


@kind()
def _column_name_is_a_list(draw: Draw) -> Request:
    frame = split(draw.records())["dataframe_split"]
    frame["columns"][-1] = draw.chance.choice([["a"], [], {}, {"a": 1}])
    return Request("a column name that is a list", "column name is a list",
                   to_json({"dataframe_split": frame}))  # fmt: skip


# --- Rows -----------------------------------------------------------------------------------------


@kind(times=2)
def _no_rows(draw: Draw) -> Request:
    names = [column.name for column in draw.model.columns]
    empty: dict[str, list[Any]] = {name: [] for name in names}
    payloads = [{"dataframe_split": {"columns": names, "data": []}}, {"dataframe_records": []},
                {"inputs": empty}, {"inputs": []}, {"instances": []}, {"instances": empty},
                {"dataframe_split": {"columns": names, "data": None}},
                {"dataframe_split": {"columns": names, "data": {}}}]  # fmt: skip
    place = draw.chance.randrange(len(payloads) + 1)
    if place == len(payloads):
        body = ",".join(names).encode()
        return Request("no rows", EITHER, body, CSV, count=0, may=("unreadable CSV",))
    return Request("no rows", EITHER, to_json(payloads[place]), count=0)


@kind(times=2)
def _row_of_another_length(draw: Draw) -> Request:
    payload = split(draw.records())
    rows = payload["dataframe_split"]["data"]
    row = rows[draw.chance.randrange(len(rows))]
    if draw.chance.random() < 0.5:
        del row[draw.chance.randrange(len(row)) :]
    else:
        row.extend([1.0] * draw.chance.randint(1, 9))
    # A last column that is optional may be missing in a row: pandas fills it up.
    return Request("a row of another length", EITHER, to_json(payload))


@kind()
def _columns_of_differing_length(draw: Draw) -> Request:
    records = [*draw.records(), *draw.records()]
    columns = by_column(records)
    del columns[draw.column().name][-1]
    form = draw.form("inputs", "instances")
    return Request(f"a column that is shorter in {form}", EITHER, to_json({form: columns}))


@kind()
def _rows_that_are_none(draw: Draw) -> Request:
    records: list[Any] = draw.records()
    value = draw.chance.choice([None, 5, "row", [], [1.0], True, {}, [[]], {"a": {"b": []}}])
    records.insert(draw.chance.randint(0, len(records)), value)
    form = draw.form("dataframe_records", "inputs", "instances")
    return Request(f"a row that is none in {form}", EITHER, to_json({form: records}))


@kind(times=2)
def _index(draw: Draw) -> Request:
    records = draw.records()
    count = len(records)
    payload = split(records)
    wrong = [[], [1] * (count + 1), 5, "ab", {}, {"a": 1}, [{}] * count, [[]] * count,
             [[1, 2]] * count, [[1], *[[1, 2]] * (count - 1)], ["\ud800"] * count]  # fmt: skip
    right = [None, list(range(count)), [0] * count, [None] * count,
             [f"row {n}" for n in range(count)], [2**70] * count, [math.nan] * count]  # fmt: skip
    expect, values = draw.chance.choice([(EITHER, wrong), (SCORE, right)])
    payload["dataframe_split"]["index"] = draw.chance.choice(values)
    # A single row is repeated for an index that is longer.
    return Request("an index", expect, to_json(payload), count=count if expect == SCORE else None)


@kind(into=RARE)
def _many_rows(draw: Draw) -> Request:
    form = draw.form("dataframe_split", "dataframe_records")
    records = draw.many()
    return draw.request(f"{len(records):,} rows", SCORE, form, records)


@kind(into=RARE)
def _one_of_many_rows(draw: Draw) -> Request:
    column = draw.number()
    records = draw.many()
    row = draw.chance.randrange(len(records))
    records[row] = {**records[row], column.name: math.inf}
    form = draw.form("dataframe_split", "dataframe_records")
    name = f"Infinity in one of {len(records):,} rows"
    return draw.request(name, REFUSED, form, records, **at(column, row))
