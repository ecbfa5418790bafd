"""Reads record files: CSV, JSON, JSON Lines and Parquet, from disk or through fsspec.

Every way in which a file can be unfit ends in a RecordError that names the file, what was
expected of it and what to do.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice
from pathlib import PurePath
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from barrage_mlflow.dataset.records.tables import Lines
from barrage_mlflow.dataset.records.unreadable import UNREADABLE, WANTED, reading
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

    from barrage_mlflow.dataset.records.parquet import ParquetFiles

_KINDS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_KINDS |= {".parquet": "parquet", ".pq": "parquet"}
_COMPRESSIONS = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
_HEAD = 1 << 16
"""Bytes that are read at once where little of a file is wanted."""

Read: TypeAlias = "pd.DataFrame | list[dict[str, Any]] | ParquetFiles"
"""What reading a file gives; of Parquet no more than the footers are read."""


def read_file(
    source: str, limit: int | None = None, text: Collection[str] = ()
) -> tuple[Read, Lines | None, bool]:
    """The records of a file or Parquet folder, and how to find the line of each.

    Args:
        source: a path, or a URL that fsspec opens.
        limit: of a large file, read this many records and little more than their bytes. A JSON
            list can only be read whole.
        text: columns of a CSV file that are read as text, whatever they hold.

    Returns:
        The records; the line of each, where the kind of file has lines; and whether the limit
        left some unread.

    Raises:
        RecordError: the file is missing, empty, not of the kind that its name says, or holds
            no records.
    """
    kind = kind_of(source)
    rows: Read
    lines: Lines | None = None
    more = False
    if kind == "csv":
        rows, more = _read_csv(source, limit, text)
        lines = partial(csv_lines, source, limit)
    elif kind == "jsonl":
        rows, starts, more = _read_jsonl(source, limit)
        lines = starts.copy
    elif kind == "json":
        rows = _read_json(source)
    else:
        from barrage_mlflow.dataset.records.parquet import ParquetFiles

        rows = ParquetFiles(source, limit)
        more = rows.more
    if not len(rows):
        raise RecordError(f"{source} holds no records; give a file with at least one record")
    return rows, lines, more


def kind_of(source: str) -> str:
    """What a file is by its name: ``"csv"``, ``"json"``, ``"jsonl"`` or ``"parquet"``.

    Raises:
        RecordError: it is not there, or none of these.

    Example:
        >>> kind_of("train.txt")
        Traceback (most recent call last):
        barrage_mlflow.errors.RecordError: train.txt: no such file; expected a CSV ...
    """
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(source)
        is_folder, is_there = files.isdir(path), files.exists(path)
    except (ValueError, ImportError, OSError) as error:
        raise RecordError(f"{source} cannot be opened: {error}") from error
    if not is_there:
        raise RecordError(
            f"{source}: no such file; expected {WANTED}, or a folder of Parquet files"
        )
    if is_folder:
        if not files.glob(path.rstrip("/") + "/**/*.parquet"):
            raise RecordError(f"{source} is a folder without .parquet files; expected {WANTED}")
        return "parquet"
    name = PurePath(urlsplit(source).path if "://" in source else source)
    if name.suffix.lower() in _COMPRESSIONS:
        name = name.with_suffix("")
    extension = name.suffix.lower()
    if extension not in _KINDS:
        shown = f"the extension '{name.suffix}'" if extension else "no extension"
        raise RecordError(f"{source} has {shown}; expected {WANTED}")
    return _KINDS[extension]


def open_file(source: str) -> tuple[IO[bytes], IO[bytes]]:
    """Open a file: what is in it, and the file itself, which differs where it is compressed."""
    import fsspec

    opened = fsspec.open(source, "rb", compression="infer")
    handle: IO[bytes] = opened.open()
    return handle, opened.fobjects[0]


def _open(source: str) -> IO[bytes]:
    return open_file(source)[0]


def _empty(source: str, kind: str) -> RecordError:
    return RecordError(f"{source} is empty; expected {kind} with at least one record")


def _read_json(source: str) -> list[dict[str, Any]]:
    with reading(source, "JSON", (*UNREADABLE, RecursionError)):
        with _open(source) as handle:
            text = handle.read().decode("utf-8-sig")
        if not text.strip():
            raise _empty(source, "JSON")
        rows = json.loads(text)
    if not isinstance(rows, list):
        raise RecordError(
            f"{source} holds {_json_name(rows)}; expected a list of objects, one for each record"
        )
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RecordError(
                f"{source}, record {position}: expected an object, got {_json_name(row)}"
            )
    return rows


def _read_jsonl(source: str, limit: int | None) -> tuple[list[dict[str, Any]], list[int], bool]:
    with reading(source, "JSON Lines"), _open(source) as handle:
        lines = json_lines(source, handle)
        found = list(islice(lines, limit))
        more = len(found) == limit and _goes_on(lines)
    if not found:
        raise _empty(source, "JSON Lines")
    return [row for _, row in found], [number for number, _ in found], more


def json_lines(source: str, handle: IO[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
    r"""The records of a JSON Lines file, and the number of the line of each.

    Args:
        source: what messages call the file.
        handle: the file, opened.

    Raises:
        RecordError: a line that is not blank holds no record.

    Example:
        >>> list(json_lines("t.jsonl", io.BytesIO(b'{"a": 1}\n\n{"a": 2}')))
        [(1, {'a': 1}), (3, {'a': 2})]
    """
    # By bytes, not by str.splitlines: it breaks at characters that JSON allows in a string.
    for number, line in enumerate(handle, start=1):
        text = line.removesuffix(b"\n").decode("utf-8-sig" if number == 1 else "utf-8")
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecordError(
                f"{source}, line {number}: not JSON: {error}; expected one object on each line"
            ) from error
        if not isinstance(row, dict):
            raise RecordError(f"{source}, line {number}: expected an object, got {_json_name(row)}")
        yield number, row


def _goes_on(rows: Iterator[Any]) -> bool:
    """Whether another record follows, be it a broken one."""
    try:
        return next(rows, None) is not None
    except (RecordError, Warning, *UNREADABLE):
        return True


def _json_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")


def _read_csv(source: str, limit: int | None, text: Collection[str]) -> tuple[pd.DataFrame, bool]:
    import pandas as pd

    with reading(source, "CSV"):
        with _open(source) as handle:
            _check_csv_head(source, handle.read(_HEAD))
        try:
            with _open(source) as handle, warnings.catch_warnings():
                # Rows that are longer than the header would be cut with a warning.
                warnings.simplefilter("error", pd.errors.ParserWarning)
                with csv_rows(handle, dtype=dict.fromkeys(text, str), chunksize=1) as rows:
                    return rows.read(limit), limit is not None and _goes_on(rows)
        except pd.errors.ParserWarning as error:
            raise RecordError(
                f"{source} is not CSV: rows hold more fields than the header names; "
                "name every column"
            ) from error


def csv_rows(handle: IO[bytes], **options: Any) -> Any:
    """A CSV file as pandas reads it by the part; types are judged over the whole of a part."""
    import pandas as pd

    return pd.read_csv(handle, index_col=False, low_memory=False, iterator=True, **options)


def _check_csv_head(source: str, head: bytes) -> None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise RecordError(f"{source} is empty; expected CSV with a header and one record or more")
    other = {b"PAR1": "Parquet", b"[{": "JSON", b"{": "JSON", b"<!": "HTML", b"<html": "HTML"}
    for mark, name in other.items():
        if start.lower().startswith(mark.lower()):
            raise RecordError(f"{source} is not CSV but looks like {name}; expected {WANTED}")
    if b"\0" in head:
        raise RecordError(f"{source} is not CSV but a binary file; expected {WANTED}")
    text = start.decode("utf-8", "replace")
    header = next(csv.reader(io.StringIO(text, newline="")))
    twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
    if twice:
        raise RecordError(f"{source} names the column '{twice[0]}' twice; rename one of them")


def csv_lines(source: str, limit: int | None = None, first: int = 0) -> list[int] | None:
    r"""The line of each record of a CSV file; None where that cannot be told.

    The file is read again for it, and only when an error wants it.

    Args:
        source: the file.
        limit: the number of the record to end before, the last one if left out.
        first: the number of the record to begin with.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(f"{folder}/train.csv", "w") as file:
        ...         _ = file.write('a\n"x\ny"\n\nz\n')
        ...     csv_lines(f"{folder}/train.csv")
        [2, 5]
    """
    starts: list[int] = []
    count = -1  # of records, with the header
    try:
        with _open(source) as handle:
            # What is no text may stand behind the records that were read.
            text = io.TextIOWrapper(handle, "utf-8-sig", errors="surrogateescape", newline="")
            reader = csv.reader(text)
            line = 1
            for row in reader:
                if len(row) == 1 and row[0].isspace():
                    return None  # pandas skips a line of blanks, but not blanks in quotes
                if row:
                    if count >= first:
                        starts.append(line)
                    count += 1
                if count == limit:
                    break
                line = reader.line_num + 1
    except (*UNREADABLE, csv.Error):
        return None
    return starts
