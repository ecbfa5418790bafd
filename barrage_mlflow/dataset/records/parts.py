"""A file of records, read in consecutive parts: each when it is asked for, and none is kept.

What a model knows of its columns decides how a part is read, so that a record is the same in
whichever part it stands, and as if the file was read at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from typing import Any

from barrage_mlflow.dataset.records.column_specs import ColumnSpec, text_columns
from barrage_mlflow.dataset.records.digests import list_files
from barrage_mlflow.dataset.records.readers import (
    csv_lines,
    csv_rows,
    json_lines,
    kind_of,
    open_file,
    read_file,
)
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import file_name, make_table
from barrage_mlflow.dataset.records.tables import Table, no_such_column
from barrage_mlflow.dataset.records.unreadable import reading
from barrage_mlflow.errors import RecordError

PART = 1 << 14
"""Records in a part, at most."""
PART_BYTES = 1 << 25
"""Where as many records of text take more than about this, a part holds fewer."""

_TEXT = {"csv", "jsonl"}
"""Kinds of files of which the first record is enough to begin with."""


@dataclass(frozen=True)
class Part:
    """Consecutive records of a file.

    Attributes:
        records: the records; messages about them tell where they stand in the file.
        first: the number of the first one in the file.
        kept: by name, the columns to keep as the file has them: an Arrow array of Parquet, a list
            of what JSON has or of the text of CSV.
        share: how much of the file is read at the end of this part, up to 1; None where that
            cannot be told.

    Example:
        >>> Part(Records.read([{"a": 1}]), 0, {}, 1.0).share
        1.0
    """

    records: Records
    first: int
    kept: dict[str, Any]
    share: float | None


class Parts:
    r"""A file of records, opened: it is there, is of its kind, and has the columns to keep.

    Args:
        source: the path or URL of a CSV, JSON, JSON Lines or Parquet file (plain or compressed) or
            Parquet folder. A JSON list is read whole.
        keep: columns to hand out as the file has them, too.

    Attributes:
        source: as given, as a string.
        name: what messages call it.
        keep: as given, each name once.

    Raises:
        RecordError: the file is missing, empty or not of its kind, or lacks a column to keep;
            of JSON Lines the first part tells the columns.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "train.csv")
        ...     with open(path, "w") as file:
        ...         _ = file.write("id,a\n007,1\n008,2\n009,3\n")
        ...     for part in Parts(path, keep=["id"]).read(batch=2):
        ...         print(part.records["a"], part.kept["id"], part.records.place(0))
        [1 2] ['007', '008'] train.csv, record 0 (line 2)
        [3] ['009'] train.csv, record 2 (line 4)
    """

    def __init__(self, source: str | os.PathLike[str], keep: Sequence[str] = ()) -> None:
        self.source = os.fspath(source)
        self.name = file_name(self.source)
        self.keep = list(dict.fromkeys(keep))
        self._kind = kind_of(self.source)
        data: Any
        data, _, _ = read_file(self.source, 1 if self._kind in _TEXT else None)
        self._data = data
        if self._kind != "jsonl":
            self._check_kept(make_table(data, self.name, None).columns)

    def identity(self) -> str:
        """A fingerprint of where the file lies, of its size and of when it was written.

        Returns:
            64 hexadecimal digits.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = os.path.join(folder, "train.jsonl")
            ...     told = []
            ...     for text in ('{"a": 1}', '{"a": 10}'):
            ...         with open(path, "w") as file:
            ...             _ = file.write(text)
            ...         told.append(Parts(path).identity())
            >>> told[0] == told[1]
            False
        """
        files, _, names = list_files(self.source)
        found = []
        for name in names:
            about = files.info(name)
            written = about.get("mtime") or files.ukey(name)
            found.append([files.unstrip_protocol(name), about.get("size"), written])
        return hashlib.sha256(json.dumps(found, default=str).encode()).hexdigest()

    def read(
        self, specs: Sequence[ColumnSpec] = (), batch: int = PART, done: int = 0
    ) -> Iterator[Part]:
        r"""The parts in their order; where one ends does not depend on where reading begins.

        Args:
            specs: the columns that scoring reads. Those of strings are read as text, also where
                all their values look like numbers; of Parquet no others are read, unless a part
                is asked for them.
            batch: each part but the last holds a multiple of this many records.
            done: begin with the part that holds the record of this number. A file of text is
                read up to there.

        Raises:
            RecordError: what is read is damaged or not of its kind, or lacks a column to keep.

        Example:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = os.path.join(folder, "train.jsonl")
            ...     with open(path, "w") as file:
            ...         _ = file.write('{"a": 1}\n{"a": 2}\n{"a": 3}')
            ...     [part.records["a"] for part in Parts(path).read(batch=2, done=2)]
            [array([3])]
        """
        if self._kind == "csv":
            return self._csv_parts(specs, batch, done)
        if self._kind == "jsonl":
            return self._jsonl_parts(specs, batch, done)
        if self._kind == "json":
            return self._json_parts(batch, done)
        return self._parquet_parts(specs, batch, done)

    def _csv_parts(self, specs: Sequence[ColumnSpec], batch: int, done: int) -> Iterator[Part]:
        import pandas as pd

        types = dict.fromkeys(text_columns(specs), str)
        # What pandas makes of a number or an ``NA`` does not tell the text of it.
        as_text: Any = {"usecols": self.keep, "dtype": str, "na_filter": False}
        first = 0
        with reading(self.source, "CSV"), ExitStack() as opened:
            handle, file = open_file(self.source)
            opened.enter_context(handle)
            rows = opened.enter_context(csv_rows(handle, dtype=types))
            if self.keep:
                other = opened.enter_context(open_file(self.source)[0])
                texts = opened.enter_context(csv_rows(other, **as_text))
            while True:
                size = _part_size(batch, first, handle.tell())
                try:
                    frame = rows.get_chunk(size)
                except StopIteration:
                    return
                kept = texts.get_chunk(size) if self.keep else pd.DataFrame()
                if first + len(frame) > done:
                    lines = partial(csv_lines, self.source, first + len(frame), first)
                    table = make_table(frame.reset_index(drop=True), self.name, lines)
                    cells = {name: kept[name].tolist() for name in self.keep}
                    yield self._part(table, first, cells, self._share(file.tell()))
                first += len(frame)

    def _jsonl_parts(self, specs: Sequence[ColumnSpec], batch: int, done: int) -> Iterator[Part]:
        # A key that no record of a later part has is missing in all of them.
        missing = dict.fromkeys(spec.name for spec in specs)
        first = 0
        handle, file = open_file(self.source)
        with reading(self.source, "JSON Lines"), handle:
            lines = json_lines(self.source, handle)
            while part := list(islice(lines, _part_size(batch, first, handle.tell()))):
                if first + len(part) > done:
                    rows = [row for _, row in part]
                    kept = {key: [row.get(key) for row in rows] for key in self.keep}
                    rows[0] = {**missing, **rows[0]} if first else rows[0]
                    starts = [number for number, _ in part]
                    table = make_table(rows, self.name, starts.copy)
                    if not first:
                        self._check_kept(table.columns)
                    yield self._part(table, first, kept, self._share(file.tell()))
                first += len(part)

    def _json_parts(self, batch: int, done: int) -> Iterator[Part]:
        rows: list[dict[str, Any]] = self._data
        records = Records(make_table(rows, self.name, None), None, self.name, self.source)
        size = _part_size(batch)
        for first in range(done // size * size, len(rows), size):
            part = rows[first : first + size]
            kept = {name: [row.get(name) for row in part] for name in self.keep}
            share = (first + len(part)) / len(rows)
            yield Part(records[first : first + size], first, kept, share)

    def _parquet_parts(self, specs: Sequence[ColumnSpec], batch: int, done: int) -> Iterator[Part]:
        # Imported late, since it takes long.
        from barrage_mlflow.dataset.records.parquet import Reader
        from barrage_mlflow.dataset.records.parquet_tables import ParquetTable, PartTable

        files = self._data
        wanted = {*(spec.name for spec in specs), *self.keep}
        names = [name for name in files.columns if name in wanted] or files.columns
        size = max(1, min(PART, files.batch_size(names)) // batch) * batch
        begin = done // size * size
        whole, reader = ParquetTable(files), Reader(files, names, begin)
        try:
            for first in range(begin, len(files), size):
                last = min(first + size, len(files))
                read = reader.read(first, last)
                kept = {name: read[name] for name in self.keep}
                # Its place is that of the whole file.
                records = Records(
                    PartTable(whole, [(first, last)], read), None, self.name, self.source
                )
                yield Part(records, first, kept, last / len(files))
        finally:
            reader.close()

    def _part(self, table: Table, first: int, kept: dict[str, Any], share: float | None) -> Part:
        table.first = first
        return Part(Records(table, None, self.name, self.source), first, kept, share)

    def _share(self, read: int) -> float | None:
        return min(1.0, read / self._bytes) if self._bytes else None

    @cached_property
    def _bytes(self) -> int | None:
        files, path, _ = list_files(self.source)
        size: int | None = files.size(path)
        return size

    def _check_kept(self, columns: Sequence[str]) -> None:
        for name in self.keep:
            if name not in columns:
                raise RecordError(no_such_column(name, columns, self.name))


def _part_size(batch: int, records: int = 1, length: int = 0) -> int:
    """How many records the next part holds, as the bytes of those before it tell."""
    if not records:
        return batch
    fit = PART_BYTES * records // max(1, length)
    return max(1, min(PART, fit if length else PART) // batch) * batch
