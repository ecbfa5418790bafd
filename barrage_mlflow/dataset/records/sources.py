"""What records are read from: cells by column, as they were read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.learning import Learner
from barrage_mlflow.dataset.records.values import array_of, objects
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

Lines: TypeAlias = Callable[[], "list[int] | None"]
"""Gives the line on which each record starts, or None where that cannot be told."""


@dataclass
class Chunk:
    """Consecutive records of a file.

    Attributes:
        cells: by column, ``(records, ...)``, of NumPy or Arrow; a column that is not there is
            missing in all of them.
        length: how many records these are.
        share: how much of the file is read with them, up to 1; None where that cannot be told.
        lines: the line of each record, where that is known.
    """

    cells: dict[str, Any]
    length: int
    share: float | None = None
    lines: list[int] | None = None

    def column(self, name: str) -> Any:
        """The cells of a column."""
        found = self.cells.get(name)
        return objects([None] * self.length) if found is None else found

    def cut(self, start: int, stop: int) -> Chunk:
        """Some of the records."""
        cells = {name: array[start:stop] for name, array in self.cells.items()}
        return Chunk(cells, stop - start, self.share, self.lines and self.lines[start:stop])


class Source:
    """Where the cells of records come from: chunks in memory, as they were read.

    Args:
        columns: the names of the columns.
        chunks: the records.
        first: the number in the file of the first of them.
        lines: gives the line of each record, where the file has lines.
        spelt: reads some columns of a CSV file again, as they are spelt.

    Attributes:
        columns: as given.
        groups: how many records each group holds, in order: a chunk, or a row group of Parquet.
        first: as given.
        lines: as given.
        is_spelt: whether numbers and truth values are in letters, as in CSV.
    """

    is_streamed = False
    """Whether groups are read when they are asked for."""

    def __init__(
        self,
        columns: list[str],
        chunks: Sequence[Chunk],
        first: int = 0,
        lines: Lines | None = None,
        spelt: Callable[[Sequence[str]], Iterator[Chunk]] | None = None,
    ) -> None:
        self.columns = columns
        self.groups = [chunk.length for chunk in chunks]
        self.first = first
        self.lines = lines
        self.is_spelt = spelt is not None
        self._chunks = chunks
        self._spelt = spelt

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_spelt": None}

    def read(self, groups: Sequence[int], names: Sequence[str]) -> dict[str, list[Any]]:
        """The cells of columns: of each group an array ``(records, ...)`` of NumPy or Arrow.

        Raises:
            RecordError: a file is damaged, or has changed since it was opened.
        """
        return {name: [self._chunks[group].column(name) for group in groups] for name in names}

    def learn(self, learners: Mapping[str, Learner]) -> None:
        """Show columns to those that find out what is in them.

        Raises:
            RecordError: a file is damaged.
        """
        for name, learner in learners.items():
            for chunk in self._chunks:
                learner.add(cells_of(chunk.column(name), once=True))

    def spell(self, names: Sequence[str]) -> None:
        """Read those columns of a CSV file again of which cells were taken for numbers."""
        again = [n for n in names if not all(_is_text(chunk.column(n)) for chunk in self._chunks)]
        if self._spelt is not None and again:
            for chunk, spelt in zip(self._chunks, self._spelt(again), strict=False):
                chunk.cells |= spelt.cells

    def release(self) -> None:
        """Give back memory that reading took, and that nobody holds."""


def _is_text(cells: Any) -> bool:
    return isinstance(cells, np.ndarray) or str(cells.type) in ("string", "null")


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
            raise RecordError(
                f"{owner}: column {position} has no name; name it (pandas leaves out the name of "
                "an index: write with frame.to_csv(path, index=False))"
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise RecordError(f"{owner}: the column '{twice}' stands twice; rename one of them")


def no_such_column(name: str, columns: Sequence[str], owner: str) -> str:
    """The message for a column that is not there: the nearest one, and those there are.

    Example:
        >>> no_such_column("speces", ["species", "sex"], "train.csv")
        "train.csv: no column 'speces'; did you mean 'species'? The columns are 'species', 'sex'"
    """
    hint = did_you_mean(name, columns)
    hint = f"{hint} The" if hint else "the"
    return f"{owner}: no column '{name}'; {hint} columns are {show_names(columns)}"


def learn_schema(source: Source, declared: Schema, name: str) -> Schema:
    """The kind of each column of a source; declared ones are as they are declared.

    Raises:
        RecordError: a declared column is not there, or a file is damaged.
    """
    there = set(source.columns)
    for column in declared.columns.values():
        if column.declared and column.name not in there:
            message = no_such_column(column.name, source.columns, name or "the records")
            raise RecordError(f"{message}; dataset.columns declares it")
    learners = {
        one: Learner(one, _missing_words(one, declared), source.is_spelt) for one in source.columns
    }
    source.learn(learners)
    found = {one: learner.column() for one, learner in learners.items()}
    for one, column in declared.columns.items():
        if one in found:
            learnt = found[one]
            only_whole = column.kind == "number" and (learnt.kind == "whole" or learnt.only_whole)
            found[one] = replace(column, optional=learnt.optional, only_whole=only_whole)
    time = found.get(declared.windows.time) if declared.windows else None
    if time is not None and time.kind == "text" and not time.declared:
        found[time.name] = replace(time, kind="datetime", reason="dates in letters")
    return replace(declared, columns=found, is_complete=True)


def _missing_words(name: str, declared: Schema) -> tuple[str, ...]:
    column = declared.columns.get(name)
    return declared.missing if column is None else column.missing
