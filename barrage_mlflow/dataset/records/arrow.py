"""From Arrow to columns, so that a column is handed out the same whichever part of it is read.

Of what type a column's values are may follow from all of them: integers of which one is missing
are floating-point numbers, lists of one length make an array. This is settled once for the whole
of a column, as its :class:`Kind`, from the type that the file gives it, its footers, and for
lists from a pass over the column. It is imported where a Parquet file is met.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from barrage_mlflow.dataset.records.arrow_lists import ListShapes, column_of_lists, is_nested
from barrage_mlflow.dataset.records.columns import (
    Column,
    NestedColumn,
    PlainColumn,
    Uneven,
    column_of_cells,
    column_of_series,
    objects,
)
from barrage_mlflow.dataset.records.parquet import ParquetFiles, values_type
from barrage_mlflow.dataset.types import Array

_INT64_MAX = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Kind:
    """As what the whole of a column is handed out.

    Attributes:
        dtype: of the cells, or of what is in the lists: int64, uint64, float64, bool or object.
        nested: whether the cells are lists.
        shape: of each list, where they have one.
        uneven: in what the lists differ, and in which row first.
    """

    dtype: str
    nested: bool = False
    shape: tuple[int, ...] = ()
    uneven: Uneven | None = None


def find_kind(files: ParquetFiles, name: str) -> Kind:
    """The kind of a column; for lists, and where the footers do not say, it is read for that.

    Raises:
        RecordError: the column has to be read, and a file is damaged.
    """
    stored = files.schema.field(name).type
    kind = values_type(stored)
    if is_nested(kind):
        lists = ListShapes()
        for batch in files.batches([name]):
            lists.add(pa.chunked_array([batch.column(0)]))
        if lists.shape is None and lists.uneven is None:
            return Kind("object")  # every one is missing
        return Kind(lists.dtype(), True, lists.shape or (), lists.uneven)
    if pt.is_floating(kind) and kind == stored:
        return Kind("float64")
    numeric = (pt.is_integer, pt.is_floating, pt.is_boolean, pt.is_decimal)
    if not any(is_it(kind) for is_it in numeric):
        return Kind("object")
    missing, records = files.nulls(name)
    if missing == records and (kind != stored or pt.is_decimal(kind)):
        return Kind("object")  # pandas hands them over one by one: nothing tells what is missing
    if pt.is_boolean(kind):
        return Kind("object" if missing else "bool")
    if missing or not pt.is_integer(kind):
        return Kind("float64")
    return Kind("uint64" if pt.is_uint64(kind) and _is_huge(files, name) else "int64")


def column_of_arrow(array: pa.ChunkedArray, kind: Kind) -> Column:
    """A part of a column, as the kind of the whole has it.

    Example:
        >>> part = pa.chunked_array([[1, 2]])
        >>> column_of_arrow(part, Kind("float64")).array(None)
        array([1., 2.])
        >>> column_of_arrow(pa.chunked_array([[[1], [2]]]), Kind("int64", nested=True)).array(None)
        array([[1],
               [2]])
    """
    if kind.nested:
        if not len(array) and not kind.uneven:
            return NestedColumn(None, np.empty((0, *kind.shape), kind.dtype))
        return column_of_lists(array, kind.dtype, kind.uneven)
    if kind.dtype == "object":
        return _objects(array)
    if pt.is_dictionary(array.type):
        array = array.cast(array.type.value_type)
    if pt.is_decimal(array.type):
        # Python rounds them as it does those of a DataFrame.
        cells = [np.nan if cell is None else float(cell) for cell in array.to_pylist()]
        return PlainColumn(np.array(cells, dtype=np.float64))
    numbers: Array = array.to_numpy()
    if kind.dtype == "float64" and numbers.dtype.kind != "f":
        numbers = numbers.astype(np.float64)
    return PlainColumn(numbers, huge=kind.dtype == "uint64")


def _objects(array: pa.ChunkedArray) -> PlainColumn:
    """Cells that are, or may be, no numbers."""
    if array.null_count == len(array):
        return PlainColumn(np.full(len(array), None, dtype=object))
    kind = array.type
    if pt.is_boolean(kind) or pt.is_string(kind) or pt.is_large_string(kind):
        return PlainColumn(array.to_numpy().astype(object, copy=False))
    # As pandas has them, but for the integers in a struct, which it turns into floats where one
    # in the same batch is missing.
    cells = array.to_pylist() if pt.is_struct(kind) else None
    column = column_of_series(array.to_pandas()) if cells is None else column_of_cells(cells)
    if isinstance(column, PlainColumn) and column.cells.dtype == object:
        return column
    return PlainColumn(objects(column.values()), held=True)


def _is_huge(files: ParquetFiles, name: str) -> bool:
    """Whether a column of unsigned integers holds some that int64 does not."""
    batches = files.batches([name])
    return any(pc.max(batch.column(0)).as_py() > _INT64_MAX for batch in batches if len(batch))
