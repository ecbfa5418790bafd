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
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def partial_path(path: Path) -> Path:
    """Where a file is written before it is whole; a kill leaves it there.

    Example:
        >>> partial_path(Path("out/run.json")).name
        'partial-run.json'
    """
    return path.with_name(_PARTIAL + path.name)


def _sync_folder(folder: Path) -> None:
    """Make a rename last: it stands in the folder, which is written on its own."""
    if os.name == "nt":  # pragma: no cover - Windows cannot open a folder, nor needs to
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
