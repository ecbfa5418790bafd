"""The file of scores: it is made of many parts, and goes on after a kill where it was.

Until it is whole, all of it lies in a folder beside its name::

    scores.csv.unfinished/
      rows           what was appended; bytes beyond those that progress.json counts are cut off
      progress.json  how many records it is of, how many bytes, and what they were made of
      lock           while a process has the folder to itself
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.files import put_in_place
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.lock import locked

logger = logging.getLogger(__name__)

_ROWS = "rows"
_PROGRESS = "progress.json"
_SAVE_SECONDS = 1.0
"""Least time between two moments that a later process can go on from."""


class ResumableFile:
    r"""Bytes that are appended to one another; made by :meth:`open`.

    Attributes:
        folder: where they lie.
        done: how many records they are of.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as home:
        ...     path = Path(home, "scores.csv")
        ...     with ResumableFile.open(path, {"the records": "a.csv"}) as file:
        ...         file.append(b"0.5\n0.25\n", 2)
        ...         file.finish(lambda rows: rows)
        ...     path.read_text().split()
        ['0.5', '0.25']
    """

    _file: BinaryIO
    _bytes: int

    def __init__(self, target: Path, about: Mapping[str, Any]) -> None:
        self.folder = target.with_name(f"{target.name}.unfinished")
        self.done = 0
        self._target = target
        self._about = about
        self._saved = time.monotonic()

    @classmethod
    @contextmanager
    def open(cls, target: Path, about: Mapping[str, Any]) -> Iterator[ResumableFile]:
        """Begin a file, or go on with what an earlier process began of the same.

        Args:
            target: the file.
            about: what it is made of, by what messages call it; JSON values.

        Raises:
            ArtifactError: another process is writing it, or its folder cannot be written to.
            BaseException: whatever the caller's block raises, with a note of how to go on.
        """
        file = cls(target, about)
        with locked(file.folder):
            file.done, file._bytes = _progress(file.folder, about)
            with file._writing():
                file._file = (file.folder / _ROWS).open("ab")
                file._file.truncate(file._bytes)
            try:
                yield file
            except BaseException as error:
                if file.done:
                    with suppress(ArtifactError, ValueError):  # of a file that is closed
                        file._save()
                    error.add_note(
                        f"{file.done:,} records are scored and kept in {file.folder}; the same "
                        "command goes on after them, unless records or model change"
                    )
                else:
                    file._clear()
                raise
            finally:
                with suppress(OSError):  # a full disk, which was reported
                    file._file.close()

    def append(self, data: bytes, done: int) -> None:
        """Add bytes.

        Args:
            data: the bytes.
            done: how many records the file is of, with them.

        Raises:
            ArtifactError: they cannot be written.
        """
        with self._writing():
            self._file.write(data)
        self._bytes += len(data)
        self.done = done
        if time.monotonic() - self._saved >= _SAVE_SECONDS:
            self._save()

    def finish(self, convert: Callable[[Path], Path]) -> None:
        """Give the whole file its name.

        Args:
            convert: makes of the file of all bytes what is asked for, and returns where that lies.

        Raises:
            ArtifactError: it cannot be written.
        """
        self._save()
        with self._writing():
            self._file.close()
            put_in_place(convert(self.folder / _ROWS), self._target)
            self._clear()

    def _save(self) -> None:
        """Have a later process go on from here."""
        with self._writing():
            self._file.flush()
            os.fsync(self._file.fileno())
            state = {"about": self._about, "done": self.done, "bytes": self._bytes}
            artifacts.write_json(self.folder / _PROGRESS, state)
        self._saved = time.monotonic()

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name != artifacts.LOCK:
                path.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"{self._target}: it could not be written ({error}); free some space, or give back "
                "the right to write"
            ) from error


def _progress(folder: Path, about: Mapping[str, Any]) -> tuple[int, int]:
    """The records and bytes that an earlier process left; none if it made them of other things."""
    path = folder / _PROGRESS
    if not path.exists():
        return 0, 0
    why = f"{folder} is damaged"
    with suppress(ArtifactError, OSError, LookupError, TypeError, AttributeError):
        state = artifacts.read_json(path)
        done, size = int(state["done"]), int(state["bytes"])
        changed = [what for what in about if state["about"].get(what) != about[what]]
        if changed:
            why = f"{' and '.join(changed)} changed since {folder} was begun"
        elif (folder / _ROWS).stat().st_size >= size:
            logger.info("%s records were scored before: going on after them", f"{done:,}")
            return done, size
    logger.warning("starting afresh: %s", why)
    path.unlink()
    return 0, 0
