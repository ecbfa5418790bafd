"""What the cells of a column become: one function for each kind, the same whatever they come from.

Where all cells of an array are of the kind already, as Arrow gives a CSV column that is all numbers
(``csv_files.py``), it is taken as it is; a test holds that this comes to the same as cell by cell.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import PurePath
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from barrage_mlflow.dataset.records.column_kinds import KINDS, Column
from barrage_mlflow.dataset.records.values import (
    EXACT,
    NUMBER,
    PLAIN,
    WHOLE,
    is_missing,
    lacking,
    lacks,
    native,
    objects,
    shown,
)
from barrage_mlflow.dataset.types import Array

_TRUTHS = {"true": True, "false": False}
_DIGITS = (
    "a double does not hold all its digits; declare the column as text, in dataset.columns: "
    '{"%s": "text"}'
)


class CellError(Exception):
    """A cell that its column's kind does not take.

    Attributes:
        row: its position.
        message: what was expected, what came and what to do.
    """

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row
        self.message = message


def to_kind(cells: Array, column: Column) -> Array:
    """The cells of a column in its kind.

    Args:
        cells: ``(rows, ...)`` numbers, truth values, dates or objects, as they were read.
        column: what is known of it; not a mixed one.

    Returns:
        ``(rows, ...)`` of the column's dtype, or of a narrower one that holds the same.

    Raises:
        CellError: a cell is not of the kind, or is missing where it may not be.

    Example:
        >>> to_kind(objects(["7", 8, None]), Column("a", "number")).tolist()
        [7.0, 8.0, nan]
    """
    typed = _as_it_is(cells, column)
    if typed is None:
        typed = _packed(_each(cells, column), column)
    return objects(typed.tolist()) if column.dtype == "object" != typed.dtype else typed


def _as_it_is(cells: Array, column: Column) -> Array | None:
    """The cells where all are of the kind already; None where that is to be seen one by one."""
    sort, kind = cells.dtype.kind, column.kind
    if kind == "list":
        if cells.shape[1:] != column.shape or not cells.shape[1:]:
            return None
        return cells if (sort, column.of) in _SAME and _is_exact(cells, column.of) else None
    if cells.ndim > 1:
        return None
    if (sort, kind) in _SAME:
        if column.missing and lacking(cells, column.missing).any():
            return None
        return cells if _is_exact(cells, kind) else None
    if kind == "text" and sort == "O" and set(map(type, cells)) <= {str, type(None)}:
        return cells if {"", *column.missing}.isdisjoint(cells) else None
    return None


_SAME = {
    *(("i", "whole"), ("u", "whole"), ("f", "number"), ("i", "number"), ("u", "number")),
    *(("b", "truth"), ("M", "datetime"), ("m", "duration")),
}
"""Dtypes that may hold a kind as they are."""


def _is_exact(cells: Array, kind: str) -> bool:
    """Whether numbers are finite, and come through the kind's dtype unchanged."""
    if not cells.size or cells.dtype.kind in "bMm":
        return True
    if cells.dtype.kind == "f":
        return not np.isinf(cells).any()
    if kind == "whole":
        return bool(cells.dtype != np.uint64 or cells.max() < 2**63)
    return cells.dtype.itemsize < 8 or bool(cells.min() >= -EXACT and cells.max() <= EXACT)


def _each(cells: Array, column: Column) -> list[Any]:
    """The cells one by one, None where there is no value."""
    convert = CONVERSIONS[column.kind]
    is_text = column.kind in ("text", "bytes")
    must_have = not column.optional and (
        column.kind in ("whole", "truth") or column.shape is not None
    )
    values: list[Any] = []
    for row, cell in enumerate(cells.tolist() if cells.ndim == 1 else list(cells)):
        cell = cell if isinstance(cell, np.ndarray) else native(cell)
        if lacks(cell, column.missing, is_text):
            if must_have:
                raise CellError(row, _no_value(column))
            values.append(None)
            continue
        try:
            values.append(convert(cell, column))
        except (ValueError, TypeError, OverflowError) as error:
            meaning, remedy = KINDS[column.kind].meaning, ""
            if column.format:
                meaning = meaning.replace("ISO 8601", column.format)
            if isinstance(error, _NotTakenError):
                meaning, remedy = error.meaning or meaning, error.remedy
            got = f"expected {meaning}, got {shown(_read_as(cell, column))}"
            raise CellError(row, f"{got}{remedy and '; '}{remedy}") from error
    return values


def _read_as(cell: Any, column: Column) -> Any:
    """A cell for a message: in letters as a reader has it where no other cell is a word."""
    if not isinstance(cell, str) or column.is_spelt:
        return cell
    text = cell.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if NUMBER.fullmatch(text) else cell


def _no_value(column: Column) -> str:
    kind = KINDS[column.kind]
    message = f"expected {kind.meaning}, got a missing value"
    if column.kind == "whole":
        message += (
            ", and no train record lacks one; fill it in, or declare the column as numbers, "
            f'in dataset.columns: {{"{column.name}": "number"}}'
        )
    return message


class _NotTakenError(ValueError):
    """Why a cell is not taken: what was expected more exactly, and what to do."""

    def __init__(self, meaning: str = "", remedy: str = "") -> None:
        super().__init__(meaning)
        self.meaning = meaning
        self.remedy = remedy


def _to_whole(cell: Any, column: Column) -> int:
    if isinstance(cell, str):
        text = cell.strip()
        cell = int(text) if WHOLE.fullmatch(text) else _to_number(text, column)
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        raise _NotTakenError
    if not math.isfinite(cell):
        raise _NotTakenError("a finite number")
    if isinstance(cell, float) and not (cell.is_integer() and abs(cell) < EXACT):
        raise _NotTakenError(remedy=_DIGITS % column.name if abs(cell) >= EXACT else "")
    if not -(2**63) <= cell < 2**63:
        raise _NotTakenError(
            "a whole number within int64", _DIGITS.partition("; ")[2] % column.name
        )
    return int(cell)


def _to_number(cell: Any, column: Column) -> float:
    if isinstance(cell, str):
        text = cell.strip()
        if not NUMBER.fullmatch(text):
            raise _NotTakenError
        cell = int(text) if WHOLE.fullmatch(text) else float(text)
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        raise _NotTakenError
    if isinstance(cell, int) and abs(cell) > EXACT:
        raise _NotTakenError("a number within 2^53", _DIGITS % column.name)
    if not math.isfinite(cell):
        raise _NotTakenError("a finite number")
    return float(cell)


def _to_truth(cell: Any, column: Column) -> bool:
    if isinstance(cell, str):
        text = cell.strip().lower()
        cell = float(text) if NUMBER.fullmatch(text) else _TRUTHS.get(text)
    return bool(cell) if isinstance(cell, (bool, int, float)) and cell in (0, 1) else _refuse()


def _refuse() -> Any:
    raise _NotTakenError


def _to_text(cell: Any, column: Column) -> str:
    # pandas makes 7.0 of 7 where another record has none.
    is_whole = type(cell) is float and cell.is_integer() and abs(cell) < EXACT
    if column.declared and (type(cell) is int or is_whole):
        return str(int(cell))
    return cell if isinstance(cell, str) else _refuse()


def _to_bytes(cell: Any, column: Column) -> bytes | str:
    if column.root and isinstance(cell, (str, PurePath)):
        return str(cell)  # the file is read when its record is
    if isinstance(cell, str):
        return base64.b64decode(cell, validate=True)
    if not isinstance(cell, (bytes, bytearray, memoryview)):
        raise _NotTakenError(column.root and f"the path of a file under {column.root}")
    return bytes(cell)


def _to_datetime(cell: Any, column: Column) -> datetime:
    if isinstance(cell, str):
        text = cell.strip()
        cell = (
            datetime.strptime(text, column.format)
            if column.format
            else datetime.fromisoformat(text)
        )
    elif isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, time())
    if not isinstance(cell, datetime):
        raise _NotTakenError
    if cell.tzinfo is None and column.zone:
        cell = cell.replace(tzinfo=ZoneInfo(column.zone))
    moment: datetime = cell if cell.tzinfo is None else cell.astimezone(UTC).replace(tzinfo=None)
    return moment


def _to_date(cell: Any, column: Column) -> date:
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return cell
    moment = _to_datetime(cell, column)
    return moment.date() if moment.time() == time() else _refuse()


def _to_time(cell: Any, column: Column) -> time:
    if isinstance(cell, str):
        if column.format:
            return datetime.strptime(cell.strip(), column.format).time()
        return time.fromisoformat(cell.strip())
    return cell if isinstance(cell, time) else _refuse()


_NUMBER = r"-?\d+(?:\.\d+)?"
_DURATIONS = [
    re.compile(text.replace("#", _NUMBER))
    for text in (
        "(?P<sign>[+-]?)P(?=[-T0-9])(?:(?P<weeks>#)W)?(?:(?P<days>#)D)?"
        "(?:T(?=[-0-9])(?:(?P<hours>#)H)?(?:(?P<minutes>#)M)?(?:(?P<seconds>#)S)?)?",
        r"(?P<sign>)(?P<days>-?\d+) days(?: \+?(?P<hours>\d+):(?P<minutes>\d+):(?P<seconds>#))?",
    )
]
"""Durations in letters: as ISO 8601, also with signs within as pandas has them; as in its CSV."""
_LONGEST = timedelta(microseconds=2**63 - 1)


def _to_duration(cell: Any, column: Column) -> timedelta:
    if isinstance(cell, str):
        text = cell.strip()
        parts = next(filter(None, (one.fullmatch(text) for one in _DURATIONS)), None) or _refuse()
        sign, *given = parts.groupdict("").items()
        found = timedelta(**{name: float(value) for name, value in given if value})
        cell = -found if sign[1] == "-" else found
    if not isinstance(cell, timedelta):
        raise _NotTakenError
    if abs(cell) > _LONGEST:
        raise _NotTakenError("a duration of less than 292,000 years")
    return cell


def _to_list(cell: Any, column: Column) -> Any:
    if isinstance(cell, str) and column.declared:
        cell = cell.split(column.separator) if column.separator else json.loads(cell)
    if not isinstance(cell, (list, np.ndarray)):
        raise _NotTakenError
    items = _items(cell, Column(column.name, column.of or "object"))
    if column.shape is None and not column.arrays:
        return items.tolist() if isinstance(items, np.ndarray) else items
    array = np.asarray(items, KINDS[column.of].dtype)
    if column.shape not in (None, array.shape):
        raise _NotTakenError(f"a list of shape {column.shape}, as every train record has it")
    return array


def _items(cell: Any, of: Column) -> Any:
    """The items of a list in their kind, at any depth: lists, or an array of numbers."""
    if of.kind == "object":
        return native(cell)
    array = cell if isinstance(cell, np.ndarray) else None
    if array is None and of.kind in ("whole", "number", "truth") and cell:
        with suppress(ValueError):  # lists of differing lengths
            array = np.array(cell)
            if array.dtype.kind == "f" and (np.abs(array) >= EXACT).any():
                array = None  # a whole number among them may have lost digits
    if array is not None and (array.dtype.kind, of.kind) in _SAME and _is_exact(array, of.kind):
        return array.astype(KINDS[of.kind].dtype)
    made = []
    for item in cell.tolist() if isinstance(cell, np.ndarray) else cell:
        if isinstance(item, (list, np.ndarray)):
            made.append(_items(item, of))
        elif is_missing(item):
            made.append(math.nan if of.kind == "number" else None)
        else:
            made.append(CONVERSIONS[of.kind](native(item), of))
    return made


def _to_object(cell: Any, column: Column) -> Any:
    # Lists, too: models that were packaged before there were kinds may have them as objects.
    return _refuse() if type(cell) in PLAIN else native(cell)


CONVERSIONS: dict[str, Callable[[Any, Column], Any]] = {
    "whole": _to_whole,
    "number": _to_number,
    "truth": _to_truth,
    "text": _to_text,
    "bytes": _to_bytes,
    "datetime": _to_datetime,
    "date": _to_date,
    "time": _to_time,
    "duration": _to_duration,
    "list": _to_list,
    "object": _to_object,
}
"""What makes a cell, in plain Python and not missing, one of a kind; a ValueError if it cannot."""


def _packed(values: list[Any], column: Column) -> Array:
    """Cells of a kind as an array."""
    if column.kind == "number":
        values = [math.nan if value is None else value for value in values]
    if column.dtype == "object" and column.shape is None:
        return objects(values)
    return np.array(values, column.dtype).reshape(len(values), *(column.shape or ()))


def handed_out(typed: Array, column: Column) -> list[Any]:
    """The native values of a column's cells, as a record has them.

    Example:
        >>> handed_out(np.array(["2026-01-02"], "datetime64[us]"), Column("a", "date"))
        [datetime.date(2026, 1, 2)]
    """
    if column.kind == "date":
        return [moment and moment.date() for moment in typed.tolist()]
    if column.kind in ("number", "list"):
        typed = typed.astype(column.dtype, copy=False)
    is_array = column.arrays and column.shape is not None
    values: list[Any] = list(typed) if is_array else typed.tolist()
    return values
