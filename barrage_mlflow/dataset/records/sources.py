"""What records are read from: cells by column, as they were read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from barrage_mlflow.dataset.records.cells import array_of, objects
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    from barrage_mlflow.dataset.records.parquet_files import ParquetFiles

LEARNT_CELLS = 2_000_000
"""Of so many cells, at least, the kinds of columns are learnt where a file has them."""

Lines: TypeAlias = Callable[[], "list[int] | None"]
"""Gives the line on which each record starts, or None where that cannot be told."""


@dataclass
class Chunk:
    """Consecutive records of a file.

    Attributes:
        cells: by column, ``(records, ...)``, of NumPy or Arrow.
        length: how many records these are.
        share: how much of the file is read with them, up to 1; None where that cannot be told.
        lines: the line of each record, where that is known.
    """

    cells: Mapping[str, Any]
    length: int
    share: float | None = None
    lines: list[int] | None = None

    def cut(self, start: int, stop: int) -> Chunk:
        """Some of the records."""
        cells = {name: array[start:stop] for name, array in self.cells.items()}
        return Chunk(cells, stop - start, self.share, self.lines and self.lines[start:stop])


Cells: TypeAlias = dict[str, list[Any]]
"""By column, the arrays ``(records, ...)`` of NumPy or Arrow that follow each other."""


def join_chunks(chunks: Sequence[Chunk], names: Sequence[str], length: int) -> Cells:
    """The cells of the first ``length`` records; a column that a chunk lacks is missing there."""
    cells: Cells = {name: [] for name in names}
    left = length
    for chunk in chunks:
        count = min(left, chunk.length)
        for name in names:
            found = chunk.cells.get(name)
            cells[name].append(objects([None] * count) if found is None else found[:count])
        left -= count
    return cells


@dataclass
class Source:
    """Where the cells of records come from.

    Attributes:
        columns: the names of the columns.
        length: how many records there are.
        cells: what is in memory; None where Parquet files are read.
        lines: gives the line of each record, where the file has lines.
        spelt: gives the cells of some columns of a CSV file as they are spelt.
        files: the Parquet files that are read.
        groups: which of their row groups.
    """

    columns: list[str]
    length: int
    cells: Cells | None = None
    lines: Lines | None = None
    spelt: Callable[[Sequence[str]], Cells] | None = None
    files: ParquetFiles | None = None
    groups: Sequence[int] = ()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "spelt": None}

    def read(self, names: Sequence[str]) -> Cells:
        """The cells of some columns.

        Raises:
            RecordError: a file is damaged, or has changed since it was opened.
        """
        if self.files is not None:
            return self.files.read(self.groups, names)
        assert self.cells is not None
        return {name: self.cells[name] for name in names}


def is_enough(length: int, columns: int, limit: int | None) -> bool:
    """Whether so many records of a file are more than are wanted, and enough to learn kinds of."""
    return limit is not None and length > limit and length * columns >= LEARNT_CELLS


def cells_of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """The cells of dicts; a key that one lacks is missing there.

    Example:
        >>> cells_of_rows([{"a": 1, "b": "x"}, {"a": 2}])
        {'a': array([1, 2]), 'b': array(['x', None], dtype=object)}
    """
    names = dict.fromkeys(key for row in rows for key in row)
    return {name: array_of([row.get(name) for row in rows]) for name in names}


def cells_of(chunk: Any, once: bool = False) -> Array:
    """Cells as NumPy has them.

    Args:
        chunk: an array of NumPy or Arrow.
        once: of strings, each one once is enough.
    """
    if isinstance(chunk, np.ndarray):
        return chunk
    # Imported late, since pyarrow takes long to load.
    from barrage_mlflow.dataset.records import arrow

    return arrow.cells_of(arrow.different(chunk) if once else chunk)


def check_names(names: Sequence[Any], owner: str) -> None:
    """Check the names of columns.

    Raises:
        RecordError: one is no string or empty, or stands twice.
    """
    for position, name in enumerate(names):
        if not isinstance(name, str):
            raise RecordError(
                f"{owner}: expected strings as column names, got {name!r}; "
                "rename the column, as in frame.rename(columns=str)"
            )
        if not name:
            raise RecordError(f"{owner}: column {position} has no name; name it")
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise RecordError(f"{owner}: the column '{twice}' stands twice; rename one of them")
