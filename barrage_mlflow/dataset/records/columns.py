"""One column of a record set: how cells become native Python values and NumPy arrays.

Whatever the source (pandas, pyarrow, JSON, dicts), a column ends up as one of two kinds:
*plain* (a number, a truth value, a string … in each record) or *nested* (a list or array in
each record). Numbers are handed out as int64 or float64 and everything else but truth values
as objects, so that a loader sees the same values in its record form and its batch form.
"""

from __future__ import annotations

import math
import reprlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = frozenset({int, float, str, bool, type(None)})
_SEQUENCES = frozenset({list, tuple, np.ndarray})
_CONTAINERS = frozenset({list, dict})
# pandas' own missing values, told by name: pandas need not be imported to know them.
_MISSING_NAMES = frozenset({"NAType", "NaTType"})
_WIDE = {"i": np.dtype(np.int64), "u": np.dtype(np.int64), "f": np.dtype(np.float64)}
_INT64_MAX = np.iinfo(np.int64).max

Rows: TypeAlias = "Array | slice"
"""Positions ``(rows,) int64``, or a consecutive part from ``start`` to ``stop``."""


Uneven: TypeAlias = tuple[int, str]
"""The first row of the whole set whose lists differ from those before it, and how they do."""


class UnevenError(RecordError):
    """The lists of a column differ in shape, so that they make no array."""


def is_missing(value: Any) -> bool:
    """Whether a cell holds no value: None, NaN, ``pandas.NA`` or ``pandas.NaT``.

    Example:
        >>> [is_missing(v) for v in (None, float("nan"), 0, "", [])]
        [True, True, False, False, False]
    """
    if value is None:
        return True
    if isinstance(value, float):
        return value != value
    return type(value).__name__ in _MISSING_NAMES


def native(value: Any) -> Any:
    """``value`` in plain Python: NumPy scalars and arrays, timestamps, decimals, tuples undone.

    Containers come out as new objects, at every depth.

    Example:
        >>> import numpy as np
        >>> native({"a": np.float32(0.5), "b": np.arange(3), "c": (1, None)})
        {'a': 0.5, 'b': [0, 1, 2], 'c': [1, None]}
    """
    kind = type(value)
    if kind in _PLAIN:
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
    return value


class PlainColumn:
    """A column of scalars (or of odd objects, such as dicts).

    Args:
        cells: ``(records,)`` numbers, truth values or objects.
        held: whether cells are containers, which are copied before they are handed out.
        huge: whether there are integers beyond int64, also if not in these cells; left out,
            the cells tell.

    Attributes:
        cells: ``(records,)``; not to be changed.
        wide: the dtype that numbers are handed out in; None for all else.
    """

    uneven: Uneven | None = None

    def __init__(self, cells: Array, held: bool = False, huge: bool | None = None) -> None:
        if huge is None:
            huge = cells.dtype == np.uint64 and bool(len(cells)) and cells.max() > _INT64_MAX
        self.wide: np.dtype[Any] | None = None if huge else _WIDE.get(cells.dtype.kind)
        self.cells = cells
        self.held = held

    def array(self, rows: Rows | None) -> Array:
        """A new array ``(rows,)`` of the cells: int64, float64, bool or object."""
        cells = _chosen(self.cells, rows)
        if self.wide is not None and cells.dtype != self.wide:
            return cells.astype(self.wide)
        if self.held:
            return objects([native(cell) for cell in cells])
        return cells if isinstance(rows, np.ndarray) else cells.copy()

    def part(self, rows: Rows) -> PlainColumn:
        """The column of some of the rows, handed out as the whole is."""
        return PlainColumn(_chosen(self.cells, rows), self.held, self.wide is None)

    def values(self) -> list[Any]:
        """The cells as native Python values."""
        values: list[Any] = self.cells.tolist()
        return values


class NestedColumn:
    """A column of lists or arrays, one in each record.

    Args:
        cells: the lists; None where ``stacked`` is an array that says all.
        stacked: the cells as one array ``(records, ...)``, or in what those of the whole column
            are uneven; left out, the cells tell.
    """

    held = True

    def __init__(self, cells: list[Any] | None, stacked: Array | Uneven | None = None) -> None:
        self._cells = cells
        self._known = stacked

    @property
    def _stacked(self) -> Array | Uneven:
        if self._known is None:
            self._known = stack(self._cells or [])
        return self._known

    @property
    def uneven(self) -> Uneven | None:
        """In what the cells of the whole column differ in shape; None where they do not."""
        return self._stacked if isinstance(self._stacked, tuple) else None

    def array(self, rows: Rows | None) -> Array:
        """A new array ``(rows, ...)`` of the cells, which are not uneven.

        It is int64, float64, bool or object.
        """
        stacked = self._stacked
        assert not isinstance(stacked, tuple)
        cells = _chosen(stacked, rows)
        wide = _WIDE.get(cells.dtype.kind)
        if wide is not None and cells.dtype != wide:
            return cells.astype(wide)
        return cells if isinstance(rows, np.ndarray) else cells.copy()

    def part(self, rows: Rows) -> NestedColumn:
        """The column of some of the rows, handed out as the whole is."""
        stacked, cells = self._stacked, self._cells
        if cells is not None:
            cells = cells[rows] if isinstance(rows, slice) else [cells[row] for row in rows]
        return NestedColumn(cells, stacked if isinstance(stacked, tuple) else stacked[rows])

    def values(self) -> list[Any]:
        """The cells as nested Python lists."""
        if self._cells is None:
            values: list[Any] = self.array(None).tolist()
            return values
        return [native(cell) for cell in self._cells]


Column: TypeAlias = PlainColumn | NestedColumn


def _chosen(cells: Array, rows: Rows | None) -> Array:
    """Some of the cells: new where the rows are positions, else a view."""
    return cells if rows is None else cells[rows]


def objects(cells: list[Any]) -> Array:
    """An object array ``(cells,)``, also where a cell is a list."""
    array = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        array[row] = cell
    return array


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


def column_of_cells(cells: list[Any]) -> Column:
    """The column that these cells make: its kind follows from the types of the cells.

    Example:
        >>> column_of_cells([1, None]).array(None)
        array([ 1., nan])
        >>> column_of_cells(["a", float("nan")]).array(None)
        array(['a', None], dtype=object)
        >>> column_of_cells([[1, 2], (3, 4)]).array(None).shape
        (2, 2)
    """
    kinds = set(map(type, cells))
    if not kinds <= _PLAIN:
        cells = [_cell(cell) for cell in cells]
        kinds = set(map(type, cells))
    present = kinds - {type(None)}
    complete = present == kinds
    if present and present <= {int, float}:
        numbers = _numbers(cells, whole=complete and present == {int})
        if numbers is not None:
            return PlainColumn(numbers)
    if present == {bool} and complete:
        return PlainColumn(np.array(cells, dtype=bool))
    if present and present <= _SEQUENCES:
        return NestedColumn(cells)
    if float in present:
        cells = [None if is_missing(cell) else cell for cell in cells]
    held = not present.isdisjoint(_CONTAINERS | _SEQUENCES)
    return PlainColumn(objects([native(c) for c in cells] if held else cells), held)


def _cell(cell: Any) -> Any:
    """A cell in plain Python, but for the sequences: these may yet be stacked as they are."""
    if type(cell) in _SEQUENCES and not (isinstance(cell, np.ndarray) and cell.ndim == 0):
        return cell
    return native(cell)


def _numbers(cells: list[Any], whole: bool) -> Array | None:
    """Numbers ``(cells,)`` int64 or float64; None where an integer is too large for both."""
    try:
        if whole:
            return np.array(cells, dtype=np.int64)
        return np.array([np.nan if c is None else c for c in cells], dtype=np.float64)
    except OverflowError:
        return None


def stack(cells: list[Any]) -> Array | Uneven:
    """Lists as one array ``(cells, ...)``, or in what they are uneven."""
    cells = unnested(cells)
    try:
        array = np.asarray(cells)
    except ValueError:
        return first_uneven(cells)
    if array.dtype.kind in "iufb":
        return array
    # Strings, missing values, or both among numbers: judge the scalars as those of a column.
    array = np.array(cells, dtype=object)
    flat = column_of_cells(list(array.ravel())).array(None)
    return flat.reshape(array.shape)


def unnested(cells: list[Any]) -> list[Any]:
    """The cells, without arrays in arrays, as which pyarrow has lists in lists."""
    if any(isinstance(cell, np.ndarray) and cell.dtype.kind not in "iufb" for cell in cells):
        return [native(cell) for cell in cells]
    return cells


def first_uneven(cells: list[Any], first: tuple[int, ...] | None = None) -> Uneven:
    """The first cell whose shape is not ``first``, or else that of the cells before it."""
    for row, cell in enumerate(cells):
        if cell is None:
            return (row, "holds no list, where other records hold one")
        try:
            shape = np.shape(cell)
        except ValueError:
            return (row, "holds lists of differing lengths within one record")
        if first is not None and shape != first:
            return (row, f"has shape {shape}, where the records before it have {first}")
        first = shape
    raise AssertionError("cells of one shape make an array")  # pragma: no cover


def column_of_series(series: pd.Series[Any]) -> Column:
    """The column that a pandas series makes, whatever its dtype.

    Example:
        >>> import pandas as pd
        >>> column_of_series(pd.Series([1, None], dtype="Int64")).array(None)
        array([ 1., nan])
        >>> column_of_series(pd.Series(["a", None])).array(None)
        array(['a', None], dtype=object)
    """
    import pandas as pd

    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return PlainColumn(series.to_numpy())
    missing = series.isna().to_numpy()
    types = pd.api.types
    if types.is_float_dtype(dtype) or (types.is_integer_dtype(dtype) and missing.any()):
        return PlainColumn(series.to_numpy(dtype=np.float64, na_value=np.nan))
    cells = list(series.to_numpy(dtype=object))
    if missing.any():
        cells = [None if gone else cell for cell, gone in zip(cells, missing, strict=True)]
    return column_of_cells(cells)


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
