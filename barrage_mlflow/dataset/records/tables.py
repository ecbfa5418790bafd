"""The whole set that records look at: columns over a DataFrame, dicts or a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.dataset.records.columns import (
    Column,
    PlainColumn,
    Rows,
    native,
)
from barrage_mlflow.dataset.types import Array, Record

Lines: TypeAlias = Callable[[], "list[int] | None"]
"""Gives the line on which each record starts, or None where that cannot be told."""

Range: TypeAlias = tuple[int, int]
"""The records from the first number to before the second."""

PIECE = 1 << 16
"""Records that are worked on at once where there may be more than memory holds."""


def no_such_column(name: str, columns: Sequence[str], owner: str) -> str:
    """The message for a column that is not there: the nearest one, and those there are.

    Example:
        >>> no_such_column("speces", ["species", "sex"], "train.csv")
        "train.csv: no column 'speces'; did you mean 'species'? The columns are 'species', 'sex'"
    """
    hint = did_you_mean(name, columns)
    hint = f"{hint} The" if hint else "the"
    return f"{owner}: no column '{name}'; {hint} columns are {show_names(columns)}"


class Table:
    """The whole set that one or more Records look at; columns are converted once, late.

    Attributes:
        columns: their names.
        length: how many records there are.
        first: the number that messages give to its first record, where it is a part of a file.
    """

    def __init__(
        self,
        columns: list[str],
        length: int,
        make: Callable[[str], Column] | None = None,
        lines: Lines | None = None,
    ) -> None:
        self.columns = columns
        self.length = length
        self.first = 0
        self._names = frozenset(columns)
        self._make = make
        self._columns: dict[str, Column] = {}
        self._values: dict[str, list[Any]] = {}
        self._all_values: list[tuple[str, list[Any]]] | None = None
        self._held: list[str] = []
        self._read_lines = lines
        self._lines: list[int] | None = None

    def __getstate__(self) -> dict[str, Any]:
        columns = {name: self.column(name) for name in self.columns}
        anew: dict[str, Any] = {"_values": {}, "_all_values": None, "_make": None}
        return {**self.__dict__, "_columns": columns, **anew}

    def holds(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._names

    def column(self, name: str) -> Column:
        """The column; the name must be one of ``columns``."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._convert(name)
        return column

    def _convert(self, name: str) -> Column:
        assert self._make is not None
        return self._make(name)

    def need(self, names: Sequence[str]) -> None:
        """Make ready the columns that will be asked for next, where that is worth a thing."""

    def pieces(
        self, rows: Rows, length: int, size: int, names: Sequence[str]
    ) -> Iterator[tuple[Table, Rows]]:
        """Consecutive parts of the ``length`` rows, of at most ``size`` each."""
        for start in range(0, length, size):
            yield self, choose(rows, slice(start, min(start + size, length)))

    def part(self, rows: Rows) -> tuple[Table, Rows]:
        """Some rows, in the form in which the least has to be read for them."""
        return self, rows

    def origin(self, rows: Rows) -> tuple[Table, Rows]:
        """The whole set that this table is, or is a part of, and where in it the rows stand."""
        return self, rows

    def groups(self, rows: slice) -> list[Range] | None:
        """The parts of row groups that are among the rows; None where there are no row groups."""
        return None

    def select(self, ranges: Sequence[Range]) -> Table:
        """Some parts of the rows, one after the other, where there are row groups."""
        raise NotImplementedError

    def values(self, name: str) -> list[Any]:
        """The native values of a column; not to be changed."""
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = self.column(name).values()
        return values

    def values_of(self, name: str, rows: Rows) -> list[Any]:
        """The native values of a column in some rows, new also in what they hold."""
        values = self.values(name)
        chosen = _chosen(values, rows)
        return [native(value) for value in chosen] if self.column(name).held else chosen

    def record(self, row: int) -> Record:
        """A row as a new dict, new also in what its values hold."""
        return next(self.each(slice(row, row + 1)))

    def each(self, rows: Rows) -> Iterator[Record]:
        """These rows as :meth:`record` gives them, one after the other."""
        if self._all_values is None:
            self.need(self.columns)
            self._all_values = [(name, self.values(name)) for name in self.columns]
            self._held = [name for name in self.columns if self.column(name).held]
        names = [name for name, _ in self._all_values]
        # Column by column: a loop over scattered rows of all of them takes twice as long.
        cells = [_chosen(values, rows) for _, values in self._all_values]
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        for values in zip(*cells, strict=True) if cells else [()] * count:
            record = dict(zip(names, values, strict=True))
            for name in self._held:
                record[name] = native(record[name])
            yield record

    def place(self, row: int) -> str:
        """Where a row stands in its file: its number, and its line where that is known."""
        if self._read_lines is not None:
            lines = self._read_lines()
            # A count that differs tells of a file that changed, or of lines that pandas skips.
            self._lines = lines if lines is not None and len(lines) == self.length else None
            self._read_lines = None
        line = "" if self._lines is None else f" (line {self._lines[row]})"
        return f"record {self.first + row}{line}"


def _chosen(values: list[Any], rows: Rows) -> list[Any]:
    return values[rows] if isinstance(rows, slice) else [*map(values.__getitem__, rows.tolist())]


class ChangedTable(Table):
    """Some rows of a table, in which some columns are others."""

    def __init__(
        self, table: Table, rows: Rows, length: int, changed: Mapping[str, PlainColumn]
    ) -> None:
        names = list(dict.fromkeys([*table.columns, *changed]))
        super().__init__(names, length)
        self._columns.update(changed)
        self._table = table
        self._rows = rows

    def _convert(self, name: str) -> Column:
        return self._table.column(name).part(self._rows)

    def origin(self, rows: Rows) -> tuple[Table, Rows]:
        """The rows where they came from, whose places messages tell."""
        return self._table.origin(choose(self._rows, rows))


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
