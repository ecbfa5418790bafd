"""Writes files whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PARTIAL = "partial-"


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in the place of ``path`` at the end.

    Whoever reads ``path`` finds what was there before or all that is there now, also after
    a crash or a power cut in between. The temporary name ends as ``path`` does, for writers
    that go by the suffix. Missing folders are made.

    Raises:
        Exception: whatever the caller's block raises; ``path`` is then as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "notes.txt")
        ...     with written_whole(path) as partial:
        ...         written = partial.write_text("all of it")
        ...     path.read_text()
        'all of it'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    partial.unlink(missing_ok=True)  # it may be a link, which would be written through
    try:
        yield partial
        put_in_place(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def put_in_place(written: Path, path: Path) -> None:
    """Give a file that is written to its end its name, on the same disk, so that it lasts.

    Whoever reads ``path`` finds what was there before or all of the new file, also after a crash
    or a power cut in between.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     written, path = Path(folder, "half.txt"), Path(folder, "notes.txt")
        ...     size = written.write_text("all of it")
        ...     put_in_place(written, path)
        ...     path.read_text(), written.exists()
        ('all of it', False)
    """
    with written.open("rb+") as file:
        os.fsync(file.fileno())
    written.replace(path)
    if os.name == "nt":  # pragma: no cover - Windows cannot open a folder, nor needs to
        return
    # The rename is in the folder, which is written on its own.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def partial_path(path: Path) -> Path:
    """Where a file is written before it is whole; a kill leaves it there.

    Example:
        >>> partial_path(Path("out/run.json")).name
        'partial-run.json'
    """
    return path.with_name(_PARTIAL + path.name)
