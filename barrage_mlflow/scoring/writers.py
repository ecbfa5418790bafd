"""Turns scores into the bytes of a file, some records at a time: CSV, JSON, JSON Lines, Parquet.

The bytes of some rows are appended to a file of rows, of which :func:`make_file` makes the file
that was asked for. Parquet has its table of contents at the end, and cannot be appended to: its
rows are kept as Arrow streams meanwhile, each with types of its own.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from barrage_mlflow.dataset.records.values import native, objects
from barrage_mlflow.errors import ArtifactError

Columns = Mapping[str, Any]
"""By name, in the order of the columns: an array ``(records, ...)``, an Arrow array, or a list."""

_FORMATS = (".json", ".jsonl", ".csv", ".parquet")
_GROUP = 1 << 16
"""Records in a row group of Parquet."""
_WRITTEN_AT_ONCE = 1 << 26
"""Bytes of Parquet's rows that are held in memory."""
# Made once, since making it takes longer than a row.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)
_OTHERS = "Parquet takes values of one type in a column; write .jsonl or .csv, which take any value"


def check_target(path: Path) -> None:
    """Refuse a file that cannot be written, by its ending and its folder.

    Raises:
        ArtifactError: there is no such format, or the folder is not there.

    Example:
        >>> check_target(Path("scores.txt"))
        Traceback (most recent call last):
        barrage_mlflow.errors.ArtifactError: scores.txt: expected a file ending in .json, .jsonl, \
.csv, .parquet, got .txt
    """
    if path.suffix not in _FORMATS:
        ending = path.suffix or "no ending"
        expected = ", ".join(_FORMATS)
        raise ArtifactError(f"{path}: expected a file ending in {expected}, got {ending}")
    if not path.parent.is_dir():
        raise ArtifactError(f"{path}: no folder {path.parent}; make it, or name another one")


def encode_rows(columns: Columns, suffix: str, first: bool = True) -> Any:
    r"""The bytes of some rows, in the format of a file.

    Args:
        columns: of the rows.
        suffix: the ending of the file.
        first: whether there are none before them.

    Raises:
        ArtifactError: the format does not take it.

    Example:
        >>> encode_rows({"p": np.array([0.5])}, ".jsonl")
        b'{"p": 0.5}\n'
    """
    if suffix == ".parquet":
        return _arrow_stream(columns)
    if suffix == ".csv":
        text = _csv_text(columns, first)
    elif suffix == ".json":
        text = ("[" if first else ",\n") + ",\n".join(_json_rows(columns))
    else:
        text = "".join(f"{row}\n" for row in _json_rows(columns))
    # Half a character becomes \ud800, as JSON names it.
    return text.encode("utf-8", "backslashreplace")


def make_file(rows: Path, suffix: str) -> Path:
    """Make what was asked for of the file of all rows; return where it lies, beside it or as it.

    Args:
        rows: the bytes of all rows, in their order.
        suffix: the ending of the file.

    Raises:
        ArtifactError: the format does not take it.
    """
    if suffix == ".json":
        with rows.open("ab") as file:
            file.write(b"]\n")
    return _parquet(rows) if suffix == ".parquet" else rows


def _json_rows(columns: Columns) -> Iterator[str]:
    """Each row as an object; JSON has no word for NaN and infinity: null takes their place."""
    cells = [_cells(column) for column in columns.values()]
    return (to_json(dict(zip(columns, row, strict=True))) for row in zip(*cells, strict=True))


def to_json(value: Any) -> str:
    """Write it as JSON, with null in the place of NaN and infinity.

    Example:
        >>> to_json({"price": float("nan"), "from": Path("a.csv")})
        '{"price": null, "from": "a.csv"}'
    """
    try:
        return _ENCODER.encode(value)
    except ValueError:
        return _ENCODER.encode(_finite(value))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value


def _cells(column: Any) -> list[Any]:
    """The cells of a column in plain Python."""
    if isinstance(column, np.ndarray):
        cells: list[Any] = column.tolist()
        return [native(cell) for cell in cells] if column.dtype == object else cells
    is_arrow = isinstance(column, (pa.Array, pa.ChunkedArray))
    return column.to_pylist() if is_arrow else list(column)


def _csv_text(columns: Columns, header: bool) -> str:
    """CSV; lists and dicts in a cell are JSON, what is missing is an empty cell."""
    import pandas as pd

    frame = pd.DataFrame({name: _csv_column(column) for name, column in columns.items()})
    options: Any = {"index": False, "header": header, "lineterminator": "\n"}
    text: str = frame.to_csv(**options)
    if "\r" in text:  # which ends a line, and is not quoted otherwise
        text = frame.to_csv(quoting=csv.QUOTE_NONNUMERIC, **options)
    return text


def _csv_column(column: Any) -> Any:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype != object:
        return column
    cells = _cells(column)
    return objects([to_json(cell) if isinstance(cell, list | dict) else cell for cell in cells])


def _arrow_stream(columns: Columns) -> Any:
    table = pa.table({name: _arrow(name, column) for name, column in columns.items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _arrow(name: str, column: Any) -> Any:
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        kind = column.type
        return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column
    if isinstance(column, np.ndarray) and column.dtype.kind in "iufb":
        if column.dtype == np.float16:
            column = column.astype(np.float32)
        values = pa.array(column.reshape(-1))
        for axis in range(column.ndim - 1, 0, -1):
            lists = math.prod(column.shape[:axis])
            ends = np.arange(lists + 1, dtype=np.int32) * column.shape[axis]
            values = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)
        return values
    try:
        return pa.array(_cells(column))
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        raise ArtifactError(f"column '{name}': {error}; {_OTHERS}") from error


def _parquet(rows: Path) -> Path:
    """Parquet, of which each column has the narrowest type that all its values fit.

    Whole numbers become floating-point ones if there are such among them, and nothing at all
    becomes whatever the other rows have.
    """
    whole = rows.with_name("whole.parquet")
    try:
        schema = pa.unify_schemas(
            [table.schema for table in _tables(rows)], promote_options="permissive"
        )
        with pq.ParquetWriter(whole, schema) as writer:
            held = schema.empty_table()
            for table in _tables(rows):
                held = pa.concat_tables([held, table], promote_options="permissive")
                if held.nbytes >= _WRITTEN_AT_ONCE:
                    writer.write_table(held, _GROUP)
                    held = schema.empty_table()
            if len(held):
                writer.write_table(held, _GROUP)
    except pa.ArrowException as error:
        raise ArtifactError(f"{error}; {_OTHERS}") from error
    return whole


def _tables(rows: Path) -> Iterator[pa.Table]:
    """The rows of each Arrow stream, one by one."""
    with pa.OSFile(str(rows)) as source:
        while source.tell() < source.size():
            with pa.ipc.open_stream(source) as stream:
                yield stream.read_all()
