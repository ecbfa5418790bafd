"""A file that is written by and by, and goes on after a kill where it was.

Until it is whole, all of it lies in a folder beside its name::

    scores.csv.unfinished/
      rows           the rows so far; what stands behind those that progress.json counts is cut off
      progress.json  how many rows, and what they were made of
      lock           while a process has the folder to itself
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from barrage_mlflow.errors import ArtifactError, ComponentError
from barrage_mlflow.files import put_in_place
from barrage_mlflow.scoring.writers import Columns, RowWriter
from barrage_mlflow.workspace import folder as artifacts
from barrage_mlflow.workspace.lock import locked

logger = logging.getLogger(__name__)

_ROWS = "rows"
_PROGRESS = "progress.json"
_SAVE_SECONDS = 1.0
"""Least time between two moments that a later process can go on from."""


class UnfinishedFile:
    """Rows that are appended to one another; made by :func:`unfinished`.

    Attributes:
        folder: where they lie.
        done: how many records the rows are of.
    """

    def __init__(self, target: Path, about: Mapping[str, Any], writer: RowWriter) -> None:
        self.folder = target.with_name(f"{target.name}.unfinished")
        self.done = 0
        self._target = target
        self._about = dict(about)
        self._writer = writer
        self._names: list[str] = []
        self._bytes = 0
        self._saved = time.monotonic()

    def open(self) -> None:
        """Go on with what an earlier process left, if it was made of the same."""
        path, rows = self.folder / _PROGRESS, self.folder / _ROWS
        if path.exists():
            try:
                state = artifacts.read_json(path)
                about, self.done, self._bytes = (state[key] for key in ("about", "done", "bytes"))
                changed = [what for what in self._about if about.get(what) != self._about[what]]
                is_held = rows.stat().st_size >= self._bytes
            except (ArtifactError, OSError, LookupError, TypeError, AttributeError):
                changed, is_held = [], False
            if changed or not is_held:
                why = f"{self.folder} is damaged"
                if changed:
                    why = f"{' and '.join(changed)} changed since {self.folder} was begun"
                logger.warning("starting afresh: %s", why)
                path.unlink()
                self.done = self._bytes = 0
            else:
                said = "%s records were scored before: going on after them"
                logger.info(said, f"{self.done:,}")
        with self._writing():
            self._file = rows.open("ab")
            self._file.truncate(self._bytes)

    def append(self, columns: Columns, done: int) -> None:
        """Add rows.

        Args:
            columns: what stands in them.
            done: how many records the rows are of, with them.

        Raises:
            ArtifactError: they cannot be written, or the format does not take them.
            ComponentError: they have other columns than those before.
        """
        names = list(columns)
        self._names = self._names or names
        if self._names != names:
            raise ComponentError(
                f"expected the outputs of the records before, {self._names}, got {names}"
            )
        data = self._writer.encode(columns, first=not self.done)
        with self._writing():
            self._file.write(data)
        self._bytes += len(data)
        self.done = done
        if time.monotonic() - self._saved >= _SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Have a later process go on from here."""
        with self._writing():
            self._file.flush()
            os.fsync(self._file.fileno())
            state = {"about": self._about, "done": self.done, "bytes": self._bytes}
            artifacts.write_json(self.folder / _PROGRESS, state)
        self._saved = time.monotonic()

    def finish(self) -> None:
        """Give the whole file its name.

        Raises:
            ArtifactError: it cannot be written, or the format does not take its rows.
        """
        self.save()
        with self._writing():
            self._file.write(self._writer.end())
            self._file.close()
            put_in_place(self._writer.finish(self.folder / _ROWS), self._target)
            self.clear()

    def clear(self) -> None:
        """Leave nothing behind but what was put in its place."""
        self.close()
        for path in self.folder.iterdir():
            if path.name != artifacts.LOCK:
                path.unlink()

    def close(self) -> None:
        """Close the file of rows."""
        with suppress(OSError):  # a full disk, which has been told
            self._file.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ArtifactError(
                f"{self._target}: it could not be written ({error}); free some space, or give back "
                "the right to write"
            ) from error


@contextmanager
def unfinished(
    target: Path, about: Mapping[str, Any], writer: RowWriter
) -> Iterator[UnfinishedFile]:
    """Write a file by and by; what an earlier process began of the same is gone on with.

    Args:
        target: the file.
        about: what it is made of, by what messages call it; JSON values.
        writer: of its format.

    Raises:
        ArtifactError: another process is at it, or its folder cannot be written to.
        BaseException: whatever the caller's block raises, with a note of how to go on.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from barrage_mlflow.scoring.writers import make_writer
        >>> with TemporaryDirectory() as home:
        ...     path = Path(home, "scores.csv")
        ...     with unfinished(path, {"the records": "a.csv"}, make_writer(path)) as file:
        ...         file.append({"p": [0.5, 0.25]}, 2)
        ...         file.finish()
        ...     path.read_text().split()
        ['p', '0.5', '0.25']
    """
    file = UnfinishedFile(target, about, writer)
    with locked(file.folder):
        file.open()
        try:
            yield file
        except BaseException as error:
            if file.done:
                with suppress(OSError, ArtifactError):
                    file.save()
                error.add_note(
                    f"{file.done:,} records are scored and kept in {file.folder}; the same command "
                    "goes on after them, unless records or model change"
                )
            else:
                file.clear()
            raise
        finally:
            file.close()
