"""Digests of records: of a file by its bytes, of what is in memory by its values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from barrage_mlflow.dataset.records.files import list_files, reading
from barrage_mlflow.dataset.types import Array

_BYTES = 1 << 20
"""Bytes of a file that are read at once."""

_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def digest_file(source: str, rows: slice | Array) -> str:
    """Digest some records of a file or folder by its bytes and the numbers of the records.

    Args:
        source: a path, or a URL that fsspec opens. Of a folder the path of each file counts, too.
        rows: which of its records.

    Returns:
        64 hexadecimal digits (SHA-256).

    Raises:
        RecordError: the file cannot be read any more.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     len({digest_file(file.name, slice(0, end)) for end in (1, 2, 2)})
        2
    """
    chosen = f"{rows.start}:{rows.stop}" if isinstance(rows, slice) else str(rows.tolist())
    digests = [chosen]
    with reading(source, "readable"):
        files, path, names = list_files(source)
        for name in names:
            hashed = hashlib.sha256(name.removeprefix(path).encode())
            with files.open(name, "rb") as handle:
                while part := handle.read(_BYTES):
                    hashed.update(part)
            digests.append(hashed.hexdigest())
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def digest_values(columns: Mapping[str, Array], length: int) -> str:
    """Digest the values, column by column; what is an object is written as JSON.

    Args:
        columns: by name, ``(records, ...)``.
        length: how many records there are.

    Returns:
        64 hexadecimal digits (SHA-256).

    Example:
        >>> import numpy as np
        >>> one, other = np.array([1, 2]), np.array([1, 3])
        >>> digest_values({"a": one}, 2) == digest_values({"a": other}, 2)
        False
    """
    hashed = hashlib.sha256(f"{length}\n".encode())
    for name in sorted(columns):
        cells = columns[name]
        hashed.update(f"{json.dumps(name)} {cells.dtype} {cells.shape}\n".encode())
        if cells.dtype == object:
            for cell in cells.tolist():
                hashed.update(f"{_encode(cell)}\n".encode())
        else:
            hashed.update(cells.tobytes())
    return hashed.hexdigest()


def digest_cells(digest: str, cells: Iterable[bytes | None]) -> str:
    """Digest further cells of records, along with the digest of the others.

    Args:
        digest: of the others.
        cells: bytes, each asked for once the one before is done with.

    Returns:
        64 hexadecimal digits (SHA-256).

    Example:
        >>> digest_cells("5f2b", [b"png", None]) == digest_cells("5f2b", [None, b"png"])
        False
    """
    hashed = hashlib.sha256(digest.encode())
    for cell in cells:
        hashed.update(hashlib.sha256(cell or b"").digest())
    return hashed.hexdigest()
