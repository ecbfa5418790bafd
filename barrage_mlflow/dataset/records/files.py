"""Files of records: of what kind one is, how it is opened, and the error where it is not that."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from barrage_mlflow.errors import RecordError, hide_secrets

if TYPE_CHECKING:
    import fsspec

UNREADABLE = (OSError, EOFError, zlib.error, ValueError)
"""What reading a file raises that is not what its name says."""

WANTED = "a CSV (.csv), JSON (.json), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet) file"
"""The files that are read, for messages."""

_KINDS = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_KINDS |= {".parquet": "parquet", ".pq": "parquet"}
_HIDDEN = re.compile("/[._]")
_COMPRESSIONS = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})


@contextmanager
def reading(
    source: str, kind: str, faults: tuple[type[Exception], ...] = UNREADABLE
) -> Iterator[None]:
    """Raise a RecordError in place of what reading a file raises that is not of its kind.

    Args:
        source: what messages call the file.
        kind: what it is expected to be.
        faults: what reading it raises where it is none.

    Example:
        >>> with reading("t.json", "JSON"):
        ...     raise ValueError("no")
        Traceback (most recent call last):
        barrage_mlflow.errors.RecordError: t.json is not JSON: no; mend the file, or give a CSV ...
    """
    try:
        yield
    except faults as error:
        if isinstance(error, UnicodeDecodeError):
            reason = "it is not UTF-8 text; save it as UTF-8"
        else:
            shown = " ".join(str(error).split()) or type(error).__name__
            reason = f"{shown}; mend the file, or give {WANTED}"
        raise RecordError(f"{source} is not {kind}: {reason}") from error


def file_name(path: str) -> str:
    """What messages call a file or folder.

    Example:
        >>> file_name("s3://birds/train.csv"), file_name("parts/")
        ('train.csv', 'parts')
    """
    return hide_secrets(path).rstrip("/").rpartition("/")[2]


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
        within = files.find(path) if is_folder else []
    except (ValueError, ImportError, OSError) as error:
        raise RecordError(f"{source} cannot be opened: {error}") from error
    if not is_there:
        raise RecordError(
            f"{source}: no such file; expected {WANTED}, or a folder of Parquet files"
        )
    if is_folder:
        if not any(name.endswith(".parquet") for name in within):
            raise RecordError(f"{source} is a folder without .parquet files; expected {WANTED}")
        return "parquet"
    extension = endings(source)[0]
    if extension.lower() not in _KINDS:
        shown = f"the extension '{extension}'" if extension else "no extension"
        raise RecordError(f"{source} has {shown}; expected {WANTED}")
    return _KINDS[extension.lower()]


def endings(source: str) -> tuple[str, str]:
    """What a file's name ends with: the ending of its format, and that of its compression.

    Example:
        >>> endings("s3://birds/train.2024.csv.gz?version=3"), endings("train.csv")
        (('.csv', '.gz'), ('.csv', ''))
    """
    name = PurePath(urlsplit(source).path if "://" in source else source)
    if name.suffix.lower() in _COMPRESSIONS:
        return name.with_suffix("").suffix, name.suffix
    return name.suffix, ""


def open_file(source: str) -> tuple[IO[bytes], IO[bytes]]:
    """Open a file: what is in it, and the file itself, which differs where it is compressed."""
    import fsspec

    opened = fsspec.open(source, "rb", compression="infer")
    handle: IO[bytes] = opened.open()
    return handle, opened.fobjects[0]


def list_files(source: str) -> tuple[fsspec.AbstractFileSystem, str, list[str]]:
    """The file system of a file or folder, its path there, and the sorted paths of its files.

    As readers of Parquet do, files and folders whose names begin with ``.`` or ``_`` are passed
    over: the marks that Spark and others leave beside what they write.
    """
    import fsspec

    files, path = fsspec.core.url_to_fs(source)
    if not files.isdir(path):
        return files, path, [path]
    found = sorted(files.find(path))
    return files, path, [n for n in found if not _HIDDEN.search(n.removeprefix(path))]


def share_read(file: IO[bytes]) -> float | None:
    """How much of a file is read, up to 1; None where its size is not known."""
    size = getattr(file, "size", None)
    return min(1.0, file.tell() / size) if size else None


def no_records(source: str) -> RecordError:
    """The error for a file in which there is nothing."""
    return RecordError(f"{source} holds no records; give a file with at least one record")
