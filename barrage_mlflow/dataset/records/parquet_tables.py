"""Records of a Parquet file or folder: columns of the whole, or pieces that nothing keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from barrage_mlflow.dataset.records.arrow import Kind, column_of_arrow, find_kind
from barrage_mlflow.dataset.records.columns import Column, Rows
from barrage_mlflow.dataset.records.parquet import ParquetFiles, Reader
from barrage_mlflow.dataset.records.tables import PIECE, Range, Table, choose
from barrage_mlflow.errors import RecordError


class ParquetTable(Table):
    """A whole file or folder; a column is read when it is asked for, and then kept.

    Attributes:
        files: where it is read from.
    """

    def __init__(self, files: ParquetFiles, kinds: dict[str, Kind] | None = None) -> None:
        super().__init__(files.columns, len(files))
        self.files = files
        self._kinds = {} if kinds is None else kinds
        # Stays open for a part that follows the last one, and holds what its row group needs.
        self._reader: Reader | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _opened, (self.files.source, self.files.limit, self.length, self._kinds)

    def kind(self, name: str) -> Kind:
        """As what a column is handed out, in whole or in part."""
        kind = self._kinds.get(name)
        if kind is None:
            kind = self._kinds[name] = find_kind(self.files, name)
        return kind

    def kept(self, name: str) -> Column | None:
        """A column, if it was read before."""
        return self._columns.get(name)

    def read(self, names: Sequence[str], ranges: Sequence[Range]) -> pa.Table:
        """Columns of some parts, one after the other."""
        tables = [self.files.schema.empty_table().select(names)]
        with self._lock:
            for first, last in [ends for ends in ranges if ends[0] < ends[1]]:
                # Only one that has not failed is kept.
                reader, self._reader = self._reader, None
                if reader is not None and not reader.reaches(names, first):
                    reader.close()
                    reader = None
                reader = reader or Reader(self.files, names, first)
                tables.append(reader.read(first, last))
                self._reader = reader
        return pa.concat_tables(tables)

    def pieces(
        self, rows: Rows, length: int, size: int, names: Sequence[str]
    ) -> Iterator[tuple[Table, Rows]]:
        """Consecutive parts, each read for itself; fewer records at once where they are large."""
        if isinstance(rows, np.ndarray):
            yield from super().pieces(rows, length, size, names)
            return
        at_once = self.files.batch_size(names)
        size = min(size, at_once) if at_once < PIECE else size
        missing = [name for name in names if name not in self._columns]
        reader = Reader(self.files, missing, rows.start)
        try:
            for first in range(rows.start, rows.stop, size):
                last = min(first + size, rows.stop)
                # No name holds on to a piece while the next one is read.
                yield (
                    PartTable(self, [(first, last)], reader.read(first, last) if missing else None),
                    slice(0, last - first),
                )
        finally:
            reader.close()

    def part(self, rows: Rows) -> tuple[Table, Rows]:
        """A part small enough to be read for itself is, when a column of it is asked for."""
        if isinstance(rows, slice) and rows.stop - rows.start < min(PIECE + 1, self.length):
            part = self.select([(rows.start, rows.stop)])
            return part, slice(0, part.length)
        return self, rows

    def groups(self, rows: slice) -> list[Range]:
        """The parts of the row groups that are among the rows, where there are any."""
        ends = np.cumsum(self.files.groups).tolist()
        clipped = [
            (max(first, rows.start), min(last, rows.stop))
            for first, last in zip([0, *ends], ends, strict=False)
        ]
        return [(first, last) for first, last in clipped if first < last]

    def select(self, ranges: Sequence[Range]) -> PartTable:
        """Some parts, one after the other; each column is read when it is asked for."""
        return PartTable(self, ranges)

    def _convert(self, name: str) -> Column:
        kind = self.kind(name)
        batches = list(self.files.batches([name]))
        column = column_of_arrow(pa.Table.from_batches(batches)[name], kind)
        del batches
        pa.default_memory_pool().release_unused()
        return column


class PartTable(Table):
    """Some parts of a Parquet file, one after the other; read columns are kept as long as it.

    Args:
        whole: the whole file.
        ranges: the parts.
        read: columns of them that were read already.
    """

    def __init__(
        self, whole: ParquetTable, ranges: Sequence[Range], read: pa.Table | None = None
    ) -> None:
        length = sum(last - first for first, last in ranges)
        super().__init__(whole.columns, length)
        self._whole = whole
        self._ranges = ranges
        self._read: dict[str, pa.ChunkedArray] = {}
        if read is not None:
            self._hold(read)

    def __reduce__(self) -> tuple[Any, ...]:
        return PartTable, (self._whole, self._ranges)

    def need(self, names: Sequence[str]) -> None:
        """Read the columns that are not there yet, in one go."""
        missing = [
            name
            for name in dict.fromkeys(names)
            if not (name in self._columns or name in self._read or self._whole.kept(name))
        ]
        if missing:
            self._hold(self._whole.read(missing, self._ranges))

    def _hold(self, read: pa.Table) -> None:
        self._read |= zip(read.column_names, read.columns, strict=True)

    def origin(self, rows: Rows) -> tuple[Table, Rows]:
        """The whole file, and where in it the rows stand."""
        return self._whole, choose(self._numbers(), rows)

    def _numbers(self) -> Rows:
        if len(self._ranges) == 1:
            return slice(*self._ranges[0])
        return np.concatenate([np.arange(first, last) for first, last in self._ranges])

    def _convert(self, name: str) -> Column:
        kept = self._whole.kept(name)
        if kept is not None and name not in self._read:
            return kept.part(self._numbers())
        self.need([name])
        return column_of_arrow(self._read.pop(name), self._whole.kind(name))


def _opened(source: str, limit: int | None, length: int, kinds: dict[str, Kind]) -> ParquetTable:
    files = ParquetFiles(source, limit)
    if len(files) != length:
        raise RecordError(
            f"{source} has changed: expected {length} records, got {len(files)}; do not write to "
            "it while it is read"
        )
    return ParquetTable(files, kinds)
