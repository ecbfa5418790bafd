"""Records: one immutable sequence of records, whatever they were read from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from barrage_mlflow.dataset.columns import Column, UnevenError, native, objects
from barrage_mlflow.dataset.readers import read_file
from barrage_mlflow.dataset.tables import Table, make_table, no_such_column
from barrage_mlflow.dataset.types import Array, Record
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

RecordSource: TypeAlias = (
    "pd.DataFrame | Sequence[Mapping[str, Any]] | Records | str | os.PathLike[str]"
)
"""What ``Records.read`` takes."""


class UnevenRecordsError(RecordError):
    """The records' lists in one column differ in shape, so that they make no array."""


class Records(Sequence[Record]):
    """An immutable sequence of records; make one with ``Records.read``.

    It is read by record (``records[3]``), by column (``records["species"]``) or in part
    (``records[2:5]``, ``records.take(rows)``). What it hands out is new each time, so that
    nothing that is done to it reaches the source. A value that is missing (also a key that a
    dict lacks) is NaN in a column of numbers and None elsewhere; an array in a cell comes out
    as a list, as it would from JSON.

    Attributes:
        columns: the column names.
        name: what messages call the set, ``"train.csv"``; may be empty.
        source: the path or URL that it was read from; else empty.
        cut_at: how many records were read, where the source holds more; else None.

    Example:
        >>> records = Records.read([{"a": 1, "s": "x"}, {"a": None, "s": "y"}])
        >>> records[1]
        {'a': nan, 's': 'y'}
        >>> records["a"]
        array([ 1., nan])
        >>> records[1:].place(0)
        'record 1'
    """

    def __init__(
        self,
        table: Table,
        rows: Array | None = None,
        name: str = "",
        source: str = "",
        cut_at: int | None = None,
    ) -> None:
        self._table = table
        self._rows = rows
        self.columns = list(table.columns)
        self.name = name
        self.source = source
        self.cut_at = cut_at

    @classmethod
    def read(
        cls, source: RecordSource, name: str | None = None, limit: int | None = None
    ) -> Records:
        """Records from a DataFrame, a sequence of dicts, Records, or a file.

        Args:
            source: a DataFrame, dicts, Records, or the path or URL of a CSV, JSON (a list of
                objects), JSON Lines or Parquet file (plain or compressed) or Parquet folder.
            name: what messages call it; left out, the file's name.
            limit: take this many records, at least 1, from the start; of a large file, little
                more is read. All if left out.

        Raises:
            RecordError: the file is missing, empty or not of its kind; a record is not a dict;
                a column's name is no string or stands twice.

        Example:
            >>> import pandas as pd
            >>> len(Records.read(pd.DataFrame({"a": [1, 2, 3]})))
            3
            >>> records = Records.read([{"a": 1}, {"a": 2}, {"a": 3}], limit=2)
            >>> len(records), records.cut_at
            (2, 2)
        """
        more = False
        if isinstance(source, Records):
            records = source
            if name is not None and name != source.name:
                records = cls(source._table, source._rows, name, source.source, source.cut_at)
        elif isinstance(source, (str, os.PathLike)):
            path = os.fspath(source)
            data, lines, more = read_file(path, limit)
            shown = path.rstrip("/").rpartition("/")[2] if name is None else name
            records = cls(make_table(data, shown, lines), None, shown, path)
        else:
            records = cls(make_table(source, name or "", None), None, name or "")
        if limit is not None and (more or len(records) > limit):
            # Columns keep the types of all that was read.
            records = records[:limit]
            records.cut_at = limit
        return records

    def __len__(self) -> int:
        return self._table.length if self._rows is None else len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    @overload
    def __getitem__(self, index: str) -> Array: ...
    def __getitem__(self, index: int | slice | str) -> Record | Records | Array:
        """A record (a new dict), some records, or a column ``(records, ...)`` as a new array.

        A column is int64, float64, bool or object. Lists of one shape are stacked into further
        axes; where they differ in shape, the column is ``(records,)`` lists.

        Raises:
            IndexError: there is no such record.
            RecordError: there is no such column.
        """
        if isinstance(index, str):
            try:
                return self._checked(index).array(self._rows)
            except UnevenError:
                return objects(self.values(index))
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return self._table.record(self._row(index))

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"<Records {name}{len(self)} records, columns {', '.join(self.columns)}>"

    @property
    def owner(self) -> str:
        """What messages call the set where they speak of the whole of it.

        Example:
            >>> Records.read([{"a": 1}, {"a": 2}], name="train.csv", limit=1).owner
            'the first 1 records of train.csv'
        """
        name = self.name or "the records"
        return name if self.cut_at is None else f"the first {self.cut_at} records of {name}"

    def _row(self, index: int) -> int:
        length = len(self)
        position = index + length if index < 0 else index
        if not 0 <= position < length:
            raise IndexError(f"record {index} of {length} records")
        return int(position if self._rows is None else self._rows[position])

    def _checked(self, name: str) -> Column:
        if not self._table.holds(name):
            raise RecordError(no_such_column(name, self.columns, self.owner))
        return self._table.column(name)

    def stacked(self, name: str) -> Array:
        """A column ``(records, ...)`` like ``records[name]``, but never one of uneven lists.

        Raises:
            RecordError: there is no such column, or its lists differ in shape.

        Example:
            >>> Records.read([{"t": [1, 2]}, {"t": [3, 4]}]).stacked("t").shape
            (2, 2)
        """
        try:
            return self._checked(name).array(self._rows)
        except UnevenError as uneven:
            raise UnevenRecordsError(
                f"{self._place(uneven.row)}: column '{name}' {uneven.message}"
            ) from None

    def joined(self, names: Sequence[str]) -> Array:
        """Columns side by side on a new last axis: ``(records, ..., names)``.

        Raises:
            RecordError: there is no such column, its lists differ in shape, or the columns do.

        Example:
            >>> Records.read([{"a": 1, "b": 2}, {"a": 3, "b": 4}]).joined(["a", "b"]).tolist()
            [[1, 2], [3, 4]]
        """
        for name in names:
            self._checked(name)
        numbers = self._table.joined(tuple(names))
        if numbers is not None:
            return numbers.copy() if self._rows is None else numbers.take(self._rows, axis=0)
        return join([self.stacked(name) for name in names])

    def values(self, name: str) -> list[Any]:
        """The native Python values of a column, also where lists differ in length.

        Raises:
            RecordError: there is no such column.

        Example:
            >>> Records.read([{"t": [1]}, {"t": [1, 2]}]).values("t")
            [[1], [1, 2]]
        """
        column = self._checked(name)
        values = self._table.values(name)
        if self._rows is not None:
            values = [values[row] for row in self._rows]
        if column.held:
            return [native(value) for value in values]
        return list(values) if self._rows is None else values

    def dtypes(self) -> dict[str, str]:
        """The dtype of each column: ``"int64"``, ``"float64"``, ``"bool"`` or ``"object"``.

        Example:
            >>> Records.read([{"a": 1, "s": "x"}]).dtypes()
            {'a': 'int64', 's': 'object'}
        """
        first = np.arange(min(1, len(self)))
        return {name: str(self.take(first)[name].dtype) for name in self.columns}

    def take(self, rows: Array | Sequence[int]) -> Records:
        """The records at these positions, in this order; repeats are allowed.

        Args:
            rows: ``(n,)`` positions from 0.

        Raises:
            IndexError: there is no such record.

        Example:
            >>> records = Records.read([{"a": 1}, {"a": 2}])
            >>> records.take([1, 1, 0])["a"].tolist()
            [2, 2, 1]
        """
        chosen = np.asarray(rows, dtype=np.int64)
        length = len(self)
        # Read as unsigned, a negative position is a huge one: one look finds both.
        if chosen.size and chosen.view(np.uint64).max() >= length:
            raise IndexError(f"rows {chosen.min()} to {chosen.max()} of {length} records")
        if self._rows is not None:
            chosen = self._rows[chosen]
        return Records(self._table, chosen, self.name, self.source, self.cut_at)

    def whole(self) -> Records:
        """The whole set that these records were taken from, in its own order.

        Example:
            >>> len(Records.read([{"a": 1}, {"a": 2}])[1:].whole())
            2
        """
        return Records(self._table, None, self.name, self.source, self.cut_at)

    def place(self, index: int) -> str:
        """Where a record stands in what was read, for messages: counted from 0.

        Raises:
            IndexError: there is no such record.

        Example:
            >>> Records.read([{"a": 1}, {"a": 2}], name="train").place(1)
            'train, record 1'
        """
        return self._place(self._row(index))

    def _place(self, row: int) -> str:
        line = self._table.line(row)
        where = f"record {row}" + ("" if line is None else f" (line {line})")
        return f"{self.name}, {where}" if self.name else where

    def digest(self) -> str:
        """A fingerprint of the whole content: equal for equal content, wherever it came from.

        The order of records counts, the order of columns and the width of numbers do not.

        Returns:
            32 hexadecimal digits (the first half of a SHA-256).

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"a": [1, 2]})
            >>> Records.read(frame).digest() == Records.read([{"a": 1}, {"a": 2}]).digest()
            True
        """
        hashed = hashlib.sha256(f"{len(self)}\n".encode())
        for name in sorted(self.columns):
            kind, content = _canonical(self[name])
            hashed.update(f"{json.dumps(name)} {kind} {len(content)}\n".encode())
            hashed.update(content)
        return hashed.hexdigest()[:32]

    def to_frame(self) -> pd.DataFrame:
        """The records as a new pandas DataFrame.

        Example:
            >>> Records.read([{"a": 1, "t": [1, 2]}]).to_frame().to_dict("records")
            [{'a': 1, 't': [1, 2]}]
        """
        import pandas as pd

        values = {name: self.values(name) for name in self.columns}
        return pd.DataFrame(values, columns=self.columns)


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


def find_word(records: Records, index: int, column: str) -> tuple[str, Any]:
    """The record to blame for a cell that should be a number: its place, and the cell.

    One word makes the whole column of a CSV file text, its numbers included. So where a cell
    is a number in letters, the first cell of the whole set that is none is to blame.

    Example:
        >>> find_word(Records.read([{"a": "1"}, {"a": "many"}])[:1], 0, "a")
        ('record 1', 'many')
    """
    cell = records[index][column]
    if _spells_number(cell):
        whole = records.whole()
        for row, other in enumerate(whole.values(column)):
            if isinstance(other, str) and not _spells_number(other):
                return whole.place(row), other
    return records.place(index), cell


def _spells_number(cell: Any) -> bool:
    if not isinstance(cell, str):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _canonical(column: Array) -> tuple[str, bytes]:
    """What a column holds, in bytes that do not depend on where it came from."""
    if column.dtype.kind == "f":
        gone = np.isnan(column)
        if gone.all():
            return "missing", b""
        column[gone] = np.nan  # one of the many bit patterns that mean NaN
    elif column.dtype == object:
        if all(value is None for value in column.ravel()):
            return "missing", b""
        dump = json.JSONEncoder(sort_keys=True, default=str).encode
        return "object", "\n".join(map(dump, column.tolist())).encode()
    kind = f"{column.dtype.kind}{list(column.shape[1:])}"
    return kind, column.astype(column.dtype.newbyteorder("<"), copy=False).tobytes()
