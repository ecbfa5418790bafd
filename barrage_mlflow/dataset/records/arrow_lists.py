"""Columns of lists from Arrow: as one array where the lists of the whole column allow it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from barrage_mlflow.dataset.records.columns import (
    NestedColumn,
    Uneven,
    first_uneven,
    stack,
    unnested,
)
from barrage_mlflow.dataset.types import Array


def is_nested(kind: pa.DataType) -> bool:
    """Whether cells of an Arrow type come out as lists."""
    return _is_list(kind) or bool(pt.is_map(kind))


class ListShapes:
    """What the lists of a column have in common, found part by part.

    Attributes:
        shape: of each list; None as long as there is none.
        uneven: row and message of the first cell whose shape is not that of those before it.

    Example:
        >>> lists = ListShapes()
        >>> lists.add(pa.chunked_array([[[1, 2], [3, None]]]))
        >>> lists.shape, lists.dtype(), lists.uneven
        ((2,), 'float64', None)
        >>> lists.add(pa.chunked_array([[[4]]]))
        >>> lists.uneven
        (2, 'has shape (1,), where the records before it have (2,)')
    """

    def __init__(self) -> None:
        self.shape: tuple[int, ...] | None = None
        self.uneven: Uneven | None = None
        self._gap: int | None = None
        self._kinds: set[str] = set()
        self._kinds_of_none: set[str] = set()
        self._lacks_integers = False
        self._row = 0

    def add(self, array: pa.ChunkedArray) -> None:
        """Look at the next part of the column."""
        for chunk in array.chunks:
            leaf = _leaf(chunk)
            if leaf.null_count and pt.is_integer(leaf.type):
                self._lacks_integers = True
        if self.uneven is None:
            self._compare(array)
        self._row += len(array)

    def dtype(self) -> str:
        """Of what is in all of the lists: int64, float64, bool or object."""
        # Where there is something in a list, what NumPy makes of empty ones does not count.
        kinds = self._kinds or self._kinds_of_none
        if self._lacks_integers:
            return "float64"
        if self.uneven or kinds <= {"b", "O"}:
            return "bool" if kinds == {"b"} and not self.uneven else "object"
        # None among objects, where others are numbers, is a number that is missing.
        return "float64" if "f" in kinds else "int64"

    def _compare(self, array: pa.ChunkedArray) -> None:
        fault: Uneven | None = None
        if array.null_count == len(array):
            self._gap = self._row if self._gap is None else self._gap
            if self.shape is not None:
                fault = first_uneven([None])
        elif self._gap is not None:
            self.uneven = (self._gap, first_uneven([None])[1])
        else:
            found: Array | Uneven | None = _stack_chunks(array)
            cells = [] if found is not None else unnested(_cells(array))
            found = stack(cells) if found is None else found
            if isinstance(found, tuple):
                fault = first_uneven(cells, self.shape)
            elif self.shape not in (None, found.shape[1:]):
                fault = first_uneven(list(found[:1]), self.shape)
            else:
                self.shape = found.shape[1:]
                (self._kinds if found.size else self._kinds_of_none).add(found.dtype.kind)
        if fault is not None:
            self.uneven = (self._row + fault[0], fault[1])


def column_of_lists(array: pa.ChunkedArray, dtype: str, uneven: Uneven | None) -> NestedColumn:
    """A part of a column of lists.

    Args:
        array: the part.
        dtype: of what is in the lists of the whole column.
        uneven: in what these differ.

    Example:
        >>> column_of_lists(pa.chunked_array([[[1, 2], [3, 4]]]), "float64", None).values()
        [[1.0, 2.0], [3.0, 4.0]]
    """
    if dtype == "float64":
        array = array.cast(_with_floats(array.type), safe=False)
    if uneven:
        return NestedColumn(_cells(array), uneven)
    stacked = _stack_chunks(array)
    if stacked is not None:
        return NestedColumn(None, _typed(stacked, dtype))
    cells = _cells(array)
    found = stack(cells)
    return NestedColumn(cells, found if isinstance(found, tuple) else _typed(found, dtype))


def _typed(stacked: Array, dtype: str) -> Array:
    """Numbers as wide as the file has them, but of the sort that the whole column has."""
    wanted = np.dtype(dtype)
    same = stacked.dtype.kind == wanted.kind or stacked.dtype.kind + wanted.kind == "ui"
    return stacked if same else stacked.astype(wanted)


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _leaf(array: pa.Array) -> pa.Array:
    """What is in the lists, at any depth."""
    while _is_list(array.type):
        array = array.flatten()
    return array


def _stack_chunks(array: pa.ChunkedArray) -> Array | None:
    """Lists of numbers or truth values as one array; None where they are of another sort."""
    parts = [_stack(chunk) for chunk in array.chunks if len(chunk)]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or len({part.shape[1:] for part in known}) > 1:
        return None
    return known[0] if len(known) == 1 else np.concatenate(known)


def _stack(array: pa.Array) -> Array | None:
    shape = [len(array)]
    while _is_list(array.type):
        lengths = pc.min_max(pc.list_value_length(array))
        if array.null_count or not len(array) or lengths["min"] != lengths["max"]:
            return None
        shape.append(lengths["min"].as_py())
        array = array.flatten()
    is_number = pt.is_integer(array.type) or pt.is_floating(array.type)
    if not is_number and not (pt.is_boolean(array.type) and not array.null_count):
        return None
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return numbers.reshape(shape)


def _cells(array: pa.ChunkedArray) -> list[Any]:
    """The lists one by one."""
    if _holds_fields(array.type):
        # As NumPy arrays, integers beside a gap in the same batch would become floats.
        cells: list[Any] = array.to_pylist()
        return cells
    return list(array.to_numpy())


def _holds_fields(kind: pa.DataType) -> bool:
    if _is_list(kind):
        return _holds_fields(kind.value_type)
    return bool(pt.is_struct(kind) or pt.is_map(kind))


def _with_floats(kind: pa.DataType) -> pa.DataType:
    """A type of lists whose integers are floating-point numbers."""
    if _is_list(kind):
        inner = _with_floats(kind.value_type)
        if pt.is_fixed_size_list(kind):
            return pa.list_(inner, kind.list_size)
        return pa.large_list(inner) if pt.is_large_list(kind) else pa.list_(inner)
    return pa.float64() if pt.is_integer(kind) else kind
