"""A file of records, read in consecutive parts: each when it is asked for, and none is kept.

What a model knows of its columns decides how a part is read, so that a record is the same in
whichever part it stands, and as if the file was read at once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.files import file_name, kind_of, list_files, no_records
from barrage_mlflow.dataset.records.formats import chunks_of, source_of
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import Chunk, no_such_column
from barrage_mlflow.dataset.records.tables import Table
from barrage_mlflow.dataset.records.windows import make_windows
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

PART = 1 << 14
"""Records in a part, at most, unless a batch is larger."""


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
        roots: of columns in which strings are paths of files, as :meth:`Schema.with_roots` has
            them.

    Attributes:
        source: as given, as a string.
        name: what messages call it.
        keep: as given, each name once.
        roots: as given.

    Raises:
        RecordError: the file is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "train.csv")
        ...     with open(path, "w") as file:
        ...         _ = file.write("id,a\n007,1\n008,2\n009,3\n")
        ...     schema = Schema({"a": Column("a", "whole")}, is_complete=True)
        ...     for part in Parts(path, keep=["id"]).read(schema, batch=2):
        ...         print(part.records["a"], part.kept["id"], part.records.place(0))
        [1 2] ['007', '008'] train.csv, record 0 (line 2)
        [3] ['009'] train.csv, record 2 (line 4)
    """

    def __init__(
        self, source: str | os.PathLike[str], keep: Sequence[str] = (), roots: Sequence[str] = ()
    ) -> None:
        self.source = os.fspath(source)
        self.name = file_name(self.source)
        self.roots = list(roots)
        self.keep = list(dict.fromkeys(keep))
        self._kind = kind_of(self.source)
        list_files(self.source)  # which raises where there is none

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

    def read(self, schema: Schema, batch: int = PART, done: int = 0) -> Iterator[Part]:
        r"""The parts in their order; where one ends does not depend on where reading begins.

        Args:
            schema: the columns that scoring reads; of Parquet no others are read.
            batch: each part but the last holds a multiple of this many records.
            done: begin with the part that holds the record of this number. A file of text is
                read up to there.

        Raises:
            RecordError: what is read is empty, damaged or not of its kind, or lacks a column, also
                one to keep (of JSON Lines the first part tells the columns); or there is no such
                column of bytes as a root is given for.

        Example:
            >>> import tempfile
            >>> schema = Schema({"a": Column("a", "whole")}, is_complete=True)
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = os.path.join(folder, "train.jsonl")
            ...     with open(path, "w") as file:
            ...         _ = file.write('{"a": 1}\n{"a": 2}\n{"a": 3}')
            ...     [part.records["a"] for part in Parts(path).read(schema, batch=2, done=2)]
            [array([3])]
        """
        schema = schema.with_roots(self.roots)
        kept = {name: Column(name, "text") for name in self.keep}
        spelling = replace(schema, columns={**schema.columns, **kept})
        names: list[str] = []
        first = 0
        found = chunks_of(self.source, self._kind, spelling)
        # Of windows, the rows of any group may follow later.
        for chunks in [[*found]] if schema.windows else _in_batches(found, batch):
            # A key that a later record has no more is missing there.
            source = source_of(self.source, self._kind, schema, chunks, first, names)
            names = source.columns
            if not first:
                self._check_kept(names)
            first += sum(source.groups)
            if first > done:
                yield self._part(chunks, Table(source, schema, self.name))
        if not first:
            raise no_records(self.source)

    def _check_kept(self, columns: Sequence[str]) -> None:
        if self.keep and self._kind == "parquet":  # of which no others are read
            # Imported late, since it takes long.
            from barrage_mlflow.dataset.records.parquet_files import ParquetFiles

            columns = ParquetFiles(self.source).columns
        for name in self.keep:
            if name not in columns:
                raise RecordError(no_such_column(name, columns, self.name))

    def _part(self, chunks: list[Chunk], table: Table) -> Part:
        kept = {name: _as_written([chunk.column(name) for chunk in chunks]) for name in self.keep}
        if asked := table.schema.windows:
            table = windows = make_windows(table, slice(0, len(table)), asked)
            kept = {name: _take(cells, windows.last_rows()) for name, cells in kept.items()}
        records = Records(table, None, self.source)
        return Part(records, table.source.first, kept, chunks[-1].share)


def _in_batches(chunks: Iterable[Chunk], batch: int) -> Iterator[list[Chunk]]:
    """The same chunks, cut so that some together are whole batches; the last need not be."""
    most = max(1, PART // batch) * batch
    held: list[Chunk] = []
    count = 0
    for chunk in chunks:
        start = 0
        while count + chunk.length - start >= batch:
            take = min(most, (count + chunk.length - start) // batch * batch) - count
            yield [*held, chunk.cut(start, start + take)]
            held, count, start = [], 0, start + take
        if start < chunk.length:
            held.append(chunk.cut(start, chunk.length))
            count += chunk.length - start
    if held:
        yield held


def _as_written(parts: list[Any]) -> Any:
    """Cells to keep: an Arrow array of Parquet's types, else a list of plain values."""
    if all(hasattr(part, "type") and str(part.type) == "string" for part in parts):
        return [cell for part in parts for cell in part.to_pylist()]
    if all(hasattr(part, "type") for part in parts):
        import pyarrow as pa

        return pa.chunked_array(parts)
    return [cell for part in parts for cell in part.tolist()]


def _take(cells: Any, rows: Array) -> Any:
    return [cells[row] for row in rows.tolist()] if isinstance(cells, list) else cells.take(rows)
