"""The whole set that records look at: columns over a DataFrame or over dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from barrage_mlflow.config.paths import did_you_mean, show_names
from barrage_mlflow.dataset.columns import (
    Column,
    PlainColumn,
    column_of_cells,
    column_of_series,
    native,
)
from barrage_mlflow.dataset.readers import Lines
from barrage_mlflow.dataset.types import Array, Record
from barrage_mlflow.errors import RecordError

_NUMBERS = {np.dtype(np.int64), np.dtype(np.float64)}


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
    """The whole set that one or more Records look at; columns are converted once, late."""

    def __init__(
        self, columns: list[str], length: int, make: Callable[[str], Column], lines: Lines | None
    ) -> None:
        self.columns = columns
        self._names = frozenset(columns)
        self._joined: dict[tuple[str, ...], Array | None] = {}
        self.length = length
        self._make = make
        self._columns: dict[str, Column] = {}
        self._values: dict[str, list[Any]] = {}
        self._all_values: list[tuple[str, list[Any]]] | None = None
        self._held: list[str] = []
        self._read_lines = lines
        self._lines: list[int] | None = None

    def holds(self, name: str) -> bool:
        """Whether there is such a column."""
        return name in self._names

    def joined(self, names: tuple[str, ...]) -> Array | None:
        """Columns of numbers side by side, ``(length, names)``, kept for the next batch.

        None where they are not all of int64 or all of float64: these are joined by the batch.
        """
        if names not in self._joined:
            columns = [self.column(name) for name in names]
            wide = {column.wide for column in columns if isinstance(column, PlainColumn)}
            fits = len(wide) == 1 and wide <= _NUMBERS
            if fits and all(isinstance(column, PlainColumn) for column in columns):
                self._joined[names] = np.stack([c.array(None) for c in columns], axis=1)
            else:
                self._joined[names] = None
        return self._joined[names]

    def column(self, name: str) -> Column:
        """The column; the name must be one of ``columns``."""
        column = self._columns.get(name)
        if column is None:
            column = self._columns[name] = self._make(name)
        return column

    def values(self, name: str) -> list[Any]:
        """The native values of a column; not to be changed."""
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = self.column(name).values()
        return values

    def record(self, row: int) -> Record:
        """A row as a new dict, new also in what its values hold."""
        if self._all_values is None:
            self._all_values = [(name, self.values(name)) for name in self.columns]
            self._held = [name for name in self.columns if self.column(name).held]
        record = {name: values[row] for name, values in self._all_values}
        for name in self._held:
            record[name] = native(record[name])
        return record

    def line(self, row: int) -> int | None:
        """The line of its file on which a row starts, where that is known."""
        if self._read_lines is not None:
            lines = self._read_lines()
            # A count that differs tells of a file that changed, or of lines that pandas skips.
            self._lines = lines if lines is not None and len(lines) == self.length else None
            self._read_lines = None
        return None if self._lines is None else self._lines[row]


def make_table(data: Any, name: str, lines: Lines | None) -> Table:
    """The table over a DataFrame or a sequence of dicts; neither is ever written to."""
    owner = name or "the records"
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        names = list(data.columns)
        _check_names(names, owner)
        frame = data.copy(deep=False)  # copy-on-write: later changes by the caller stay theirs
        return Table(names, len(frame), lambda key: column_of_series(frame[key]), lines)
    if isinstance(data, Mapping) or not isinstance(data, Sequence):
        raise RecordError(
            f"{owner}: expected a DataFrame, a list of dicts or a path, got {type(data).__name__}"
        )
    for position, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise RecordError(
                f"{owner}, record {position}: expected a dict, got {type(row).__name__}"
            )
    rows = [dict(row) for row in data]
    names = list(dict.fromkeys(key for row in rows for key in row))
    _check_names(names, owner)
    return Table(
        names, len(rows), lambda key: column_of_cells([row.get(key) for row in rows]), lines
    )


def _check_names(names: list[Any], owner: str) -> None:
    for name in names:
        if not isinstance(name, str):
            raise RecordError(
                f"{owner}: expected strings as column names, got {name!r}; "
                "rename the column, as in frame.rename(columns=str)"
            )
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordError(f"{owner}: the column '{twice}' stands twice; rename one of them")
