"""Bad requests to a served model, each with what must come of it.

All are records in JSON, and reach the model. What MLflow's server makes of broken HTTP, JSON, CSV
or Parquet is its own.
"""

from __future__ import annotations

import base64
import math
import random
from typing import Any

from request_parts import (
    EITHER,
    REFUSED,
    SCORE,
    Column,
    Draw,
    Literal,
    Model,
    Request,
)

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
        expect = _expected(Column(column.name, "number"), name)
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


def _nested(draw: Draw) -> Request:
    column, records = draw.column(), draw.records()
    row, depth = draw.below(len(records)), 51 + draw.below(200)
    pair = draw.pick([("[", "]"), ('{"a":', "}")])
    records[row][column.name] = Literal(pair[0] * depth + "1" + pair[1] * depth)
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
