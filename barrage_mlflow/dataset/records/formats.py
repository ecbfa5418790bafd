"""Reads records from whatever they are in: each format has a module of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from barrage_mlflow.dataset.records.csv_files import read_csv
from barrage_mlflow.dataset.records.files import file_name, kind_of, no_records
from barrage_mlflow.dataset.records.frames import read_frame
from barrage_mlflow.dataset.records.json_files import read_json
from barrage_mlflow.dataset.records.kinds import Schema
from barrage_mlflow.dataset.records.sources import Source

if TYPE_CHECKING:
    import pandas as pd

    from barrage_mlflow.dataset.records.records import Records

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
    found: Source
    if kind == "csv":
        found = read_csv(path, limit, schema)
    elif kind == "parquet":
        # Imported late, since pyarrow takes long to load.
        from barrage_mlflow.dataset.records.parquet_files import ParquetFiles

        found = ParquetFiles(path, limit)
    else:
        found = read_json(path, limit, is_lines=kind == "jsonl")
    if not sum(found.groups):
        raise no_records(path)
    return found, file_name(path) if name is None else name, path
