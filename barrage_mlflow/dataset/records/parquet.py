"""Parquet files and folders: what their footers tell, and their records, read in sequence.

Nothing is kept of what is read, and of a row group no more is in memory than a batch, however
large it is. It is imported where a Parquet file is met, since pyarrow takes long to load.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq

from barrage_mlflow.dataset.records.tables import PIECE
from barrage_mlflow.dataset.records.unreadable import UNREADABLE, reading
from barrage_mlflow.errors import RecordError

_BUFFER = 1 << 16
"""Bytes of a column that are read at once."""
_REMOTE_BUFFER = 1 << 20
"""The same where each read is a request."""
_BATCH_BYTES = 1 << 26
"""About what a batch holds where its records are large, as images are."""
_FAULTS = (pa.ArrowException, *UNREADABLE)


class _File:
    """One file: its footer, and the values that it has by the name of its folder."""

    def __init__(self, fragment: ds.ParquetFileFragment, shown: str, buffer: int) -> None:
        self.shown = shown
        self._fragment = fragment
        self._buffer = buffer
        self.keys: dict[str, Any] = ds.get_partition_keys(fragment.partition_expression)
        with fragment.open() as handle, pq.ParquetFile(handle) as file:
            self.footer: pq.FileMetaData = file.metadata
            self.schema: pa.Schema = file.schema_arrow
            self._size = handle.size()
        count = self.footer.num_row_groups
        self.groups = [self.footer.row_group(group).num_rows for group in range(count)]

    def __len__(self) -> int:
        return int(self.footer.num_rows)

    def batches(self, columns: list[str], first: int, size: int) -> Iterator[pa.RecordBatch]:
        """The records from the row group on that holds ``first``, in batches of ``size``."""
        ends = np.cumsum(self.groups)
        start = int(np.searchsorted(ends, first, side="right"))
        skipped = first - (int(ends[start - 1]) if start else 0)
        names = [name for name in columns if name in self.schema.names]
        with (
            self._fragment.open() as handle,
            # Arrow would rather read a row group at once, which may be the whole of the file.
            pq.ParquetFile(
                handle, metadata=self.footer, buffer_size=self._buffer, pre_buffer=False
            ) as file,
        ):
            if handle.size() != self._size:
                raise RecordError(
                    f"{self.shown} has changed since it was opened; read it anew, and do not "
                    "write to it in the meantime"
                )
            # On one thread: two are no faster where another core trains.
            for batch in file.iter_batches(
                size, list(range(start, len(self.groups))), names, use_threads=False
            ):
                if skipped < len(batch):
                    yield batch.slice(skipped)
                skipped = max(0, skipped - len(batch))

    def nulls(self, name: str) -> int | None:
        """How many values of a column are missing; None where the footer does not say."""
        if name not in self.schema.names:
            return len(self) if self.keys.get(name) is None else 0
        if not self.schema.field(name).nullable:
            return 0
        total = 0
        for statistics in self._statistics(name):
            if statistics is None or not statistics.has_null_count:
                return None
            total += statistics.null_count
        return total

    def _statistics(self, name: str) -> Iterator[pq.Statistics | None]:
        # A path that stands twice is a column "a.b" beside a field b of a struct a.
        index = self._paths.index(name) if self._paths.count(name) == 1 else None
        for group, rows in enumerate(self.groups):
            if rows:
                of_group = self.footer.row_group(group)
                yield None if index is None else of_group.column(index).statistics

    @cached_property
    def _paths(self) -> list[str]:
        return [self.footer.schema.column(i).path for i in range(self.footer.num_columns)]

    def record_bytes(self, columns: list[str]) -> float:
        """What a record takes in some columns, in bytes; where values repeat, it is more."""
        return sum(self._bytes.get(name, 0) for name in columns) / max(1, len(self))

    @cached_property
    def _bytes(self) -> dict[str, int]:
        total: dict[str, int] = {}
        for group in range(len(self.groups)):
            of_group = self.footer.row_group(group)
            for index, path in enumerate(self._paths):
                name = path if path in self.schema.names else path.partition(".")[0]
                size = of_group.column(index).total_uncompressed_size
                total[name] = total.get(name, 0) + size
        return total


class ParquetFiles:
    """A Parquet file or folder, opened: its footers are read, its records are not.

    Args:
        source: a path, or a URL that fsspec opens.
        limit: how many records to offer; all if left out. Files behind them stay unopened.

    Attributes:
        columns: the columns of the first file, and the keys in the names of folders.
        schema: the types that Arrow gives them.
        more: whether the limit leaves some out.

    Raises:
        RecordError: a footer is broken.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pd.DataFrame({"a": [1, 2, 3]}).to_parquet(f"{folder}/train.parquet")
        ...     files = ParquetFiles(f"{folder}/train.parquet", limit=2)
        ...     batches = list(files.batches(["a"]))
        >>> len(files), files.more, [batch["a"].to_pylist() for batch in batches]
        (2, True, [[1, 2]])
    """

    def __init__(self, source: str, limit: int | None = None) -> None:
        self.source = source
        self.limit = limit
        files, path = fsspec.core.url_to_fs(source)
        is_folder = files.isdir(path)
        # Keys in the names of folders are columns, as pandas has it.
        keys = ds.HivePartitioning.discover(infer_dictionary=True) if is_folder else None
        with reading(source, "Parquet", _FAULTS):
            found = ds.dataset(path, filesystem=files, format="parquet", partitioning=keys)
            self.schema = _plain(found.schema)
            self.columns = _columns(self.schema)
        is_local = isinstance(found.filesystem, pyarrow.fs.LocalFileSystem)
        self._files: list[_File] = []
        held = 0
        for fragment in found.get_fragments():
            shown = source.rstrip("/") + fragment.path.removeprefix(path.rstrip("/"))
            with reading(shown, "Parquet", _FAULTS):
                file = _File(fragment, shown, _BUFFER if is_local else _REMOTE_BUFFER)
            self._files.append(file)
            held += len(file)
            if limit is not None and held > limit:
                break
        self.schema = _common(self.schema, [file.schema for file in self._files])
        self.more = limit is not None and held > limit
        self._length = limit if limit is not None and self.more else held

    def __len__(self) -> int:
        return self._length

    @cached_property
    def groups(self) -> list[int]:
        """How many records each row group holds, in order; without empty ones."""
        left, groups = len(self), []
        for size in [size for file in self._files for size in file.groups if size]:
            groups.append(min(size, left))
            left -= groups[-1]
            if not left:
                break
        return groups

    def nulls(self, name: str) -> tuple[int, int]:
        """How many values of a column are missing and how many records there are.

        Both are counted over the whole of the files that were opened; where a footer does not
        say, over the records that are read for it.
        """
        counts = [file.nulls(name) for file in self._files]
        known = [count for count in counts if count is not None]
        if len(known) == len(counts):
            return sum(known), sum(map(len, self._files))
        return sum(batch.column(0).null_count for batch in self.batches([name])), len(self)

    def batch_size(self, columns: Sequence[str]) -> int:
        """How many records to read at once: a piece, or as many as make 64 MB."""
        wide = max((file.record_bytes(list(columns)) for file in self._files), default=0)
        return int(min(PIECE, max(1, _BATCH_BYTES / max(1, wide))))

    def batches(self, columns: Sequence[str], first: int = 0) -> Iterator[pa.RecordBatch]:
        """Columns of the records from ``first`` to the last, in batches of no fixed size.

        Raises:
            RecordError: a file is damaged, or has changed since it was opened.
        """
        names, left = list(columns), len(self) - first
        size = self.batch_size(names)
        for file in self._files:
            if left <= 0:
                break
            if first >= len(file):
                first -= len(file)
                continue
            missing = len(file) - first
            with reading(file.shown, "Parquet", _FAULTS):
                for batch in file.batches(names, first, size):
                    yield self._conform(batch.slice(0, left), file, names)
                    left, missing = left - len(batch), missing - len(batch)
                    if left <= 0:
                        return
            if missing:
                raise RecordError(f"{file.shown} is damaged: it lacks {missing} of its records")
            first = 0

    def _conform(self, batch: pa.RecordBatch, file: _File, columns: list[str]) -> pa.RecordBatch:
        """The columns of the whole folder, of which a file may lack some."""

        def column(name: str) -> pa.Array:
            kind = self.schema.field(name).type
            if name in file.schema.names:
                found = batch.column(name)
                return found if found.type == kind else found.cast(kind)
            return pa.repeat(pa.scalar(file.keys.get(name), kind), len(batch))

        return pa.RecordBatch.from_arrays([column(name) for name in columns], columns)


class Reader:
    """Reads columns of records forwards, part by part; what was read before is gone.

    The last record of a part can be read again with the next one.

    Args:
        files: what is read.
        columns: what is read of it.
        first: the first record that will be asked for.
    """

    def __init__(self, files: ParquetFiles, columns: Sequence[str], first: int) -> None:
        self._columns = list(columns)
        self._batches = files.batches(columns, first)
        self._held: deque[pa.RecordBatch] = deque()
        self._first = self._end = first

    def reaches(self, columns: Sequence[str], first: int) -> bool:
        """Whether these columns can be read from ``first`` on without going back or far on."""
        return list(columns) == self._columns and self._first <= first <= self._end

    def read(self, first: int, last: int) -> pa.Table:
        """The records from ``first`` to before ``last``."""
        while self._end < last:
            self._held.append(next(self._batches))
            self._end += len(self._held[-1])
        table = pa.Table.from_batches(list(self._held)).slice(first - self._first, last - first)
        while self._first + len(self._held[0]) < last:
            self._first += len(self._held.popleft())
        return table

    def close(self) -> None:
        """Close the file, and give back the memory that reading took."""
        self._batches.close()  # type: ignore[attr-defined]
        self._held.clear()
        pa.default_memory_pool().release_unused()


def values_type(kind: pa.DataType) -> pa.DataType:
    """The type of a column's values, also where they stand in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _plain(schema: pa.Schema) -> pa.Schema:
    """The schema, with lists in the place of tensors."""
    for place, field in enumerate(schema):
        if isinstance(field.type, pa.FixedShapeTensorType):
            schema = schema.set(place, field.with_type(field.type.storage_type))
    return schema


def _common(schema: pa.Schema, of_files: list[pa.Schema]) -> pa.Schema:
    """The schema, without dictionaries where a file does not have the column just so."""
    for place, field in enumerate(schema):
        if pa.types.is_dictionary(field.type) and not all(
            field.name in names.names and names.field(field.name).type == field.type
            for names in of_files
        ):
            schema = schema.set(place, field.with_type(field.type.value_type))
    return schema


def _columns(schema: pa.Schema) -> list[Any]:
    """The columns as pandas names them, without those that it would make an index of."""
    if b"pandas" not in (schema.metadata or {}):
        return list(schema.names)
    return list(schema.empty_table().to_pandas().columns)
