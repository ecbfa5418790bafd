"""The error for a file that is not what its name says."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from barrage_mlflow.errors import RecordError

UNREADABLE = (OSError, EOFError, zlib.error, ValueError)
"""What reading a file raises that is not what its name says."""

WANTED = "a CSV (.csv), JSON (.json), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet) file"
"""The files that are read, for messages."""


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
