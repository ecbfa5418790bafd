"""The table over whatever records are read from: a DataFrame, dicts, or an opened Parquet file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.records.columns import (
    Column,
    PlainColumn,
    column_of_cells,
    column_of_series,
)
from barrage_mlflow.dataset.records.readers import read_file
from barrage_mlflow.dataset.records.tables import Lines, Table
from barrage_mlflow.errors import RecordError, hide_secrets

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {np.dtype(np.int64), np.dtype(np.float64)}
_SHORT = 1 << 13
"""Rows of a frame whose columns are best taken out together."""


def open_source(
    source: Any, name: str | None, limit: int | None, text: Collection[str]
) -> tuple[Table, str, str, bool]:
    """The table over a file, a DataFrame or dicts; see ``Records.read``.

    Returns:
        The table; what messages call it; the path or URL of the file, else an empty string; and
        whether the limit left some of the file unread.
    """
    if not isinstance(source, (str, os.PathLike)):
        return make_table(source, name or "", None), name or "", "", False
    path = os.fspath(source)
    data, lines, more = read_file(path, limit, text)
    shown = file_name(path) if name is None else name
    return make_table(data, shown, lines), shown, path, more


def file_name(path: str) -> str:
    """What messages call a file or folder.

    Example:
        >>> file_name("s3://birds/train.csv"), file_name("parts/")
        ('train.csv', 'parts')
    """
    return hide_secrets(path).rstrip("/").rpartition("/")[2]


def make_table(data: Any, name: str, lines: Lines | None) -> Table:
    """The table over a DataFrame or a sequence of dicts; neither is ever written to."""
    owner = name or "the records"
    if hasattr(data, "groups") and hasattr(data, "schema"):
        _check_names(data.columns, owner)
        # Known for what it is without its module: that takes long to load.
        from barrage_mlflow.dataset.records.parquet_tables import ParquetTable

        return ParquetTable(data)
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        names = data.columns.tolist()
        _check_names(names, owner)
        return Table(names, len(data), _columns_of(data, names), lines)
    if isinstance(data, Mapping) or not isinstance(data, Sequence):
        raise RecordError(
            f"{owner}: expected a DataFrame, a list of dicts or a path, got {type(data).__name__}"
        )
    for position, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise RecordError(
                f"{owner}, record {position}: expected a dict, got {type(row).__name__}"
            )
    rows = [dict(row) for row in data]
    names = list(dict.fromkeys(key for row in rows for key in row))
    _check_names(names, owner)
    return Table(
        names, len(rows), lambda key: column_of_cells([row.get(key) for row in rows]), lines
    )


def _columns_of(frame: pd.DataFrame, names: list[str]) -> Callable[[str], Column]:
    """What makes the columns of a frame; later changes by the caller stay theirs."""
    if len(frame) <= _SHORT and len(dtypes := set(frame.dtypes)) == 1 and dtypes <= _NUMBERS:
        # A request. Taking each column out of its frame would cost more than scoring it.
        columns = dict(zip(names, frame.to_numpy().T.copy(), strict=True))
        return lambda key: PlainColumn(columns[key])
    held = frame.copy(deep=False)  # copy-on-write
    return lambda key: column_of_series(held[key])


def _check_names(names: list[Any], owner: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise RecordError(
                f"{owner}: expected strings as column names, got {name!r}; "
                "rename the column, as in frame.rename(columns=str)"
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordError(f"{owner}: the column '{twice}' stands twice; rename one of them")
