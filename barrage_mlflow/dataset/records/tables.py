"""The whole set that records look at: its columns, each in its kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.dataset.records.cells import native, objects
from barrage_mlflow.dataset.records.conversions import CellError, handed_out, to_kind
from barrage_mlflow.dataset.records.kinds import Column, Schema
from barrage_mlflow.dataset.records.learning import Learner
from barrage_mlflow.dataset.records.sources import Source, cells_of
from barrage_mlflow.dataset.types import Array, Record
from barrage_mlflow.errors import RecordError

PIECE = 1 << 16
"""Records that are worked on at once where there may be more than memory holds."""

Rows: TypeAlias = "Array | slice"
"""Positions ``(rows,) int64``, or a consecutive part from ``start`` to ``stop``."""


def no_such_column(name: str, columns: Sequence[str], owner: str) -> str:
    """The message for a column that is not there: the nearest one, and those there are.

    Example:
        >>> no_such_column("speces", ["species", "sex"], "train.csv")
        "train.csv: no column 'speces'; did you mean 'species'? The columns are 'species', 'sex'"
    """
    hint = did_you_mean(name, columns)
    hint = f"{hint} The" if hint else "the"
    return f"{owner}: no column '{name}'; {hint} columns are {show_names(columns)}"


class Group(NamedTuple):
    """Some rows of a row group of Parquet: from ``start`` to before ``stop``."""

    number: int
    start: int
    stop: int


class UnfitError(RecordError):
    """A column cannot be brought to its kind; who does not read it need not mind."""


class UnevenError(UnfitError):
    """The lists of a column differ in shape, so that they make no array."""


class Table:
    """Columns of a source in their kinds; each is read and converted once, when it is asked for.

    Args:
        source: where the cells come from.
        schema: the kind of each column.
        name: what messages call the set.
        groups: which groups of the source; all if left out.

    Attributes:
        columns: those that the source has, and those that records may lack.
    """

    def __init__(
        self,
        source: Source,
        schema: Schema,
        name: str,
        groups: Sequence[int] | None = None,
    ) -> None:
        self.source = source
        self._groups = range(len(source.groups)) if groups is None else groups
        self._length = sum(source.groups[group] for group in self._groups)
        self.schema = schema
        self.name = name
        there = set(source.columns)
        self.columns = [
            name for name, column in schema.columns.items() if name in there or column.optional
        ]
        self._names = frozenset(self.columns)
        self._arrays: dict[str, Array] = {}
        self._names_readable: list[str] | None = None
        self._lines: list[int] | None = None
        self._read_lines = source.lines

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}, "_names_readable": None}

    def __len__(self) -> int:
        return self._length

    def holds(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._names

    def need(self, names: Sequence[str]) -> None:
        """Read columns, together, and bring them to their kinds.

        Raises:
            UnfitError: a cell is not of its column's kind.
            RecordError: a file is damaged.
        """
        wanted = [name for name in dict.fromkeys(names) if name not in self._arrays]
        there = [name for name in wanted if name in self.source.columns]
        cells = self.source.read(self._groups, there) if there else {}
        for name in wanted:
            found = cells.pop(name, None)
            self._arrays[name] = self._typed(
                name, [objects([None] * len(self))] if found is None else found
            )

    def _typed(self, name: str, chunks: list[Any]) -> Array:
        column = self.schema.columns[name]
        if column.kind == "mixed":
            raise UnfitError(
                f"{self.name or 'the records'}: column '{name}' holds {column.reason}; write one "
                "sort of values, or declare what it is, in dataset.columns: "
                f'{{"{name}": "text"}}'
            )
        made: list[Array] = []
        row = 0
        for chunk in chunks:
            cells = cells_of(chunk)
            try:
                made.append(to_kind(cells, column))
            except CellError as error:
                place = self.place(row + error.row)
                raise UnfitError(f"{place}, column '{name}': {error.message}") from error
            row += len(cells)
        if len(made) == 1:
            return made[0]
        if not made:
            return np.empty((0, *(column.shape or ())), column.dtype)
        if len({array.dtype for array in made}) > 1:
            made = [array.astype(column.dtype, copy=False) for array in made]
        return np.concatenate(made)

    def has(self, names: Sequence[str]) -> bool:
        """Whether columns are there in their kinds already."""
        return all(name in self._arrays for name in names)

    def typed(self, name: str) -> Array:
        """A column ``(records, ...)`` as it is held, not to be changed; numbers may be narrow."""
        if name not in self._arrays:
            self.need([name])
        return self._arrays[name]

    def array(self, name: str, rows: Rows) -> Array:
        """A column ``(rows, ...)`` as a new array of its dtype."""
        column = self.schema.columns[name]
        cells = self.typed(name)[rows]
        if is_held(column):
            return objects([_copied(cell) for cell in cells])
        if cells.dtype != column.dtype:
            return cells.astype(column.dtype)
        return cells if isinstance(rows, np.ndarray) else cells.copy()

    def values(self, name: str, rows: Rows) -> list[Any]:
        """The native values of a column in some rows, new also in what they hold."""
        column = self.schema.columns[name]
        values = handed_out(self.typed(name)[rows], column)
        is_list = column.kind in ("list", "object")
        return [_copied(value) for value in values] if is_list else values

    def as_read(self, name: str, rows: Rows) -> Array:
        """A column ``(rows,)`` as it was read, before it was brought to its kind."""
        arrays = [cells_of(chunk) for chunk in self.source.read(self._groups, [name])[name]]
        if len(arrays) == 1 and arrays[0].ndim == 1:
            return arrays[0][rows]
        cells: Array = objects([cell for array in arrays for cell in array.tolist()])
        return cells[rows]

    def digested(self, name: str, rows: Rows) -> Array:
        """A column for a digest, also if it cannot be brought to its kind."""
        try:
            return self.array(name, rows)
        except UnfitError:
            return self.as_read(name, rows)

    def under(self, schema: Schema, name: str) -> Table:
        """The same records in other kinds and in another name."""
        _spell(self.source, schema)
        other = Table(self.source, schema, name, self._groups)
        other._arrays = {
            name: array
            for name, array in self._arrays.items()
            if schema.columns.get(name) == self.schema.columns[name]
        }
        return other

    def groups_in(self, rows: Rows) -> list[Group] | None:
        """The row groups of Parquet in which rows are; None where they do not follow each other."""
        if not self.source.is_streamed or not isinstance(rows, slice):
            return None
        found, begin = [], 0
        for number in self._groups:
            size = self.source.groups[number]
            start, stop = max(0, rows.start - begin), min(size, rows.stop - begin)
            if start < stop:
                found.append(Group(number, start, stop))
            begin += size
        return found

    def of_groups(self, groups: Sequence[Group]) -> tuple[Table, Rows]:
        """A table of some row groups, read anew when they are asked for, and the rows in it."""
        table = Table(self.source, self.schema, self.name, [group.number for group in groups])
        begins = accumulate((self.source.groups[group.number] for group in groups), initial=0)
        rows = [
            np.arange(begin + group.start, begin + group.stop)
            for begin, group in zip(begins, groups, strict=False)
        ]
        if not groups:
            return table, slice(0, 0)
        first, last = int(rows[0][0]), int(rows[-1][-1])
        chosen = np.concatenate(rows)
        return table, slice(first, last + 1) if last - first == len(chosen) - 1 else chosen

    def in_file(self, rows: Rows) -> Rows:
        """The numbers that rows have in the file."""
        numbers = self._numbers()
        if len(numbers) == 1:
            first = numbers[0][1]
            return choose(slice(first, first + len(self)), rows)
        plain = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        at, first = np.array(numbers).T
        part = np.searchsorted(at, plain, side="right") - 1
        found: Array = first[part] + plain - at[part]
        return found

    def _numbers(self) -> list[tuple[int, int]]:
        """Where records no longer follow each other in the file: a position, its number there."""
        starts = [*accumulate(self.source.groups, initial=self.source.first)]
        numbers = [(0, starts[self._groups[0]] if self._groups else 0)]
        at = 0
        for group in self._groups:
            if numbers[-1][1] - numbers[-1][0] != starts[group] - at:
                numbers.append((at, starts[group]))
            at += self.source.groups[group]
        return numbers

    def record(self, row: int) -> Record:
        """A row as a new dict, new also in what its values hold.

        A column that cannot be brought to its kind is left out: if a component reads it, the
        error is the column's; see :meth:`need`.
        """
        return next(self.records(slice(row, row + 1)))

    def records(self, rows: Rows) -> Iterator[Record]:
        """Some rows as :meth:`record` gives them."""
        names = self._readable()
        # Column by column, and of these rows alone: it takes less time, and less memory by far.
        cells = [self.values(name, rows) for name in names]
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        for values in zip(*cells, strict=True) if cells else [()] * count:
            yield dict(zip(names, values, strict=True))

    def _readable(self) -> list[str]:
        """The columns that can be brought to their kinds."""
        if self._names_readable is None:
            try:
                self.need(self.columns)
                self._names_readable = self.columns
            except UnfitError:
                self._names_readable = [name for name in self.columns if self._can_be_read(name)]
        return self._names_readable

    def _can_be_read(self, name: str) -> bool:
        try:
            self.need([name])
        except UnfitError:  # raised again where it is read
            return False
        return True

    def place(self, row: int) -> str:
        """Where a row stands: the set, the record's number, and its line where that is known."""
        if self._read_lines is not None:
            lines = self._read_lines()
            # A count that differs tells of a file that changed.
            self._lines = lines if lines is not None and len(lines) == len(self) else None
            self._read_lines = None
        line = "" if self._lines is None else f" (line {self._lines[row]})"
        number = next(first + row - at for at, first in reversed(self._numbers()) if at <= row)
        return f"{self.name + ', ' if self.name else ''}record {number}{line}"


def make_table(source: Source, schema: Schema, name: str) -> Table:
    """The table over a source, whose kinds are learnt if the schema does not have them all."""
    if not schema.is_complete:
        schema = learn_schema(source, schema, name)
    _spell(source, schema)
    return Table(source, schema, name)


def _spell(source: Source, schema: Schema) -> None:
    """Have the columns of a CSV file that are no numbers as they are spelt."""
    names = [name for name in source.columns if name in schema.columns]
    source.spell([name for name in names if schema.columns[name].is_spelt])


def learn_schema(source: Source, declared: Schema, name: str) -> Schema:
    """The kind of each column of a source; declared ones are as they are declared.

    Raises:
        RecordError: a declared column is not there, or a file is damaged.
    """
    for column in declared.columns.values():
        if column.declared and column.name not in source.columns:
            message = no_such_column(column.name, source.columns, name or "the records")
            raise RecordError(f"{message}; dataset.columns declares it")
    learners = {
        one: Learner(one, _missing_words(one, declared), source.is_spelt) for one in source.columns
    }
    source.learn(learners)
    found = {one: learner.column() for one, learner in learners.items()}
    for one, column in declared.columns.items():
        if one in found:
            found[one] = replace(column, optional=found[one].optional)
    return Schema(found, True, declared.missing, declared.csv)


def _missing_words(name: str, declared: Schema) -> tuple[str, ...]:
    column = declared.columns.get(name)
    return declared.missing if column is None else column.missing


def is_held(column: Column) -> bool:
    """Whether the cells of a column are containers in an array of objects."""
    return column.kind == "object" or (column.kind == "list" and column.shape is None)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else native(value)


def choose(rows: Rows, chosen: Rows) -> Rows:
    """The rows that stand at these positions among ``rows``.

    Args:
        rows: positions, or a consecutive part from ``start`` to ``stop``.
        chosen: positions among them, or a consecutive part of them.

    Example:
        >>> choose(slice(10, 20), slice(2, 5)), choose(slice(10, 20), np.array([3, 3]))
        (slice(12, 15, None), array([13, 13]))
    """
    if isinstance(rows, np.ndarray):
        of_rows: Array = rows[chosen]
        return of_rows
    if isinstance(chosen, slice):
        return slice(rows.start + chosen.start, rows.start + chosen.stop)
    shifted: Array = chosen + rows.start
    return shifted
