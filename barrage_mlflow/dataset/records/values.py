"""Values as they are read: which are missing, and what they are in plain Python and in arrays."""

from __future__ import annotations

import math
import re
import reprlib
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from barrage_mlflow.dataset.records.column_kinds import WORDS
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

PLAIN = frozenset({int, float, str, bool, type(None)})
"""Types of plain Python."""
WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)", re.ASCII)
"""A whole number in letters."""
NUMBER = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A number in letters: JSON's, and with a plus, or without a digit on one side of the point."""
EXACT = 2**53
"""Up to here a double holds every whole number."""

# pandas' own missing values, told by name: pandas need not be imported to know them.
_MISSING_NAMES = frozenset({"NAType", "NaTType"})


def is_missing(value: Any) -> bool:
    """Whether a cell holds no value: None, NaN, ``pandas.NA`` or ``pandas.NaT``.

    Example:
        >>> [is_missing(v) for v in (None, float("nan"), 0, "", [])]
        [True, True, False, False, False]
    """
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return bool(value != value)
    return type(value).__name__ in _MISSING_NAMES


def lacks(cell: Any, missing: tuple[str, ...] = (), is_text: bool = False) -> bool:
    """Whether a cell means that there is no value.

    Args:
        cell: as it was read.
        missing: words that mean so in this column.
        is_text: whether the usual words, ``NA`` and the like, are words as any other.

    Example:
        >>> lacks("NA"), lacks("NA", is_text=True), lacks("", is_text=True), lacks("-", ("-",))
        (True, False, True, True)
    """
    if isinstance(cell, str):
        if is_text:
            return cell == "" or cell in missing
        cell = cell.strip()
        if cell in ("", *missing) or cell in WORDS:
            return True
        cell = float(cell) if missing and NUMBER.fullmatch(cell) else cell
    if isinstance(cell, bytes):
        return not cell  # as in letters
    if missing and isinstance(cell, (int, float)) and not isinstance(cell, bool):
        return cell != cell or cell in _numbers(missing)
    return is_missing(cell)


def lacking(cells: Array, missing: tuple[str, ...] = ()) -> Array:
    """Which of an array's numbers, truth values or dates mean that there is no value.

    Args:
        cells: ``(rows,)``, no objects.
        missing: words that mean so in this column.

    Returns:
        ``(rows,) bool``.

    Example:
        >>> lacking(np.array([1.0, math.nan, -999.0]), ("-", "-999")).tolist()
        [False, True, True]
    """
    gone: Array = cells != cells  # as NaN and NaT are
    numbers = _numbers(missing)
    if numbers and cells.dtype.kind in "iuf":
        gone |= np.isin(cells, [*numbers])
    return gone


@lru_cache
def _numbers(words: tuple[str, ...]) -> frozenset[float]:
    """The numbers among words that mean a missing value."""
    return frozenset(float(word) for word in words if NUMBER.fullmatch(word))


def native(value: Any) -> Any:
    """``value`` in plain Python: NumPy scalars and arrays, timestamps, decimals, tuples undone.

    Containers come out as new objects, at every depth.

    Example:
        >>> import numpy as np
        >>> native({"a": np.float32(0.5), "b": np.arange(3), "c": (1, None)})
        {'a': 0.5, 'b': [0, 1, 2], 'c': [1, None]}
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is list or kind is tuple:
        return [native(item) for item in value]
    if kind is dict:
        return {key: native(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "iufbU":
            return value.tolist()
        return native(list(value)) if value.ndim else native(value[()])
    if isinstance(value, (np.datetime64, np.timedelta64)):
        # Finer than a microsecond, NumPy would hand out a bare integer.
        return value.astype(f"{value.dtype.str[1]}8[us]").item()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Decimal):
        return float(value)
    if kind.__name__ in _MISSING_NAMES:
        return None
    if kind.__name__ == "Timestamp":
        return value.to_pydatetime(warn=False)
    if kind.__name__ == "Timedelta":
        return value.to_pytimedelta()
    return value


def objects(cells: list[Any]) -> Array:
    """An object array ``(cells,)``, also where a cell is a list."""
    return np.fromiter(cells, dtype=object, count=len(cells))


def array_of(cells: list[Any]) -> Array:
    """Cells as an array: of numbers where all are of one type, stacked lists, else objects.

    Example:
        >>> array_of([1, 2]), array_of([1, None]), array_of([[1, 2], [3, 4]]).shape
        (array([1, 2]), array([1, None], dtype=object), (2, 2))
    """
    types = set(map(type, cells))
    if np.ndarray in types:
        cells = [c[()] if isinstance(c, np.ndarray) and not c.ndim else c for c in cells]
        types = set(map(type, cells))
    try:
        if types == {int}:
            return np.array(cells, np.int64)
        if types in ({float}, {bool}):
            return np.array(cells)
        if types == {list}:
            # Of whole numbers, or of others: not of both, or digits would go.
            stacked = np.array(cells)
            if stacked.dtype.kind in "iufb" and (stacked.dtype.kind != "f" or _are_floats(cells)):
                return stacked
    except (ValueError, OverflowError):  # lists that differ in shape; numbers beyond int64
        pass
    return objects(cells)


def _are_floats(cell: Any) -> bool:
    """Whether there are no whole numbers in lists."""
    return all(map(_are_floats, cell)) if isinstance(cell, list) else isinstance(cell, float)


def shown(value: Any) -> str:
    """A value as messages show it: cut where it is long, with its type where that matters.

    Example:
        >>> shown("many"), shown(None), shown(0.5)
        ("'many' (str)", 'a missing value', '0.5')
    """
    if value is None:
        return "a missing value"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "a missing value (NaN)"
        return f"{float(value)!r}"
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def join(arrays: list[Array]) -> Array:
    """Arrays of one shape side by side on a new last axis: ``(..., len(arrays))``.

    Raises:
        RecordError: their shapes differ.

    Example:
        >>> join([np.array([1, 2]), np.array([0.5, 1.5])]).tolist()
        [[1.0, 0.5], [2.0, 1.5]]
    """
    shapes = {array.shape for array in arrays}
    if len(shapes) > 1:
        raise RecordError(
            "columns of differing shapes cannot stand in one list of keys: "
            + ", ".join(map(str, sorted(shapes)))
        )
    return np.stack(arrays, axis=-1)
