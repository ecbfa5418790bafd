"""From Arrow to cells. It is imported where an Arrow array is met: pyarrow takes long to load."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from barrage_mlflow.dataset.records.values import EXACT, array_of, objects
from barrage_mlflow.dataset.types import Array


def cells_of(array: pa.Array) -> Array:
    """The cells ``(rows, ...)`` of an array: numbers, dates, stacked lists, or else objects.

    Example:
        >>> cells_of(pa.array([1, None])), cells_of(pa.array([[1, 2], [3, 4]])).shape
        (array([ 1., nan]), (2, 2))
        >>> cells_of(pa.array(["a", None]))
        array(['a', None], dtype=object)
    """
    array = plain(array)
    kind = array.type
    if pt.is_integer(kind) and array.null_count:
        return _with_gaps(array)
    if pt.is_integer(kind) or pt.is_floating(kind):
        return _to_numpy(array)
    if pt.is_boolean(kind) and not array.null_count:
        return _to_numpy(array)
    if pt.is_timestamp(kind):  # one with a zone is of UTC already
        return _to_numpy(array.cast(pa.timestamp("us"), safe=False))
    if pt.is_duration(kind):
        return _to_numpy(array.cast(pa.duration("us"), safe=False))
    if is_list(kind):
        stacked = _stacked(array)
        return array_of(array.to_pylist()) if stacked is None else stacked
    if pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind):
        return _to_numpy(array)
    return objects(array.to_pylist())


def _to_numpy(array: pa.Array) -> Array:
    cells: Array = array.to_numpy(zero_copy_only=False)
    return cells


def different(array: pa.Array) -> pa.Array:
    """The array, of strings each one once: enough to learn what is in it."""
    kind = array.type
    return array.unique() if pt.is_string(kind) or pt.is_large_string(kind) else array


def whole(column: pa.ChunkedArray) -> pa.Array:
    """A column as one array; one that is one already is not copied."""
    if column.num_chunks == 1:
        return column.chunk(0)
    array = column.combine_chunks()
    return array if isinstance(array, pa.Array) else array.chunk(0)


def plain(array: pa.Array) -> pa.Array:
    """The array, without dictionaries and with lists in the place of tensors."""
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    return array.cast(array.type.value_type) if pt.is_dictionary(array.type) else array


def is_list(kind: pa.DataType) -> bool:
    """Whether cells of a type are lists."""
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind))


def _with_gaps(array: pa.Array) -> Array:
    """Whole numbers of which some are missing: as doubles, if these hold all their digits."""
    ends = pc.min_max(array)
    if ends["min"].is_valid and not -EXACT <= ends["min"].as_py() <= ends["max"].as_py() <= EXACT:
        return objects(array.to_pylist())
    return _to_numpy(array.cast(pa.float64()))


def _stacked(array: pa.Array) -> Array | None:
    """Lists of numbers or truth values as one array; None where they are of another sort."""
    shape = [len(array)]
    while is_list(array.type):
        lengths = pc.min_max(pc.list_value_length(array))
        if array.null_count or not len(array) or lengths["min"] != lengths["max"]:
            return None
        shape.append(lengths["min"].as_py())
        array = array.flatten()
    is_full = (pt.is_integer(array.type) or pt.is_boolean(array.type)) and not array.null_count
    if not (is_full or pt.is_floating(array.type)):
        return None
    return _to_numpy(array).reshape(shape)
