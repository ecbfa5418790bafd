"""Digests of records: of a file by its bytes, of what is in memory by its values."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from barrage_mlflow.dataset.records.unreadable import reading

if TYPE_CHECKING:
    import fsspec

    from barrage_mlflow.dataset.records.columns import Rows
    from barrage_mlflow.dataset.records.records import Records

_BYTES = 1 << 20
"""Bytes of a file that are read at once."""

_encode = json.JSONEncoder(sort_keys=True, default=str).encode


def list_files(source: str) -> tuple[fsspec.AbstractFileSystem, str, list[str]]:
    """The file system of a file or folder, its path there, and the sorted paths of its files."""
    import fsspec

    files, path = fsspec.core.url_to_fs(source)
    return files, path, sorted(files.find(path)) if files.isdir(path) else [path]


def digest_file(source: str, rows: Rows) -> str:
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


def digest_values(records: Records) -> str:
    """Digest the values, column by column; what is no number is written as JSON.

    Args:
        records: what is held in memory.

    Returns:
        64 hexadecimal digits (SHA-256).

    Example:
        >>> from barrage_mlflow.dataset import Records
        >>> one, other = [{"a": 1, "b": "x"}], [{"b": "x", "a": 1}]
        >>> digest_values(Records.read(one)) == digest_values(Records.read(other))
        True
    """
    hashed = hashlib.sha256(f"{len(records)}\n".encode())
    for name in sorted(records.columns):
        cells = records[name]
        hashed.update(f"{json.dumps(name)} {cells.dtype} {cells.shape}\n".encode())
        if cells.dtype == object:
            for cell in cells.tolist():
                hashed.update(f"{_encode(cell)}\n".encode())
        else:
            hashed.update(cells.tobytes())
    return hashed.hexdigest()
