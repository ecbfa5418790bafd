"""Windows of a long table as records: what came before a moment, and what came after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from barrage_mlflow.config.names import NEXT
from barrage_mlflow.dataset.records.cells import is_missing
from barrage_mlflow.dataset.records.digests import digest_cells
from barrage_mlflow.dataset.records.kinds import Column, Schema, Windows
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.tables import Group, Table
from barrage_mlflow.dataset.types import Array, Rows
from barrage_mlflow.errors import RecordError

_NUMBERS = ("whole", "number")
_ORDERED = (*_NUMBERS, "datetime", "date", "duration")
"""Kinds that a time can be of."""


def cell_kinds(windows: Windows | None, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The kinds of a table's cells that make windows of the kinds that are asked for.

    Args:
        windows: of the table; None where its rows are the records.
        asked: by column, written as in ``dataset.columns``.

    Example:
        >>> asked = {"next_sales": {"kind": "list", "of": "number"}, "shop": "text"}
        >>> cell_kinds(Windows("date", history=28), asked)
        {'sales': 'number', 'shop': 'text'}
    """
    if windows is None:
        return dict(asked)
    kinds = {}
    for name, kind in asked.items():
        of = kind.get("of") if isinstance(kind, dict) else None
        kinds[name.removeprefix(NEXT)] = of if of in _NUMBERS else kind
    return kinds


class WindowTable(Table):
    """Windows of the rows of a table, each column of which is made when it is asked for.

    Of a column of numbers a window has the last ``history`` values, and in ``next_`` and its name
    the ``horizon`` values after them; of any other column, the last value.

    Args:
        table: with a schema that has windows.
        rows: of which rows.

    Raises:
        RecordError: there is no such column, a row has no time or that of another row of its
            group, or a group that is to be scored has too few rows; or there is no window at all.

    Example:
        >>> from barrage_mlflow.dataset.records.records import Records
        >>> rows = [{"day": day, "sales": day * 1.5} for day in range(5)]
        >>> records = Records.read(rows, schema=Schema(windows=Windows("day", 2, 1)))
        >>> records["sales"], records["next_sales"].ravel(), records["day"]
        (array([[0. , 1.5],
               [1.5, 3. ],
               [3. , 4.5]]), array([3. , 4.5, 6. ]), array([1, 2, 3]))
    """

    def __init__(self, table: Table, rows: Rows) -> None:
        assert table.schema.windows is not None
        windows = table.schema.windows
        for name in (windows.time, *windows.group):
            if not table.holds(name):
                message = no_such_column(name, table.columns, table.name or "the records")
                raise RecordError(f"{message}; dataset.windows names it")
        time = table.schema.columns[windows.time]
        if time.kind == "text":
            columns = {
                **table.schema.columns,
                time.name: replace(time, kind="datetime", reason="dates in letters"),
            }
            table = table.under(replace(table.schema, columns=columns), table.name)
        elif time.kind not in _ORDERED:
            raise RecordError(
                f"{table.name}: column '{time.name}' holds {time.reason}, dataset.windows expects "
                "dates or numbers as its time"
            )
        self._set(table)
        chosen = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        self._order, starts = _in_order(table, windows, chosen)
        self._ends = _ends(table, windows, self._order, starts)
        self._length = len(self._ends)

    def _set(self, table: Table) -> None:
        windows = table.schema.windows
        assert windows is not None
        self._table, self.schema, self.name = table, table.schema, table.name
        self.source, self.roots = table.source, table.roots
        self.kinds = {}
        for name in table.columns:
            self.kinds |= _columns(windows, table.schema.columns[name])
        self.columns = [*self.kinds]
        self._names = frozenset(self.columns)
        self._arrays = {}
        self._names_readable = None
        for name in self.columns:
            if name.startswith(NEXT) and self.schema.columns.get(name):
                raise RecordError(
                    f"{table.name}: column '{name}' has the name that windows give to what comes "
                    f"next in '{name.removeprefix(NEXT)}'; rename it"
                )

    def need(self, names: Sequence[str]) -> None:
        """Read columns of the table, together, and bring them to their kinds.

        Raises:
            UnfitError: a cell is not of its column's kind.
            RecordError: a file is damaged.
        """
        wanted = {name: self._cells(name) for name in names if name not in self._arrays}
        self._table.need([*wanted.values()])
        for name, of in wanted.items():
            column, cells = self.kinds[name], self._table.typed(of)[self._order]
            if column is self.schema.columns.get(name):
                self._arrays[name] = cells[self._ends]
                continue
            (length,) = column.shape or (0,)
            first = 1 if of != name else 1 - length
            made: Any = _Windowed(cells.astype(column.dtype), self._ends + first, length)
            self._arrays[name] = made

    def _cells(self, name: str) -> str:
        """The column of the table that a column is made of."""
        return name if name in self.schema.columns else name.removeprefix(NEXT)

    def groups_in(self, rows: Rows) -> list[Group] | None:
        """None: windows are made of columns in memory."""
        return None

    def place(self, row: int) -> str:
        """Where the last row of a window's history stands."""
        return self._table.place(int(self.last_rows()[row]))

    def last_rows(self) -> Array:
        """The row of the table that each window's history ends with."""
        return self._order[self._ends]

    def unwound(self, rows: Rows) -> tuple[Table, Rows]:
        """The table and those of its rows that some windows are made of."""
        windows = self.schema.windows
        assert windows is not None
        around = np.arange(1 - windows.history, windows.horizon + 1)
        return self._table, np.unique(self._order[self._ends[rows][:, np.newaxis] + around])

    def digest(self, rows: Rows, count: int, source: str) -> str:
        """A fingerprint of the whole table and of which windows these are."""
        whole = slice(0, len(self._table))
        chosen = rows if isinstance(rows, slice) else rows.tolist()
        about = f"{self.schema.windows} {chosen}".encode()
        return digest_cells(self._table.digest(whole, len(self._table), source), [about])

    def under(self, schema: Schema, name: str) -> Table:
        """The same windows of a table in other kinds and in another name."""
        other = object.__new__(WindowTable)
        other._set(self._table.under(schema, name))
        other._order, other._ends, other._length = self._order, self._ends, self._length
        return other


class _Windowed:
    """A column ``(windows, length)`` of which some windows are made when they are asked for."""

    def __init__(self, cells: Array, starts: Array, length: int) -> None:
        self._cells, self._starts, self._length = cells, starts, length

    def __getitem__(self, rows: Rows) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(self._cells, self._length)
        made: Array = windows[self._starts[rows]]
        return made


def _columns(windows: Windows, column: Column) -> dict[str, Column]:
    """What windows have of a column of the table."""
    if column.name in windows.keys or column.kind not in _NUMBERS:
        return {column.name: column}
    of = "number" if column.optional else column.kind
    listed = Column(column.name, "list", of=of, shape=(windows.history,))
    made = {column.name: replace(listed, reason=f"the last {windows.history} of its numbers")}
    if windows.horizon:
        after, reason = NEXT + column.name, f"the next {windows.horizon} of its numbers"
        made[after] = replace(listed, name=after, shape=(windows.horizon,), reason=reason)
    return made


def _in_order(table: Table, windows: Windows, rows: Array) -> tuple[Array, Array]:
    """Rows by group and time, and where each group starts; groups stand as in the table."""
    table.need(windows.keys)
    times = table.typed(windows.time)[rows]
    gone = np.array([is_missing(time) for time in times.tolist()], bool)
    if gone.any():
        place = table.place(int(rows[gone.argmax()]))
        raise RecordError(f"{place}, column '{windows.time}': expected a time, got none")
    codes: dict[Any, int] = {}
    groups = zip(*(table.values(name, rows) for name in windows.group), strict=True)
    found = [codes.setdefault(group, len(codes)) for group in groups] or [0] * len(rows)
    of_group = np.array(found, np.int64)
    order = np.lexsort((times, of_group))
    of_group, times, rows = of_group[order], times[order], rows[order]
    same = (np.diff(of_group) == 0) & (times[1:] == times[:-1])
    if same.any():
        first, second = (table.place(int(rows[same.argmax() + more])) for more in (0, 1))
        raise RecordError(
            f"{first} and {second} are of one time{' and group' * bool(windows.group)}; name all "
            "columns of the group in dataset.windows.group, or make one row of them"
        )
    return rows, np.flatnonzero(np.diff(of_group, prepend=-1))


def _ends(table: Table, windows: Windows, order: Array, starts: Array) -> Array:
    """The last row of each window's history: the last of each group where it is to be scored."""
    stops = np.append(starts[1:], len(order))
    if windows.horizon:
        ends = [
            np.arange(stop - 1 - windows.horizon, start + windows.history - 2, -windows.step)[::-1]
            for start, stop in zip(starts, stops, strict=True)
        ]
        if not sum(map(len, ends)):
            raise RecordError(
                f"{table.name or 'the records'}: expected {windows.history} + {windows.horizon} "
                "rows for dataset.windows' history and horizon, in one group at least; the "
                f"longest has {max(stops - starts, default=0)}"
            )
        return np.concatenate(ends)
    short = stops - starts < windows.history
    if short.any():
        at = int(short.argmax())
        of = dict(zip(windows.group, _group(table, windows, order[starts[at]]), strict=True))
        raise RecordError(
            f"{table.place(int(order[starts[at]]))}: expected {windows.history} rows of history"
            f"{f' of {of}' if of else ''}, got {(stops - starts)[at]}; give more, or leave them out"
        )
    ends_: Array = stops - 1
    return ends_


def _group(table: Table, windows: Windows, row: int) -> list[Any]:
    return [table.values(name, slice(row, row + 1))[0] for name in windows.group]
