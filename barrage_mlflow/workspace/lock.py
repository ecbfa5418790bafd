"""One process at a time in a folder: a training in its artifact folder, a scoring in its own."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace import layout as artifacts

_LOOK = 0.2
"""Seconds between two attempts."""


@contextmanager
def locked(folder: Path, patience: float = 0) -> Iterator[None]:
    """Keep every other process out of a folder, which is made if it is not there.

    The lock dies with its process, however that ends. A folder in which nothing was left is
    removed.

    Args:
        folder: an artifact folder, or another that only one may write to.
        patience: seconds to wait for another process to leave it.

    Raises:
        ArtifactError: another process has it, or the folder cannot be made or written to.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, locked(Path(folder)):
        ...     with locked(Path(folder)):  # doctest: +ELLIPSIS
        ...         pass
        Traceback (most recent call last):
        barrage_mlflow.errors.ArtifactError: ... is in use by process ...; wait until it ends, ...
    """
    path = folder / artifacts.LOCK
    deadline = time.monotonic() + patience
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _acquired(path, deadline)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: the folder cannot be written to ({error}); name another one"
        ) from error
    with file:
        try:
            yield
        finally:
            # It may be no longer to be written to; then it is the lock that counts, not its file.
            with suppress(OSError):
                path.unlink(missing_ok=True)
                folder.rmdir()


def _acquired(path: Path, deadline: float) -> IO[str]:
    while True:
        # A link would be written through.
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        file = os.fdopen(opened, "r+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                owner = file.read().strip() or "another process"
            if time.monotonic() >= deadline:
                raise ArtifactError(
                    f"{path.parent} is in use by {owner}; wait until it ends, or name another "
                    "folder"
                ) from None
            time.sleep(_LOOK)
            continue
        # Who held it before removes the file: what was opened may be no longer there.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()}")
                file.flush()
                return file
        file.close()
