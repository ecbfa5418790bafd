"""Turns scores into the bytes of a file, some records at a time: CSV, JSON, JSON Lines, Parquet.

What a writer gives for some rows is appended to a file of rows, of which :meth:`RowWriter.finish`
makes the file that was asked for. Parquet has its table of contents at the end, and cannot be
appended to: its rows are kept as Arrow streams meanwhile, each with types of its own.
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

from barrage_mlflow.dataset import native
from barrage_mlflow.errors import ArtifactError

Columns = Mapping[str, Any]
"""By name, in the order of the columns: an array ``(records, ...)``, an Arrow array, or a list."""

_GROUP = 1 << 16
"""Records in a row group of Parquet."""
_GROUP_BYTES = 1 << 26
# Made once, since making it takes longer than a row.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str)
_ONE_TYPE = "Parquet takes values of one type in a column"
_OTHERS = "write .jsonl or .csv, which take any value"


class RowWriter:
    r"""Writes one format; this one is JSON Lines.

    Example:
        >>> make_writer(Path("scores.jsonl")).encode({"p": np.array([0.5])}, first=True)
        b'{"p": 0.5}\n'
    """

    def encode(self, columns: Columns, first: bool) -> Any:
        """The bytes of some rows.

        Args:
            columns: of the rows.
            first: whether there are none before them.

        Raises:
            ArtifactError: the format does not take it.
        """
        return "".join(f"{row}\n" for row in _json_rows(columns)).encode()

    def end(self) -> bytes:
        """The bytes behind the last row."""
        return b""

    def finish(self, rows: Path) -> Path:
        """Make the file of all rows what was asked for; return where it lies, beside it or as it.

        Raises:
            ArtifactError: the format does not take it.
        """
        return rows


def make_writer(path: Path) -> RowWriter:
    """Make the writer for a file, by its ending.

    Raises:
        ArtifactError: there is none, or the folder of the file is not there.

    Example:
        >>> make_writer(Path("scores.txt"))
        Traceback (most recent call last):
        barrage_mlflow.errors.ArtifactError: scores.txt: expected a file ending in .json, .jsonl, \
.csv, .parquet, got .txt
    """
    kinds = {".json": _JsonList, ".jsonl": RowWriter, ".csv": _Csv, ".parquet": _Parquet}
    if path.suffix not in kinds:
        ending = path.suffix or "no ending"
        raise ArtifactError(f"{path}: expected a file ending in {', '.join(kinds)}, got {ending}")
    if not path.parent.is_dir():
        raise ArtifactError(f"{path}: no folder {path.parent}; make it, or name another one")
    return kinds[path.suffix]()


class _JsonList(RowWriter):
    """A list of objects."""

    def encode(self, columns: Columns, first: bool) -> bytes:
        return (("[" if first else ",\n") + ",\n".join(_json_rows(columns))).encode()

    def end(self) -> bytes:
        return b"]\n"


class _Csv(RowWriter):
    """CSV with a header; lists and dicts in a cell are JSON, what is missing is an empty cell."""

    def encode(self, columns: Columns, first: bool) -> bytes:
        import pandas as pd

        frame = pd.DataFrame({name: _csv_column(column) for name, column in columns.items()})
        options: Any = {"index": False, "header": first, "lineterminator": "\n"}
        text: str = frame.to_csv(**options)
        if "\r" in text:  # which ends a line, and is not quoted otherwise
            text = frame.to_csv(quoting=csv.QUOTE_NONNUMERIC, **options)
        return text.encode("utf-8", "backslashreplace")


class _Parquet(RowWriter):
    """Parquet, of which each column has the narrowest type that all its values fit.

    Whole numbers become floating-point ones if there are such among them, and nothing at all
    becomes whatever follows.
    """

    def __init__(self) -> None:
        self._schema: pa.Schema | None = None

    def encode(self, columns: Columns, first: bool) -> Any:
        table = pa.table({name: _arrow(name, column) for name, column in columns.items()})
        # Now rather than at the end, when all is scored.
        self._schema = _common(self._schema, table.schema)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return sink.getvalue()

    def finish(self, rows: Path) -> Path:
        whole, schema = rows.with_name("whole.parquet"), None
        for table in _tables(rows):
            schema = _common(schema, table.schema)
        with pq.ParquetWriter(whole, schema) as writer:
            group: list[pa.Table] = []
            for table in _tables(rows):
                group.append(table)
                full = sum(map(len, group)) >= _GROUP
                if full or sum(each.nbytes for each in group) >= _GROUP_BYTES:
                    writer.write_table(_joined(group, schema))
                    group = []
            if group:
                writer.write_table(_joined(group, schema))
        return whole


def _json_rows(columns: Columns) -> Iterator[str]:
    """Each row as an object; JSON has no word for NaN and infinity: null takes their place."""
    cells = [_cells(column) for column in columns.values()]
    return (_json(dict(zip(columns, row, strict=True))) for row in zip(*cells, strict=True))


def _json(value: Any) -> str:
    try:
        text = _ENCODER.encode(value)
        text.encode()
    except UnicodeEncodeError:  # half a character, which JSON can name
        return json.dumps(json.loads(text))
    except ValueError:
        return _json(_finite(value))
    return text


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


def _csv_column(column: Any) -> Any:
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype != object:
        return column
    cells = np.empty(len(column), object)
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":
        cells[:] = list(map(str, column.tolist()))  # the same, and faster
    else:
        plain = _cells(column)
        cells[:] = [_json(cell) if isinstance(cell, list | dict) else cell for cell in plain]
    return cells


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
        raise ArtifactError(f"column '{name}': {_ONE_TYPE} ({error}); {_OTHERS}") from error


def _tables(rows: Path) -> Iterator[pa.Table]:
    """What :meth:`_Parquet.encode` gave, one by one."""
    with pa.OSFile(str(rows)) as source:
        while source.tell() < source.size():
            with pa.ipc.open_stream(source) as stream:
                yield stream.read_all()


def _common(known: pa.Schema | None, new: pa.Schema) -> pa.Schema:
    """The types that fit the rows so far and the new ones."""
    if known is None or known.equals(new):
        return new
    try:
        return pa.unify_schemas([known, new], promote_options="permissive")
    except pa.ArrowException as error:
        raise ArtifactError(f"{_ONE_TYPE} ({error}); {_OTHERS}") from error


def _joined(tables: list[pa.Table], schema: pa.Schema) -> pa.Table:
    """All rows, with the types of a schema."""
    tables = [schema.empty_table(), *tables]
    columns = []
    for field in schema:
        parts = [table.select([field.name]) for table in tables]
        try:
            columns += pa.concat_tables(parts, promote_options="permissive").columns
        except pa.ArrowInvalid as error:
            raise ArtifactError(
                f"column '{field.name}': {field.type} cannot represent all its values ({error}); "
                f"{_OTHERS}"
            ) from error
    return pa.table(columns, schema=schema)
