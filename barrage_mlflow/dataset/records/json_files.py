"""Reads JSON and JSON Lines files, in chunks of records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from barrage_mlflow.dataset.records.files import (
    UNREADABLE,
    no_records,
    open_file,
    reading,
    share_read,
)
from barrage_mlflow.dataset.records.sources import Chunk, cells_of_rows
from barrage_mlflow.errors import RecordError

_CHUNK = 1 << 14
"""Records in a chunk, at most."""
_BYTES = 1 << 25
"""Where as many records take more than about this, a chunk holds fewer."""


def json_chunks(source: str, is_lines: bool) -> Iterator[Chunk]:
    """The records of a file, in chunks of some thousand.

    Args:
        source: a path, or a URL that fsspec opens.
        is_lines: whether each line is a record.

    Raises:
        RecordError: the file is empty, or holds anything but records.
    """
    handle, file = open_file(source)
    if not is_lines:
        with handle:
            rows = _read_list(source, handle)[1]
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            yield Chunk(cells_of_rows(part), len(part), (start + len(part)) / len(rows))
        return
    done, size = 0, min(64, _CHUNK)  # as long as it is not known how large records are
    with reading(source, "JSON Lines"), handle:
        lines = ((number, row) for number, row, _ in json_lines(source, handle))
        while some := list(islice(lines, size)):
            rows = [row for _, row in some]
            done += len(some)
            size = max(1, min(_CHUNK, _BYTES * done // max(1, handle.tell())))
            yield Chunk(cells_of_rows(rows), len(rows), share_read(file), [n for n, _ in some])
        if not done:
            raise no_records(source)


def json_texts(source: str, is_lines: bool) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each record of a file, as its bytes and as what they hold.

    Args:
        source: a path, or a URL that fsspec opens.
        is_lines: whether each line is a record.

    Raises:
        RecordError: the file is empty, or holds anything but records.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with open(f"{folder}/train.json", "w") as file:
        ...         _ = file.write('[{"a": 1.00}, {"a":2}]')
        ...     list(json_texts(f"{folder}/train.json", is_lines=False))
        [(b'{"a": 1.00}', {'a': 1.0}), (b'{"a":2}', {'a': 2})]
    """
    with reading(source, "JSON Lines" if is_lines else "JSON"), open_file(source)[0] as handle:
        if is_lines:
            yield from ((line, row) for _, row, line in json_lines(source, handle))
            return
        text, rows = _read_list(source, handle)
    end = 0
    for row in rows:
        start = text.index("{", end)
        end = json.JSONDecoder().raw_decode(text, start)[1]
        yield text[start:end].encode(), row


def _read_list(source: str, handle: IO[bytes]) -> tuple[str, list[dict[str, Any]]]:
    with reading(source, "JSON", (*UNREADABLE, RecursionError)):
        text = handle.read().decode("utf-8-sig")
        if not text.strip():
            raise no_records(source)
        rows = json.loads(text)
    if not isinstance(rows, list):
        hint = ""
        if isinstance(rows, dict) and all(isinstance(column, dict) for column in rows.values()):
            hint = '; pandas writes one with frame.to_json(path, orient="records")'
        raise RecordError(
            f"{source} holds {_json_name(rows)}; expected a list of objects, one for each "
            f"record{hint}"
        )
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise RecordError(
                f"{source}, record {position}: expected an object, got {_json_name(row)}"
            )
    return text, rows


def json_lines(source: str, handle: IO[bytes]) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    r"""The records of a JSON Lines file, each with its line: its number and its bytes.

    Args:
        source: what messages call the file.
        handle: the file, opened.

    Raises:
        RecordError: a line that is not blank holds no record.

    Example:
        >>> import io
        >>> list(json_lines("t.jsonl", io.BytesIO(b'{"a": 1}\n\n{"a": 2}')))
        [(1, {'a': 1}, b'{"a": 1}\n'), (3, {'a': 2}, b'{"a": 2}')]
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
        yield number, row, line


def _json_name(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a truth value"}
    return names.get(type(value), "null" if value is None else "a number")
