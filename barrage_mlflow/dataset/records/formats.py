"""Reads records from whatever they are in: each format has a module of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.csv_files import csv_chunks, csv_lines
from barrage_mlflow.dataset.records.files import file_name, kind_of, no_records
from barrage_mlflow.dataset.records.frames import read_frame
from barrage_mlflow.dataset.records.json_files import json_chunks
from barrage_mlflow.dataset.records.sources import Chunk, Source, check_names

if TYPE_CHECKING:
    import pandas as pd

    from barrage_mlflow.dataset.records.records import Records

LEARNT_CELLS = 2_000_000
"""Of so many cells, at least, the kinds of columns are learnt where a file has them."""

RecordSource: TypeAlias = (
    "pd.DataFrame | Sequence[Mapping[str, Any]] | Records | str | os.PathLike[str]"
)
"""What ``Records.read`` takes."""


def read_source(
    source: Any, name: str | None, limit: int | None, schema: Schema
) -> tuple[Source, str, str]:
    """The cells of a file, a DataFrame or dicts; see ``Records.read``.

    Returns:
        The cells; what messages call them; and the path or URL of the file, else an empty string.

    Raises:
        RecordError: the file is missing, empty or not of its kind; or they are no records.
    """
    if not isinstance(source, (str, os.PathLike)):
        return read_frame(source, name or "the records"), name or "", ""
    path = os.fspath(source)
    kind = kind_of(path)
    if kind == "parquet":
        # Imported late, since pyarrow takes long to load.
        from barrage_mlflow.dataset.records.parquet_files import ParquetFiles

        found: Source = ParquetFiles(path, limit)
    else:
        found = source_of(path, kind, schema, _enough(chunks_of(path, kind, schema), limit))
    if not sum(found.groups):
        raise no_records(path)
    return found, file_name(path) if name is None else name, path


def _enough(chunks: Iterable[Chunk], limit: int | None) -> list[Chunk]:
    """All chunks, or as many as hold more records than are wanted, and what kinds are learnt of."""
    held: list[Chunk] = []
    count = 0
    for chunk in chunks:
        held.append(chunk)
        count += chunk.length
        if limit is not None and count > limit and count * len(chunk.cells) >= LEARNT_CELLS:
            break
    return held


def chunks_of(path: str, kind: str, schema: Schema) -> Iterator[Chunk]:
    """The records of a file, chunk by chunk.

    Args:
        path: a path, or a URL that fsspec opens.
        kind: as :func:`kind_of` has it.
        schema: which columns are spelt; of Parquet, no others are read.

    Raises:
        RecordError: the file is empty, or not of its kind.
    """
    if kind == "csv":
        return csv_chunks(path, schema)
    if kind == "parquet":
        from barrage_mlflow.dataset.records.parquet_files import parquet_chunks

        return parquet_chunks(path, list(schema.columns))
    return json_chunks(path, is_lines=kind == "jsonl")


def source_of(
    path: str,
    kind: str,
    schema: Schema,
    chunks: Sequence[Chunk],
    first: int = 0,
    names: Sequence[str] = (),
) -> Source:
    """Chunks of a file that follow each other, and how its lines and its spelling are found.

    Args:
        path: of the file.
        kind: as :func:`kind_of` has it.
        schema: as the chunks were read with it.
        chunks: the records.
        first: the number in the file of the first of them.
        names: of columns that records before them have.

    Raises:
        RecordError: a column has no name.
    """
    names = list(dict.fromkeys([*names, *(name for chunk in chunks for name in chunk.cells)]))
    check_names(names, path)
    if kind == "csv":
        end = first + sum(chunk.length for chunk in chunks)
        lines = partial(csv_lines, path, schema, end, first)
        return Source(names, chunks, first, lines, partial(csv_chunks, path, schema))
    known = [line for chunk in chunks for line in chunk.lines or []]
    return Source(names, chunks, first, known.copy if known else None)
