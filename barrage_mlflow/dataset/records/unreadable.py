"""The error for a file that is not what its name says."""

from __future__ import annotations

import zlib

from barrage_mlflow.errors import RecordError

UNREADABLE = (OSError, EOFError, zlib.error, ValueError)
"""What reading a file raises that is not what its name says."""

WANTED = "a CSV (.csv), JSON (.json), JSON Lines (.jsonl, .ndjson) or Parquet (.parquet) file"
"""The files that are read, for messages."""


def broken(source: str, kind: str, error: Exception) -> RecordError:
    """The error for a file that is not what its name says.

    Example:
        >>> str(broken("t.json", "JSON", ValueError("no"))).partition(";")[0]
        't.json is not JSON: no'
    """
    if isinstance(error, UnicodeDecodeError):
        return RecordError(f"{source} is not {kind}: it is not UTF-8 text; save it as UTF-8")
    reason = " ".join(str(error).split()) or type(error).__name__
    return RecordError(f"{source} is not {kind}: {reason}; mend the file, or give {WANTED}")
