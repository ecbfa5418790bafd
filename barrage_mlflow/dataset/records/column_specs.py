"""The columns that scoring reads: learnt from the train records, held against those to score.

Records come from files, DataFrames and requests, which tell numbers, truth values and missing
values apart in ways of their own. Here they become what loading was used to in training, so that
one record has one score however it comes.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from barrage_mlflow.dataset.records.columns import is_missing, native, objects, shown
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.tables import no_such_column
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

_Wrong: TypeAlias = Callable[[int], Exception]
"""Makes the error for the cell of a row."""
_Conversion: TypeAlias = Callable[[Array, _Wrong], Array]
_TOO_LARGE = 2.0**63
"""The least double that is beyond int64."""


@dataclass(frozen=True)
class ColumnSpec:
    """A column of the records that scoring reads.

    Attributes:
        name: the record key.
        type: ``"integer"``, ``"double"``, ``"boolean"``, ``"string"``, ``"binary"`` for bytes, or
            ``"other"`` for lists, arrays and whatever else a record may hold.
        required: whether a record must have a value: every train record had one, and the loader
            cannot do without.

    Example:
        >>> ColumnSpec("bill_length_mm", "double", required=False).name
        'bill_length_mm'
    """

    name: str
    type: str
    required: bool


def text_columns(specs: Sequence[ColumnSpec]) -> list[str]:
    """The columns that a CSV file must be read as text for: postcodes may look like numbers.

    Example:
        >>> specs = [ColumnSpec("postcode", "string", True), ColumnSpec("age", "double", True)]
        >>> text_columns(specs)
        ['postcode']
    """
    return [spec.name for spec in specs if spec.type == "string"]


def look_at_columns(records: Records, names: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Of what type columns are, as in :class:`ColumnSpec`, and whether a record lacks a value.

    Args:
        records: they are read once, piece by piece.
        names: the columns.

    Raises:
        RecordError: a file is damaged.

    Example:
        >>> look_at_columns(Records.read([{"a": 1, "s": "x"}, {"a": 2, "s": None}]), ["a", "s"])
        {'a': ('integer', False), 's': ('string', True)}
    """
    types: dict[str, set[str]] = {name: set() for name in names}
    lacking = set()
    for piece in records.pieces(columns=names):
        for name in names:
            found, lacks = _look_at(piece[name])
            types[name] |= found
            if lacks:
                lacking.add(name)
    return {name: (_one_type(types[name]), name in lacking) for name in names}


def _look_at(column: Array) -> tuple[set[str], bool]:
    """The types of a column's values, and whether one is missing."""
    if column.ndim > 1:
        return {"other"}, False  # a record that holds a list lacks none
    if column.dtype != object:
        return {_TYPES[column.dtype.kind]}, bool(np.isnan(column).any())
    present = [cell for cell in column if cell is not None]
    return set(map(_type_of, present)), len(present) < len(column)


def _type_of(cell: Any) -> str:
    return "string" if isinstance(cell, str) else "binary" if isinstance(cell, bytes) else "other"


def _one_type(types: set[str]) -> str:
    # A column in which nothing is present is taken for one of strings.
    return "other" if len(types) > 1 else next(iter(types), "string")


def as_specified(records: Records, specs: Sequence[ColumnSpec]) -> Records:
    """The records with each column in its type, and a missing one that is not required added.

    A number may be spelt in letters, as it is in CSV, and bytes in base64, as they are in JSON.
    Whether a missing value is an error is for the components to say. Other columns stay as they
    are.

    Args:
        records: what is to be scored.
        specs: the columns, as ``describe_columns`` found them in training.

    Raises:
        RecordError: a required column is not there, or a value is not of its column's type.

    Example:
        >>> specs = [ColumnSpec("a", "double", True), ColumnSpec("s", "string", False)]
        >>> as_specified(Records.read([{"a": 1}]), specs)[0]
        {'a': 1.0, 's': None}
    """
    changed: dict[str, Array] = {}
    for spec in specs:
        convert = _CONVERSIONS.get(spec.type, _unchanged)
        is_there = spec.name in records.columns
        if spec.required and not is_there:
            raise RecordError(no_such_column(spec.name, records.columns, records.owner))
        cells = records.cells(spec.name) if is_there else np.full(len(records), None, object)
        typed = convert(cells, partial(_wrong_cell, records, spec, cells))
        if typed is not cells or not is_there:
            changed[spec.name] = typed
    return records.with_columns(changed) if changed else records


def _wrong_cell(records: Records, spec: ColumnSpec, cells: Array, row: int) -> RecordError:
    """The error for a cell that is not of its column's type."""
    return RecordError(
        f"{records.place(row)}, column '{spec.name}': expected {_MEANINGS[spec.type]}, "
        f"got {shown(native(cells[row]))}"
    )


def _unchanged(cells: Array, wrong: _Wrong) -> Array:
    return cells


def _doubles(cells: Array, wrong: _Wrong) -> Array:
    if cells.dtype.kind == "f":
        return cells
    if cells.dtype.kind in "iub":
        return cells.astype(np.float64)
    return np.array([_number(cell, row, wrong) for row, cell in enumerate(cells)], np.float64)


def _integers(cells: Array, wrong: _Wrong) -> Array:
    """Whole numbers; those that are not, or are missing, leave all of them float64."""
    if cells.dtype.kind == "i":
        return cells
    if cells.dtype.kind == "b":
        return cells.astype(np.int64)
    numbers = _doubles(cells, wrong)
    with np.errstate(invalid="ignore"):
        whole = (numbers == np.floor(numbers)) & (np.abs(numbers) < _TOO_LARGE)
    if not whole.all():
        return numbers
    if cells.dtype.kind == "f":
        return numbers.astype(np.int64)
    # A double has not all the digits of a large whole number.
    return np.array([cell if isinstance(cell, int) else int(float(cell)) for cell in cells])


def _booleans(cells: Array, wrong: _Wrong) -> Array:
    if cells.dtype.kind == "b":
        return cells
    truths = [_truth(cell, row, wrong) for row, cell in enumerate(cells.tolist())]
    return objects(truths) if None in truths else np.array(truths, np.bool_)


def _strings(cells: Array, wrong: _Wrong) -> Array:
    gone = [is_missing(cell) for cell in cells]
    for row, cell in enumerate(cells):
        if not gone[row] and not isinstance(cell, str):
            raise wrong(row)
    if not any(gone):
        return cells
    return objects([None if missing else cell for missing, cell in zip(gone, cells, strict=True)])


def _binaries(cells: Array, wrong: _Wrong) -> Array:
    return objects([_bytes(cell, row, wrong) for row, cell in enumerate(cells)])


def _bytes(cell: Any, row: int, wrong: _Wrong) -> bytes | None:
    if is_missing(cell) or isinstance(cell, bytes):
        return None if is_missing(cell) else cell
    if isinstance(cell, str):
        with suppress(ValueError):
            return base64.b64decode(cell, validate=True)
    raise wrong(row)


def _number(cell: Any, row: int, wrong: _Wrong) -> float:
    if is_missing(cell):
        return math.nan
    if isinstance(cell, (bool, int, float, str, np.number, np.bool_, Decimal)):
        with suppress(ValueError, OverflowError):
            return float(cell)
    raise wrong(row)


def _truth(cell: Any, row: int, wrong: _Wrong) -> bool | None:
    if is_missing(cell):
        return None
    if isinstance(cell, str) and cell.lower() in _TRUTHS:
        return _TRUTHS[cell.lower()]
    if isinstance(cell, (bool, int, float)) and cell in (0, 1):
        return bool(cell)
    raise wrong(row)


_TYPES = {"i": "integer", "u": "integer", "f": "double", "b": "boolean"}
_TRUTHS = {"true": True, "false": False}
_CONVERSIONS: dict[str, _Conversion] = {
    "double": _doubles,
    "integer": _integers,
    "boolean": _booleans,
    "string": _strings,
    "binary": _binaries,
}
_MEANINGS = {
    "double": "a number",
    "integer": "a number",
    "boolean": "true or false",
    "string": "a string",
    "binary": "bytes, in JSON and CSV as base64",
}
