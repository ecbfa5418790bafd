"""One look at every value of a set: a digest of its content, and what its columns hold."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.records.tables import PIECE
from barrage_mlflow.dataset.types import Array

if TYPE_CHECKING:
    from barrage_mlflow.dataset.records.records import Records

_HELD = 1 << 25
"""Bytes of a column's text that are held; of a longer one the text is made twice."""

_TYPES = {"i": "integer", "u": "integer", "f": "double", "b": "boolean"}


@dataclass(frozen=True)
class ScannedColumn:
    """What a column holds.

    Attributes:
        type: ``"integer"``, ``"double"``, ``"boolean"``, ``"string"``, ``"binary"`` for bytes, or
            ``"other"`` for lists
            and whatever else a record may hold.
        missing: whether a record lacks a value.
    """

    type: str
    missing: bool


@dataclass(frozen=True)
class Scan:
    """What one look at every value shows.

    Attributes:
        digest: 32 hexadecimal digits; see :meth:`Records.digest`.
        columns: by name.
    """

    digest: str
    columns: dict[str, ScannedColumn]


def scan(records: Records) -> Scan:
    """Look at every value, column by column and piece by piece.

    Raises:
        RecordError: a file is damaged.
    """
    hashed = hashlib.sha256(f"{len(records)}\n".encode())
    columns = {}
    for name in sorted(records.columns):
        pieces = _ahead(_pieces(records, name)) if len(records) > PIECE else _pieces(records, name)
        first = next(pieces)
        look = _scan_objects if first.dtype == object else _scan_numbers
        hashed, columns[name] = look(records, name, hashed, itertools.chain([first], pieces))
    return Scan(hashed.hexdigest()[:32], {name: columns[name] for name in records.columns})


def _pieces(records: Records, name: str) -> Iterator[Array]:
    """A column, piece by piece; at least one, if only an empty one."""
    if not len(records):
        yield records[name]
    for piece in records.pieces(columns=[name]):
        yield piece[name]


def _ahead(items: Iterator[Array]) -> Iterator[Array]:
    """The items, the next of which is made while one is hashed."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def _scan_numbers(
    records: Records, name: str, hashed: hashlib._Hash, pieces: Iterator[Array]
) -> tuple[hashlib._Hash, ScannedColumn]:
    """Hash a column's bytes, in such a form as does not depend on where they came from."""
    before = hashed.copy()
    some_gone, all_gone = False, True
    for place, column in enumerate(pieces):
        if not place:
            shape, kind, width = column.shape[1:], column.dtype.kind, column.dtype.itemsize
            size = len(records) * math.prod(shape) * width
            hashed.update(_header(name, f"{kind}{list(shape)}", size))
        if kind == "f":
            gone = np.isnan(column)
            column[gone] = np.nan  # one of the many bit patterns that mean NaN
            some_gone, all_gone = some_gone or bool(gone.any()), all_gone and bool(gone.all())
        hashed.update(column.astype(column.dtype.newbyteorder("<"), copy=False).reshape(-1).data)
    if kind == "f" and all_gone:
        hashed = before
        hashed.update(_header(name, "missing", 0))
    # A record that holds a list lacks none.
    found = ScannedColumn("other", False) if shape else ScannedColumn(_TYPES[kind], some_gone)
    return hashed, found


def _scan_objects(
    records: Records, name: str, hashed: hashlib._Hash, pieces: Iterator[Array]
) -> tuple[hashlib._Hash, ScannedColumn]:
    """Hash a column's values as JSON, after the length of them all."""
    some_gone, all_gone = False, True
    types: set[str] = set()
    held: list[bytes] | None = []
    length = -1
    for column in pieces:
        shape = column.shape[1:]
        gone = [cell is None for cell in column.reshape(-1)]
        some_gone, all_gone = some_gone or any(gone), all_gone and all(gone)
        types |= {_kind_of(cell) for cell in column if cell is not None}
        text = _text(column)
        length += 1 + len(text)
        if held is not None:
            held.append(text)
        if length > _HELD:
            held = None
    if all_gone:
        hashed.update(_header(name, "missing", 0))
    else:
        hashed.update(_header(name, "object", length))
        texts = held if held is not None else map(_text, _pieces(records, name))
        for place, text in enumerate(texts):
            hashed.update(b"\n" + text if place else text)
    if shape:
        return hashed, ScannedColumn("other", False)
    # A column in which nothing is present is taken for one of strings.
    kind = types.pop() if len(types) == 1 else "other" if types else "string"
    return hashed, ScannedColumn(kind, some_gone)


def _kind_of(cell: Any) -> str:
    return "string" if isinstance(cell, str) else "binary" if isinstance(cell, bytes) else "other"


_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def _text(column: Array) -> bytes:
    return "\n".join(map(_encode, column.tolist())).encode()


def _header(name: str, kind: str, length: int) -> bytes:
    return f"{json.dumps(name)} {kind} {length}\n".encode()
