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
    join,
    objects,
)
from barrage_mlflow.dataset.records.digests import digest_file, digest_values
from barrage_mlflow.dataset.records.sources import open_source
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
        else:
            table, name, path, more = open_source(source, name, limit, text)
            records = cls(table, None, name, path)
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
            column = self._checked(index)
            if column.uneven:
                return objects(self.values(index))
            return column.array(self._rows)
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(len(self))[index])
            rows = choose(self._rows, slice(start, max(start, stop)))
            return self.view(*self._table.part(rows))
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

    def view(self, table: Table, rows: Rows) -> Records:
        """Records of another table in the name of these."""
        return Records(table, rows, self.name, self.source, self.cut_at)

    def _row(self, index: int) -> int:
        length = len(self)
        position = index + length if index < 0 else index
        if not 0 <= position < length:
            raise IndexError(f"record {index} of {length} records")
        rows = self._rows
        return rows.start + position if isinstance(rows, slice) else int(rows[position])

    def _checked(self, name: str) -> Column:
        self.check_names([name])
        return self._table.column(name)

    def check_names(self, names: Sequence[str]) -> None:
        """Check that there are these columns.

        Raises:
            RecordError: one is not there.
        """
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
        column = self._checked(name)
        if column.uneven:
            row, difference = column.uneven
            where = self.whole().place(row)
            raise UnevenError(f"{where}: column '{name}' {difference}")
        return column.array(self._rows)

    def joined(self, names: Sequence[str]) -> Array:
        """Columns side by side on a new last axis: ``(records, ..., names)``.

        Raises:
            RecordError: there is no such column, its lists differ in shape, or the columns do.

        Example:
            >>> Records.read([{"a": 1, "b": 2}, {"a": 3, "b": 4}]).joined(["a", "b"]).tolist()
            [[1, 2], [3, 4]]
        """
        self.check_names(names)
        self._table.need(names)
        return join([self.stacked(name) for name in names])

    def values(self, name: str) -> list[Any]:
        """The native Python values of a column, also where lists differ in length.

        Raises:
            RecordError: there is no such column.

        Example:
            >>> Records.read([{"t": [1]}, {"t": [1, 2]}]).values("t")
            [[1], [1, 2]]
        """
        self.check_names([name])
        return self._table.values_of(name, self._rows)

    def cells(self, name: str) -> Array:
        """A column ``(records,)`` as it is held, not to be changed: lists stand in it as objects.

        Raises:
            RecordError: there is no such column.

        Example:
            >>> Records.read([{"t": [1]}, {"t": [1, 2]}]).cells("t").tolist()
            [[1], [1, 2]]
        """
        column = self._checked(name)
        if isinstance(column, PlainColumn):
            return column.cells[self._rows]
        return objects(self.values(name))

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
        table = ChangedTable(self._table, self._rows, len(self), columns)
        return self.view(table, slice(0, table.length))

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
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"rows {chosen.min()} to {chosen.max()} of {len(self)} records")
        return self.view(self._table, choose(self._rows, chosen))

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
        self.check_names(names)
        # No name holds on to a piece while the next one is read.
        yield from itertools.starmap(
            self.view, self._table.pieces(self._rows, len(self), size, names)
        )

    def origin(self) -> tuple[Table, Rows]:
        """The whole set that these records were taken from, and where in it they stand."""
        return self._table.origin(self._rows)

    def whole(self) -> Records:
        """The whole set that these records were taken from, in its own order.

        Example:
            >>> len(Records.read([{"a": 1}, {"a": 2}])[1:].whole())
            2
        """
        table, _ = self.origin()
        return self.view(table, slice(0, table.length))

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
        where = table.place(rows.start if isinstance(rows, slice) else int(rows[0]))
        return f"{self.name}, {where}" if self.name else where

    def digest(self) -> str:
        """A fingerprint: of a file's bytes and which of its records these are, else of the values.

        The order of records counts; of what is in memory, the order of columns does not.

        Returns:
            32 hexadecimal digits (the first half of a SHA-256).

        Raises:
            RecordError: the file cannot be read any more.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"a": [1, 2]})
            >>> Records.read(frame).digest() == Records.read([{"a": 1}, {"a": 2}]).digest()
            True
        """
        if not self.source or isinstance(self._table, ChangedTable):
            return digest_values(self)[:32]
        table, rows = self.origin()
        in_file = choose(slice(table.first, table.first + table.length), rows)
        return digest_file(self.source, in_file)[:32]

    def to_frame(self) -> pd.DataFrame:
        """The records as a new pandas DataFrame.

        Example:
            >>> Records.read([{"a": 1, "t": [1, 2]}]).to_frame().to_dict("records")
            [{'a': 1, 't': [1, 2]}]
        """
        import pandas as pd

        values = {name: self.values(name) for name in self.columns}
        return pd.DataFrame(values, columns=self.columns)
