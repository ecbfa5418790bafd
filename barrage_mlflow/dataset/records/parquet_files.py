"""Parquet files and folders, read by whole row groups.

It is imported where a Parquet file is met, since pyarrow takes long to load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.fs
import pyarrow.parquet as pq
import pyarrow.types as pt

from barrage_mlflow.dataset.records.arrow import whole
from barrage_mlflow.dataset.records.files import UNREADABLE, reading
from barrage_mlflow.dataset.records.learning import Learner
from barrage_mlflow.dataset.records.sources import Chunk, Source, cells_of, check_names
from barrage_mlflow.dataset.records.values import objects
from barrage_mlflow.errors import RecordError

_BUFFER = 1 << 16
"""Bytes of a column that are read at once."""
_REMOTE_BUFFER = 1 << 20
"""The same where each read is a request."""
_FAULTS = (pa.ArrowException, *UNREADABLE)
_KINDS = [
    (pt.is_integer, "whole"),
    (pt.is_floating, "number"),
    (pt.is_decimal, "number"),
    (pt.is_boolean, "truth"),
    (pt.is_string, "text"),
    (pt.is_large_string, "text"),
    (pt.is_binary, "bytes"),
    (pt.is_large_binary, "bytes"),
    (pt.is_timestamp, "datetime"),
    (pt.is_date, "date"),
    (pt.is_time, "time"),
    (pt.is_duration, "duration"),
    (pt.is_struct, "object"),
]
"""What is in a column of a type; in others it is looked for."""


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
            self.names = frozenset(self.schema.names)  # which Arrow makes anew at each call
            self._size = handle.size()
        count = self.footer.num_row_groups
        self.groups = [self.footer.row_group(group).num_rows for group in range(count)]

    def read(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        """Columns of a row group, as arrays of Arrow, or of objects where the file lacks one."""
        rows = self.groups[group]
        with (
            reading(self.shown, "Parquet", _FAULTS),
            self._fragment.open() as handle,
            pq.ParquetFile(
                handle, metadata=self.footer, buffer_size=self._buffer, pre_buffer=False
            ) as file,
        ):
            if handle.size() != self._size:
                raise RecordError(
                    f"{self.shown} has changed since it was opened; read it anew, and do not "
                    "write to it in the meantime"
                )
            for name in columns:
                if name not in self.names:
                    yield objects([self.keys.get(name)] * rows)
                    continue
                # One by one: together, what decoding takes is as much again as what is read. On
                # one thread: two are no faster where another core trains.
                found = file.read_row_group(group, [name], use_threads=False)[name]
                array = whole(found)
                if len(array) != rows:
                    missing = rows - len(array)
                    raise RecordError(f"{self.shown} is damaged: it lacks {missing} of its records")
                yield array

    def nulls(self, name: str) -> int | None:
        """How many values of a column are missing; None where the footer does not say."""
        if not self.schema.field(name).nullable:
            return 0
        index = self._paths.get(name)
        if index is None:
            return None
        groups = [self.footer.row_group(group) for group, rows in enumerate(self.groups) if rows]
        found = [group.column(index).statistics for group in groups]
        is_told = all(one is not None and one.has_null_count for one in found)
        return sum(one.null_count for one in found) if is_told else None

    @cached_property
    def _paths(self) -> dict[str, int | None]:
        """The place of each column in the file; None where two have one path."""
        places: dict[str, int | None] = {}
        for place in range(self.footer.num_columns):
            path = self.footer.schema.column(place).path
            # Twice, it is a column "a.b" and a field b of a struct a.
            places[path] = None if path in places else place
        return places


class ParquetFiles(Source):
    """A Parquet file or folder, opened: its footers are read, its records are not.

    Args:
        source: a path, or a URL that fsspec opens.
        limit: how many records are wanted; all if left out. Files behind them stay unopened.

    Attributes:
        columns: those of all files, and the keys in the names of folders.
        groups: how many records each row group holds, in order; empty ones are left out.

    Raises:
        RecordError: a footer is broken, or the names of columns are not usable.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = pd.DataFrame({"a": [1, 2, 3]})
        ...     frame.to_parquet(f"{folder}/train.parquet", row_group_size=2)
        ...     files = ParquetFiles(f"{folder}/train.parquet")
        ...     read = files.read([1, 0], ["a"])
        >>> files.groups, [part.to_pylist() for part in read["a"]]
        ([2, 1], [[3], [1, 2]])
    """

    is_streamed = True

    def __init__(self, source: str, limit: int | None = None) -> None:
        self._files = list(_open(source, limit))
        super().__init__(list(dict.fromkeys(n for f in self._files for n in _names(f))), [])
        check_names(self.columns, source)
        self._source = source
        self._limit = limit
        self._groups = [
            (file, group) for file in self._files for group, rows in enumerate(file.groups) if rows
        ]
        self.groups = [file.groups[group] for file, group in self._groups]

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._source, self._limit, self.groups)

    def read(self, groups: Sequence[int], names: Sequence[str]) -> dict[str, list[Any]]:
        """See :meth:`Source.read`."""
        cells: dict[str, list[Any]] = {name: [] for name in names}
        for number in groups:
            file, group = self._groups[number]
            for name, array in zip(names, file.read(group, names), strict=True):
                cells[name].append(array)
        self.release()
        return cells

    def release(self) -> None:
        """See :meth:`Source.release`: Arrow keeps it for the next read, which may not come soon."""
        pa.default_memory_pool().release_unused()

    def learn(self, learners: Mapping[str, Learner]) -> None:
        """See :meth:`Source.learn`; what the footers say of a column is not read."""
        unknown = []
        for name, learner in learners.items():
            found = [_in_footer(file, name) for file in self._files]
            # A footer does not say which values mean a missing one.
            if None in found or learner.missing:
                unknown.append(name)
                continue
            for kinds, is_lacking in filter(None, found):
                learner.add_found(kinds, is_lacking)
        for number in range(len(self.groups) if unknown else 0):
            for name, arrays in self.read([number], unknown).items():
                learners[name].add(cells_of(arrays[0], once=True))


def _in_footer(file: _File, name: str) -> tuple[set[str], bool] | None:
    """What is in a column of a file, and whether a value is missing; None where it must be read."""
    if not sum(file.groups):
        return set(), False
    if name not in file.names:
        value = file.keys.get(name)
        if value is None:
            return set(), True
        return {"text" if isinstance(value, str) else "whole"}, False
    kind = file.schema.field(name).type
    kind = kind.value_type if pt.is_dictionary(kind) else kind
    found = next((found for is_it, found in _KINDS if is_it(kind)), None)
    missing = file.nulls(name)
    if found is None or missing is None:
        return None
    return ({found} if missing < sum(file.groups) else set()), missing > 0


def _names(file: _File) -> list[Any]:
    """The columns of a file as pandas names them, without those that it would make an index of."""
    names = list(file.schema.names)
    if b"pandas" in (file.schema.metadata or {}):
        names = list(file.schema.empty_table().to_pandas().columns)
    return [*names, *(key for key in file.keys if key not in names)]


def _dataset(source: str) -> tuple[ds.Dataset, str]:
    """A file or folder, and its path in its file system."""
    files, path = fsspec.core.url_to_fs(source)
    # Keys in the names of folders are columns, as pandas has it.
    keys = ds.HivePartitioning.discover() if files.isdir(path) else None
    with reading(source, "Parquet", _FAULTS):
        return ds.dataset(path, filesystem=files, format="parquet", partitioning=keys), path


def _open(source: str, limit: int | None) -> Iterator[_File]:
    found, path = _dataset(source)
    is_local = isinstance(found.filesystem, pyarrow.fs.LocalFileSystem)
    held = 0
    for fragment in found.get_fragments():
        shown = source.rstrip("/") + fragment.path.removeprefix(path.rstrip("/"))
        with reading(shown, "Parquet", _FAULTS):
            file = _File(fragment, shown, _BUFFER if is_local else _REMOTE_BUFFER)
        file.keys = {name: file.keys[name] for name in found.schema.names if name in file.keys}
        yield file
        held += sum(file.groups)
        if limit is not None and held > limit:
            return


def _reopened(source: str, limit: int | None, groups: list[int]) -> ParquetFiles:
    files = ParquetFiles(source, limit)
    if files.groups != groups:
        raise RecordError(
            f"{source} has changed: expected {sum(groups)} records, got {sum(files.groups)}; do "
            "not write to it while it is read"
        )
    return files


def parquet_chunks(source: str, names: Sequence[str]) -> Iterator[Chunk]:
    """Columns of a file or folder, as far as it has them, by row groups.

    Args:
        source: a path, or a URL that fsspec opens.
        names: the columns.

    Raises:
        RecordError: a file is damaged, or no Parquet.
    """
    files = ParquetFiles(source)
    there = [name for name in names if name in files.columns] or files.columns
    done = 0
    for group, rows in enumerate(files.groups):
        done += rows
        read = files.read([group], there)
        cells = {name: parts[0] for name, parts in read.items()}
        yield Chunk(cells, rows, done / sum(files.groups))


def whole_dataset(source: str) -> tuple[ds.Dataset, str]:
    """A file or folder with the columns of all its files, and the name of its compression.

    Raises:
        RecordError: a file is no Parquet, or files have one column in types that nothing joins.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     pq.write_table(pa.table({"a": [1, 2]}), f"{folder}/train.parquet")
        ...     found, compression = whole_dataset(f"{folder}/train.parquet")
        >>> found.schema.names, compression
        (['a'], 'SNAPPY')
    """
    with reading(source, "Parquet", _FAULTS):
        found, _ = _dataset(source)
        files = list(found.get_fragments())
        schema = pa.unify_schemas([found.schema, *(file.physical_schema for file in files)])
        footers = [file.metadata for file in files if file.metadata.num_row_groups]
    codecs = (footer.row_group(0).column(0).compression for footer in footers)
    return found.replace_schema(schema), next(codecs, "NONE").replace("UNCOMPRESSED", "NONE")


def read_batches(
    source: str, found: ds.Dataset, names: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The records of :func:`whole_dataset` in their order, some at a time.

    Args:
        source: what messages call it.
        found: the dataset.
        names: of the columns that are read; all if left out.

    Raises:
        RecordError: a file is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = f"{folder}/train.parquet"
        ...     pq.write_table(pa.table({"a": [1, 2], "b": [3, 4]}), path)
        ...     found, _ = whole_dataset(path)
        ...     [batch.to_pydict() for batch in read_batches(path, found, ["b"])]
        [{'b': [3, 4]}]
    """
    with reading(source, "Parquet", _FAULTS):
        yield from found.to_batches(
            names, use_threads=False, batch_readahead=1, fragment_readahead=1
        )
