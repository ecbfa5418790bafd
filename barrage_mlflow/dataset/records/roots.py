"""Files that the cells of a column name: under the root of the column, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from barrage_mlflow.errors import RecordError


def find_file(root: str, path: str) -> Path:
    """Where a file under a root lies.

    Args:
        root: a folder, resolved.
        path: from there; a link on it may lead anywhere within the root.

    Raises:
        RecordError: it is not there, or the path leads out of the root.

    Example:
        >>> import tempfile
        >>> find_file(tempfile.gettempdir(), "../etc/passwd")
        Traceback (most recent call last):
        barrage_mlflow.errors.RecordError: expected the path of a file under ..., got '../etc...
    """
    try:
        found = Path(root, path).resolve()
        why = "" if found.is_file() else "there is none: put it there, or correct the path"
    except (OSError, RuntimeError, ValueError) as error:  # too long, links in a circle, a null
        found, why = Path(root), str(error)
    if not found.is_relative_to(root) or Path(path).is_absolute() or ".." in Path(path).parts:
        why = "that leads out of it: write it from there on, without '..' or a link that leads out"
    if why:
        raise RecordError(f"expected the path of a file under {root}, got {path!r}; {why}")
    return found


def read_file(root: str, path: str) -> bytes | None:
    """The bytes of a file under a root; None of an empty one, as of an empty cell.

    Args:
        root: a folder, resolved.
        path: from there.

    Raises:
        RecordError: it is not there or cannot be read, or the path leads out of the root.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.png").write_bytes(b"png")
        ...     read_file(str(Path(folder).resolve()), "a.png")
        b'png'
    """
    found = find_file(root, path)
    try:
        return found.read_bytes() or None
    except OSError as error:
        raise RecordError(f"{found} cannot be read: {error.strerror}; let it be read") from error
