"""Records: one immutable sequence of records, whatever they were read from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.formats import RecordSource, read_source
from barrage_mlflow.dataset.records.sources import learn_schema, no_such_column
from barrage_mlflow.dataset.records.tables import PIECE, Table, UnevenError, is_held, make_table
from barrage_mlflow.dataset.records.windows import WindowTable, make_windows
from barrage_mlflow.dataset.types import Array, Record, Rows, choose
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd


class Records(Sequence[Record]):
    """An immutable sequence of records; make one with ``Records.read``.

    It is read by record (``records[3]``), by column (``records["species"]``) or in part
    (``records[2:5]``, ``records.take(rows)``). What it hands out is new each time, so that
    nothing that is done to it reaches the source. Each column has a kind, which is learnt when the
    train set is read; in a record, a value that is missing (also a key that a dict lacks) is NaN
    in a column of numbers and None elsewhere.

    Of Parquet no more is read than is asked for, by whole row groups. A column that is asked of
    the whole is read whole, and kept, and so are all columns for a record (``records[3]``);
    ``records.pieces()`` and a part, ``records[:32]``, read their row groups alone, and keep none.

    Attributes:
        columns: the column names.
        schema: what is known of each column; of windows, of those of their table.
        name: what messages call the set, ``"train.csv"``; may be empty.
        source: the path or URL that it was read from; else empty.
        cut_at: how many records were read, where the source holds more; else None.
        has_files: whether cells are files, each of which is read when its record is asked for.

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
        source: str = "",
        cut_at: int | None = None,
    ) -> None:
        self._table = table
        self._rows: Rows = slice(0, len(table)) if rows is None else rows
        self.columns = table.columns
        self.schema = table.schema
        self.name = table.name
        self.source = source
        self.cut_at = cut_at
        self.has_files = bool(table.roots)

    @classmethod
    def read(
        cls,
        source: RecordSource,
        name: str | None = None,
        limit: int | None = None,
        schema: Schema | None = None,
    ) -> Records:
        """Records from a DataFrame, a sequence of dicts, Records, or a file.

        Args:
            source: a DataFrame, dicts, Records, or the path or URL of a CSV, JSON (a list of
                objects), JSON Lines or Parquet file (plain or compressed) or Parquet folder.
            name: what messages call it; left out, the file's name.
            limit: take this many records, at least 1, from the start; of a large file, little
                more is read than kinds are learnt of. All if left out.
            schema: what is known of the columns: the ``schema`` of the train records, as which
                the records are read; or what a config declares. Kinds that it does not have are
                learnt of all that is read.

        Raises:
            RecordError: the file is missing, empty or not of its kind; a record is not a dict;
                a column's name is no string or stands twice; a file that a cell names is missing.

        Example:
            >>> train = Records.read([{"a": "A1"}, {"a": "7"}], name="train")
            >>> Records.read([{"a": 7}], schema=train.schema)["a"]
            Traceback (most recent call last):
            barrage_mlflow...UnfitError: record 0, column 'a': expected a string, got 7 (int)
        """
        schema = schema or Schema()
        if isinstance(source, Records):
            records = source._under(schema, source.name if name is None else name)
        else:
            # Of windows, the rows of any group may follow later.
            rows = None if schema.windows else limit
            found, shown, path = read_source(source, name, rows, schema)
            records = cls(make_table(found, schema, shown), None, path)
        if schema.windows and not isinstance(records._table, WindowTable):
            records = records._view(make_windows(records._table, records._rows, schema.windows))
        if limit is not None and len(records) > limit:
            records = records[:limit]  # in the kinds of all that was read
            records.cut_at = limit
        return records

    def _under(self, schema: Schema, name: str) -> Records:
        """The same records in other kinds, or in another name; under other windows, their rows."""
        table, windows = self._table, self.schema.windows
        if windows and isinstance(table, WindowTable):
            given = schema.windows or windows
            if given not in (windows, replace(windows, horizon=0)):
                return self.as_rows()._under(schema, name)
            schema = replace(schema, windows=given)
        is_other = schema.columns or schema.missing or schema.windows != windows
        if not schema.is_complete:
            schema = learn_schema(table.source, schema, name) if is_other else self.schema
        if (schema, name) == (self.schema, self.name):
            return self
        return Records(table.under(schema, name), self._rows, self.source, self.cut_at)

    def __len__(self) -> int:
        rows = self._rows
        return rows.stop - rows.start if isinstance(rows, slice) else len(rows)

    def __iter__(self) -> Iterator[Record]:
        for piece in self.pieces():
            yield from piece._table.records(piece._rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    @overload
    def __getitem__(self, index: str) -> Array: ...
    def __getitem__(self, index: int | slice | str) -> Record | Records | Array:
        """A record (a new dict), some records, or a column ``(records, ...)`` as a new array.

        A column is int64, float64, bool, datetime64[us], timedelta64[us] or object. Lists of one
        shape are stacked into further axes; where they differ in shape, the column is
        ``(records,)`` lists.

        Raises:
            IndexError: there is no such record.
            RecordError: there is no such column, or a cell is not of its column's kind.
        """
        if isinstance(index, str):
            self.check_names([index])
            return self._table.array(index, self._rows)
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                return self.take(np.arange(len(self))[index])
            return self._part(choose(self._rows, slice(start, max(start, stop))))
        return self._table.record(self._row(index))

    def __repr__(self) -> str:
        name = f"{self.name}: " if self.name else ""
        return f"<Records {name}{len(self)} records, columns {', '.join(self.columns)}>"

    @property
    def owner(self) -> str:
        """What messages call the set where they speak of the whole of it.

        Example:
            >>> Records.read([{"a": 1}, {"a": 2}], name="train.csv", limit=1).owner
            '1 records of train.csv'
        """
        name = self.name or "the records"
        return name if self.cut_at is None else f"{self.cut_at} records of {name}"

    def _row(self, index: int) -> int:
        length = len(self)
        position = index + length if index < 0 else index
        if not 0 <= position < length:
            raise IndexError(f"record {index} of {length} records")
        rows = self._rows
        return rows.start + position if isinstance(rows, slice) else int(rows[position])

    def _view(self, table: Table, rows: Rows | None = None) -> Records:
        return Records(table, rows, self.source, self.cut_at)

    def _part(self, rows: Rows) -> Records:
        """Some of the rows of the table; of Parquet, over those row groups alone."""
        groups, count = self._table.groups_in(rows), len(self._table)
        if groups is None or (isinstance(rows, slice) and rows.stop - rows.start == count):
            return self._view(self._table, rows)
        return self._view(*self._table.of_groups(groups))

    def column(self, name: str) -> Column:
        """What is known of a column as records have it, ``records.column("age").kind``."""
        return self._table.kinds[name]

    def check_names(self, names: Sequence[str]) -> None:
        """Check that there are these columns.

        Raises:
            RecordError: one is not there.
        """
        for name in names:
            if name not in self._table.kinds:
                raise RecordError(no_such_column(name, self.columns, self.owner))

    def need(self, names: Sequence[str]) -> None:
        """Read columns together, and bring them to their kinds.

        Raises:
            RecordError: there is no such column, or a cell is not of its column's kind.
        """
        self.check_names(names)
        self._table.need(names)

    def check(self, names: Sequence[str]) -> None:
        """Do what :meth:`need` does, and keep nothing of Parquet."""
        if self.row_groups() is None:
            self.need(names)
            return
        for _ in self.pieces(columns=names):
            pass

    def stacked(self, name: str) -> Array:
        """A column ``(records, ...)`` like ``records[name]``, but never one of uneven lists.

        Raises:
            RecordError: there is no such column, or its lists differ in shape.

        Example:
            >>> Records.read([{"t": [1, 2]}, {"t": [3, 4]}]).stacked("t").shape
            (2, 2)
        """
        self.check_names([name])
        column = self.column(name)
        if column.kind == "list" and is_held(column):
            raise UnevenError(f"{self.owner}: column '{name}' holds {column.reason}")
        return self._table.array(name, self._rows)

    def values(self, name: str) -> list[Any]:
        """The native Python values of a column, also where lists differ in length.

        Raises:
            RecordError: there is no such column.

        Example:
            >>> Records.read([{"t": [1]}, {"t": [1, 2]}]).values("t")
            [[1], [1, 2]]
        """
        self.check_names([name])
        return self._table.values(name, self._rows)

    def as_read(self, name: str) -> Array:
        """A column ``(records,)`` as it was read, before it was brought to its kind."""
        return self._table.as_read(name, self._rows)

    def dtypes(self) -> dict[str, str]:
        """The dtype of each column, as ``records[name]`` has it: ``"int64"``."""
        return {name: self.column(name).dtype for name in self.columns}

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
        return self._view(self._table, choose(self._rows, chosen))

    def pieces(self, size: int = PIECE, columns: Sequence[str] | None = None) -> Iterator[Records]:
        """Consecutive parts of the set, in order; each is read when it is asked for.

        Args:
            size: records in a piece, at most.
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
        groups = self._table.groups_in(self._rows)
        if groups is None or self._table.has(names):
            for start in range(0, len(self), size):
                chosen = slice(start, min(start + size, len(self)))
                yield self._view(self._table, choose(self._rows, chosen))
            return
        for group in groups:
            part, _ = self._table.of_groups([group])
            part.need(columns or [])
            for start in range(group.start, group.stop, size):
                yield self._view(part, slice(start, min(start + size, group.stop)))
            del part  # not two at once
        self._table.source.release()

    def row_groups(self) -> list[int] | None:
        """How many of the records each row group of a Parquet file holds, in order.

        None where they are no consecutive records of a Parquet file or folder.
        """
        groups = self._table.groups_in(self._rows)
        return None if groups is None else [group.stop - group.start for group in groups]

    def read_groups(self, groups: Sequence[int], columns: Sequence[str]) -> Records:
        """The records of some row groups; nothing of them is kept with the whole.

        Args:
            groups: positions in ``row_groups()``, in the order in which they are read.
            columns: what is read at once.

        Raises:
            RecordError: there is no such column, or a file is damaged.

        Example:
            >>> import tempfile
            >>> import pandas as pd
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     frame = pd.DataFrame({"a": [1, 2, 3]})
            ...     frame.to_parquet(f"{folder}/train.parquet", row_group_size=2)
            ...     Records.read(f"{folder}/train.parquet").read_groups([1, 0], ["a"])["a"]
            array([3, 1, 2])
        """
        self.check_names(columns)
        found = self._table.groups_in(self._rows) or []
        table, rows = self._table.of_groups([found[group] for group in groups])
        table.need(columns)
        return self._view(table, rows)

    def as_rows(self) -> Records:
        """The rows that windows are made of, in their own order; else these."""
        return self._view(*self._table.as_rows(self._rows))

    def whole(self) -> Records:
        """All records that are in memory, or are read, with these, in their own order."""
        return self._view(self._table, slice(0, len(self._table)))

    def place(self, index: int) -> str:
        """Where a record stands in what was read, for messages: counted from 0.

        Raises:
            IndexError: there is no such record.

        Example:
            >>> Records.read([{"a": 1}, {"a": 2}], name="train").place(1)
            'train, record 1'
        """
        return self._table.place(self._row(index))

    def digest(self) -> str:
        """A fingerprint: of a file's bytes and which of its records these are, else of the values.

        The order of records counts; of what is in memory, the order of columns does not. Of a
        column of files their bytes count, too.

        Returns:
            32 hexadecimal digits (the first half of a SHA-256).

        Raises:
            RecordError: the file cannot be read any more.

        Example:
            >>> one, same = {"a": 1, "b": "x"}, {"b": "x", "a": 1}
            >>> Records.read([one]).digest() == Records.read([same]).digest()
            True
        """
        return self._table.digest(self._rows, len(self), self.source)[:32]

    def to_frame(self) -> pd.DataFrame:
        """The records as a new pandas DataFrame.

        Example:
            >>> Records.read([{"a": 1, "t": [1, 2]}]).to_frame().to_dict("records")
            [{'a': 1, 't': [1, 2]}]
        """
        import pandas as pd

        values = {name: self.values(name) for name in self.columns}
        return pd.DataFrame(values, columns=self.columns)
