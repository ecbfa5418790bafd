"""Records: one immutable sequence of records, whatever they were read from."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

import numpy as np

from barrage_mlflow.dataset.records.columns import (
    Column,
    PlainColumn,
    Rows,
    UnevenError,
    native,
    objects,
)
from barrage_mlflow.dataset.records.readers import read_file
from barrage_mlflow.dataset.records.scan import Scan, scan
from barrage_mlflow.dataset.records.sources import make_table
from barrage_mlflow.dataset.records.tables import (
    PIECE,
    ChangedTable,
    Table,
    choose,
    no_such_column,
)
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

    Of Parquet no more is read than is asked for. A column that is asked of the whole is read
    whole, and kept, and so are all columns for a record (``records[3]``); ``records.pieces()``
    and a short part, ``records[:32]``, read their records alone and leave nothing behind.

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
        rows: Rows | None = None,
        name: str = "",
        source: str = "",
        cut_at: int | None = None,
    ) -> None:
        self._table = table
        self._rows: Rows = slice(0, table.length) if rows is None else rows
        self.columns = list(table.columns)
        self.name = name
        self.source = source
        self.cut_at = cut_at

    @classmethod
    def read(
        cls,
        source: RecordSource,
        name: str | None = None,
        limit: int | None = None,
        text: Collection[str] = (),
    ) -> Records:
        """Records from a DataFrame, a sequence of dicts, Records, or a file.

        Args:
            source: a DataFrame, dicts, Records, or the path or URL of a CSV, JSON (a list of
                objects), JSON Lines or Parquet file (plain or compressed) or Parquet folder.
            name: what messages call it; left out, the file's name.
            limit: take this many records, at least 1, from the start; of a large file, little
                more is read. All if left out.
            text: columns of a CSV file that are read as text, also where all their values look
                like numbers.

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
            data, lines, more = read_file(path, limit, text)
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
        rows = self._rows
        return rows.stop - rows.start if isinstance(rows, slice) else len(rows)

    def __iter__(self) -> Iterator[Record]:
        for piece in self.pieces():
            yield from piece._table.each(piece._rows)

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
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(len(self))[index])
            rows = choose(self._rows, slice(start, max(start, stop)))
            part = self._table.part(rows) if isinstance(rows, slice) else (self._table, rows)
            return self._view(*part)
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

    def _view(self, table: Table, rows: Rows) -> Records:
        return Records(table, rows, self.name, self.source, self.cut_at)

    def _row(self, index: int) -> int:
        length = len(self)
        position = index + length if index < 0 else index
        if not 0 <= position < length:
            raise IndexError(f"record {index} of {length} records")
        rows = self._rows
        return rows.start + position if isinstance(rows, slice) else int(rows[position])

    def _checked(self, name: str) -> Column:
        self._check_names([name])
        return self._table.column(name)

    def _check_names(self, names: Sequence[str]) -> None:
        for name in names:
            if not self._table.holds(name):
                raise RecordError(no_such_column(name, self.columns, self.owner))

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
                f"{self.whole().place(uneven.row)}: column '{name}' {uneven.message}"
            ) from None

    def joined(self, names: Sequence[str]) -> Array:
        """Columns side by side on a new last axis: ``(records, ..., names)``.

        Raises:
            RecordError: there is no such column, its lists differ in shape, or the columns do.

        Example:
            >>> Records.read([{"a": 1, "b": 2}, {"a": 3, "b": 4}]).joined(["a", "b"]).tolist()
            [[1, 2], [3, 4]]
        """
        self._check_names(names)
        numbers = self._table.joined(tuple(names), self._rows)
        if numbers is not None:
            return numbers
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
        if isinstance(self._rows, slice):
            values = values[self._rows]
        else:
            values = [values[row] for row in self._rows]
        return [native(value) for value in values] if column.held else values

    def cells(self, name: str) -> Array:
        """A column ``(records,)`` as it is held, not to be changed: lists stand in it as objects.

        Raises:
            RecordError: there is no such column.

        Example:
            >>> Records.read([{"t": [1]}, {"t": [1, 2]}]).cells("t").tolist()
            [[1], [1, 2]]
        """
        column = self._checked(name)
        return (
            column.cells[self._rows]
            if isinstance(column, PlainColumn)
            else objects(self.values(name))
        )

    def with_columns(self, cells: Mapping[str, Array]) -> Records:
        """The same records, in which some columns are others; new ones come last.

        Args:
            cells: by name, ``(records,)`` numbers, truth values or objects.

        Example:
            >>> records = Records.read([{"a": 1}, {"a": 2}], name="train.csv")[1:]
            >>> records = records.with_columns({"a": np.array([0.5]), "b": np.array([True])})
            >>> records[0], records.place(0)
            ({'a': 0.5, 'b': True}, 'train.csv, record 1')
        """
        columns = {name: PlainColumn(array) for name, array in cells.items()}
        return self._view(
            ChangedTable(self._table, self._rows, len(self), columns), slice(0, len(self))
        )

    def dtypes(self) -> dict[str, str]:
        """The dtype of each column: ``"int64"``, ``"float64"``, ``"bool"`` or ``"object"``.

        Example:
            >>> Records.read([{"a": 1, "s": "x"}]).dtypes()
            {'a': 'int64', 's': 'object'}
        """
        first = self[:1]
        return {name: str(first[name].dtype) for name in self.columns}

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
        return self._view(self._table, choose(self._rows, chosen))

    def pieces(self, size: int = PIECE, columns: Sequence[str] | None = None) -> Iterator[Records]:
        """Consecutive parts of the set, in order; each is read when it is asked for.

        Args:
            size: records in a piece, at most; fewer where a record of a Parquet file takes
                more than a kilobyte.
            columns: what is read of Parquet at once, all if left out. Another column is read
                when a piece is asked for it.

        Raises:
            RecordError: there is no such column, or a file is damaged.

        Example:
            >>> records = Records.read([{"a": 1}, {"a": 2}, {"a": 3}])
            >>> [piece["a"].tolist() for piece in records.pieces(2)]
            [[1, 2], [3]]
        """
        names = self.columns if columns is None else columns
        self._check_names(names)
        # No name holds on to a piece while the next one is read.
        yield from itertools.starmap(
            self._view, self._table.pieces(self._rows, len(self), size, names)
        )

    @property
    def row_groups(self) -> list[int] | None:
        """How many of the records each row group of a Parquet file holds, in order.

        None where they are no consecutive records of a Parquet file or folder.

        Example:
            >>> Records.read([{"a": 1}]).row_groups
        """
        table, rows = self._table.origin(self._rows)
        groups = table.groups(rows) if isinstance(rows, slice) else None
        return None if groups is None else [last - first for first, last in groups]

    def window(
        self,
        parts: Sequence[tuple[int, int, int]],
        counts_key: str | None = None,
        columns: Sequence[str] | None = None,
    ) -> Records:
        """The records of some draws, row group by row group; they are read at once and not kept.

        What follows on from the last window of the same columns is read on from there.

        Args:
            parts: row group, first draw and the draw behind the last, both counted within the
                group, as :meth:`Windows.parts` gives them.
            counts_key: the column that says how often each record is drawn; left out, once.
            columns: what is read; all if left out.

        Raises:
            RecordError: they are no consecutive records of Parquet, there is no such column, or
                a file is damaged.
            IndexError: there is no such row group or draw.

        Example:
            >>> import tempfile
            >>> import pandas as pd
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     frame = pd.DataFrame({"a": [1, 2, 3], "n": [2, 0, 1]})
            ...     frame.to_parquet(f"{folder}/train.parquet")
            ...     window = Records.read(f"{folder}/train.parquet").window([(0, 1, 3)], "n")
            >>> window["a"].tolist()
            [1, 3]
        """
        names = self.columns if columns is None else columns
        self._check_names([*names, *([counts_key] if counts_key else [])])
        table, rows = self._table.origin(self._rows)
        found = table.window(rows, parts, counts_key, names) if isinstance(rows, slice) else None
        if found is None:
            raise RecordError(
                f"{self.owner}: expected consecutive records of a Parquet file, to be read by "
                "its row groups"
            )
        return self._view(*found)

    def whole(self) -> Records:
        """The whole set that these records were taken from, in its own order.

        Example:
            >>> len(Records.read([{"a": 1}, {"a": 2}])[1:].whole())
            2
        """
        table, _ = self._table.origin(self._rows)
        return self._view(table, slice(0, table.length))

    def place(self, index: int) -> str:
        """Where a record stands in what was read, for messages: counted from 0.

        Raises:
            IndexError: there is no such record.

        Example:
            >>> Records.read([{"a": 1}, {"a": 2}], name="train").place(1)
            'train, record 1'
        """
        row = self._row(index)
        table, rows = self._table.origin(slice(row, row + 1))
        number = rows.start if isinstance(rows, slice) else int(rows[0])
        line = table.line(number)
        where = f"record {table.first + number}" + ("" if line is None else f" (line {line})")
        return f"{self.name}, {where}" if self.name else where

    def scan(self) -> Scan:
        """What one look at every value shows: the digest, and what each column holds.

        It takes little memory, however large the set is, and is remembered with the set.

        Raises:
            RecordError: a file is damaged.

        Example:
            >>> scanned = Records.read([{"a": 1, "s": "x"}, {"a": 2, "s": None}]).scan()
            >>> scanned.columns["s"]
            ScannedColumn(type='string', missing=True)
        """
        rows = self._rows
        if not isinstance(rows, slice):
            return scan(self)
        ends = (rows.start, rows.stop)
        if ends not in self._table.scans:
            self._table.scans[ends] = scan(self)
        return self._table.scans[ends]

    def digest(self) -> str:
        """A fingerprint of the whole content: equal for equal content, wherever it came from.

        The order of records counts, the order of columns and the width of numbers do not.

        Returns:
            32 hexadecimal digits (the first half of a SHA-256).

        Raises:
            RecordError: a file is damaged.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"a": [1, 2]})
            >>> Records.read(frame).digest() == Records.read([{"a": 1}, {"a": 2}]).digest()
            True
        """
        return self.scan().digest

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
    cell = records[index : index + 1].values(column)[0]
    if _spells_number(cell):
        for piece in records.whole().pieces(columns=[column]):
            for row, other in enumerate(piece.values(column)):
                if isinstance(other, str) and not _spells_number(other):
                    return piece.place(row), other
    return records.place(index), cell


def _spells_number(cell: Any) -> bool:
    if not isinstance(cell, str):
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True
