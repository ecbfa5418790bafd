"""Windows of a long table as records: what came before a moment, and what came after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from barrage_mlflow.config.features import NEXT
from barrage_mlflow.dataset.records.column_kinds import Column, Schema, Windows
from barrage_mlflow.dataset.records.digests import digest_cells
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.tables import Group, Table
from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.dataset.types import Array, Rows
from barrage_mlflow.errors import RecordError

_NUMBERS = ("whole", "number")
_ORDERED = (*_NUMBERS, "datetime", "date", "duration")
"""Kinds that a time can be of."""
_GROUPED = ("text", "whole", "number", "truth")
"""Kinds that a group can be of: an answer has it, in values of JSON."""


def cell_kinds(schema: Schema, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What kinds a table's columns must have, so that its records have those that are asked for.

    Args:
        schema: of the table.
        asked: by column of the records, written as in ``dataset.columns``.

    Raises:
        RecordError: a column would have to be of two kinds.

    Example:
        >>> sales = Schema({"sales": Column("sales", "whole")}, windows=Windows("date", 28, 7))
        >>> cell_kinds(sales, {"next_sales": {"kind": "list", "of": "number"}, "shop": "text"})
        {'sales': 'number', 'shop': 'text'}
    """
    if schema.windows is None:
        return dict(asked)
    kinds: dict[str, Any] = {}
    for name, kind in asked.items():
        own = name if name in schema.columns else name.removeprefix(NEXT)
        is_list = own in schema.columns and schema.columns[own].kind == "list"
        of = kind.get("of") if isinstance(kind, dict) and not is_list else None
        wanted = of if of in _NUMBERS else kind
        if kinds.setdefault(own, wanted) != wanted:
            raise RecordError(
                f"column '{own}' is asked for as {kinds[own]} and, for what comes next, as "
                f"{wanted}; it is of one kind: ask for the same in both"
            )
    return kinds


def make_windows(table: Table, rows: Rows, windows: Windows) -> WindowTable:
    """The windows of some rows of a table.

    Args:
        table: whose schema has these windows.
        rows: of which rows.
        windows: how they are made.

    Raises:
        RecordError: there is no such column, a row has no time or group, or the time of another
            row of its group, or a group that is to be scored has too few rows; or there is no
            window at all.

    Example:
        >>> from barrage_mlflow.dataset.records.records import Records
        >>> rows = [{"day": day, "sales": day * 1.5} for day in range(5)]
        >>> records = Records.read(rows, schema=Schema(windows=Windows("day", 2, 1)))
        >>> records["sales"], records["next_sales"].ravel(), records["day"]
        (array([[0. , 1.5],
               [1.5, 3. ],
               [3. , 4.5]]), array([3. , 4.5, 6. ]), array([1, 2, 3]))
    """
    for name in windows.keys:
        if name not in table.kinds:
            message = no_such_column(name, table.columns, table.owner)
            raise RecordError(f"{message}; dataset.windows names it")
        column, is_time = table.schema.columns[name], name == windows.time
        if column.kind not in (_ORDERED if is_time else _GROUPED):
            wanted = (
                "dates, durations or numbers" if is_time else "strings, numbers or truth values"
            )
            raise RecordError(
                f"{table.owner}: column '{name}' holds {column.reason}; "
                f"dataset.windows expects {wanted} as its {'time' if is_time else 'group'}"
            )
    chosen = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
    order, starts = _in_order(table, windows, chosen)
    stops = np.append(starts[1:], len(order))[: len(starts)]
    ends = (_all_ends if windows.horizon else _last_ends)(table, windows, order, starts, stops)
    return WindowTable(table, order, ends, windows)


class WindowTable(Table):
    """Windows of the rows of a table, each column of which is made when it is asked for.

    Of a column of numbers a window has the last ``history`` values, and in ``next_`` and its name
    the ``horizon`` values after them; of any other column, the last value.

    Args:
        table: whose schema has these windows.
        order: rows of it ``(rows,)``, by group and time.
        ends: positions among them ``(windows,)``, at which histories end.
        windows: how they are made.
    """

    def __init__(self, table: Table, order: Array, ends: Array, windows: Windows) -> None:
        super().__init__(table.source, table.schema, table.name, None, table.roots)
        self._table, self._windows = table, windows
        self._order, self._ends, self._length = order, ends, len(ends)
        self.kinds = {name: table.schema.columns[name] for name in table.columns}
        for name in table.columns:
            for made in _columns(windows, table.schema.columns[name]):
                if made.name != name and made.name in table.columns:
                    raise RecordError(
                        f"{table.owner}: column '{made.name}' has the name that "
                        f"windows give to what comes next in '{name}'; rename it"
                    )
                self.kinds[made.name] = made
        self.columns = [*self.kinds]

    def need(self, names: Sequence[str]) -> None:
        """Read columns of the table, together, and bring them to their kinds.

        Raises:
            UnfitError: a cell is not of its column's kind.
            RecordError: a file is damaged.
        """
        wanted = {name: self._cells(name) for name in names if name not in self._arrays}
        self._table.need([*wanted.values()])
        ordered: dict[str, Array] = {}  # one array of what came before and of what comes next
        for name, of in wanted.items():
            column = self.kinds[name]
            if column == self.schema.columns.get(name):
                self._arrays[name] = self._table.typed(of)[self._order[self._ends]]
                continue
            if of not in ordered:
                ordered[of] = self._table.typed(of)[self._order].astype(column.dtype, copy=False)
            (length,) = column.shape or (0,)
            first = 1 if of != name else 1 - length
            made: Any = _Windowed(ordered[of], self._ends + first, length)
            self._arrays[name] = made

    def _cells(self, name: str) -> str:
        """The column of the table that a column is made of."""
        return name if name in self.schema.columns else name.removeprefix(NEXT)

    def groups_in(self, rows: Rows) -> list[Group] | None:
        """None: windows are made of columns in memory."""
        return None

    def place(self, row: int) -> str:
        """Where the last row of a window's history stands."""
        return self._table.place(int(self._order[self._ends[row]]))

    def last_rows(self) -> Array:
        """The row of the table that each window's history ends with."""
        return self._order[self._ends]

    def as_rows(self, rows: Rows) -> tuple[Table, Rows]:
        """The table and those of its rows that some windows are made of."""
        around = np.arange(1 - self._windows.history, self._windows.horizon + 1)
        return self._table, np.unique(self._order[self._ends[rows][:, np.newaxis] + around])

    def as_read(self, name: str, rows: Rows) -> Array:
        """A column ``(windows, ...)``; windows are made of cells of the columns' kinds."""
        return self.array(name, rows)

    def digest(self, rows: Rows, count: int, source: str) -> str:
        """A fingerprint of the whole table and of which windows these are."""
        whole = slice(0, len(self._table))
        chosen = rows if isinstance(rows, slice) else rows.tolist()
        about = f"{self._windows} {chosen}".encode()
        return digest_cells(self._table.digest(whole, len(self._table), source), [about])

    def under(self, schema: Schema, name: str) -> Table:
        """The same windows of a table in other kinds and in another name."""
        windows = schema.windows or self._windows
        return WindowTable(self._table.under(schema, name), self._order, self._ends, windows)


class _Windowed:
    """A column ``(windows, length)`` of which some windows are made when they are asked for."""

    def __init__(self, cells: Array, starts: Array, length: int) -> None:
        self._cells, self._starts, self._length = cells, starts, length

    def __getitem__(self, rows: Rows) -> Array:
        windows = np.lib.stride_tricks.sliding_window_view(self._cells, self._length)
        made: Array = windows[self._starts[rows]]
        return made


def _columns(windows: Windows, column: Column) -> list[Column]:
    """What windows have of a column of numbers."""
    if column.name in windows.keys or column.kind not in _NUMBERS:
        return []
    of = "number" if column.optional else column.kind
    listed = Column(column.name, "list", of=of, shape=(windows.history,))
    made = [replace(listed, reason=f"the last {windows.history} of its numbers")]
    if windows.horizon:
        after, reason = NEXT + column.name, f"the next {windows.horizon} of its numbers"
        made.append(replace(listed, name=after, shape=(windows.horizon,), reason=reason))
    return made


def _in_order(table: Table, windows: Windows, rows: Array) -> tuple[Array, Array]:
    """Rows by group and time, and where each group starts; groups stand as in the table."""
    table.need(windows.keys)
    keys = [table.values(name, rows) for name in windows.keys]
    for name, values in zip(windows.keys, keys, strict=True):
        gone = np.array([is_missing(value) for value in values], bool)
        if gone.any():
            place = table.place(int(rows[gone.argmax()]))
            raise RecordError(
                f"{place}, column '{name}': expected a value in every row, since "
                "dataset.windows names it, got none; give it, or leave the row out"
            )
    codes: dict[Any, int] = {}
    groups = zip(*keys[:-1], strict=True) if windows.group else ((),) * len(rows)
    of_group = np.array([codes.setdefault(group, len(codes)) for group in groups], np.int64)
    times = table.typed(windows.time)[rows]
    order = np.lexsort((times, of_group))
    of_group, times, rows = of_group[order], times[order], rows[order]
    same = (np.diff(of_group) == 0) & (times[1:] == times[:-1])
    if same.any():
        first, second = (table.place(int(rows[same.argmax() + more])) for more in (0, 1))
        raise RecordError(
            f"{first} and {second} are of one time{' and group' * bool(windows.group)}; name all "
            "columns that tell series apart as the group of the windows, or make one row of them"
        )
    return rows, np.flatnonzero(np.diff(of_group, prepend=-1))


def _all_ends(table: Table, windows: Windows, order: Array, starts: Array, stops: Array) -> Array:
    """The last row of each window's history, where rows come after it."""
    ends = [
        np.arange(stop - 1 - windows.horizon, start + windows.history - 2, -windows.step)[::-1]
        for start, stop in zip(starts, stops, strict=True)
    ]
    if len(order) and not sum(map(len, ends)):
        raise RecordError(
            f"{table.owner}: expected {windows.history} + {windows.horizon} rows "
            f"of one group, the history and horizon of the windows; the longest has "
            f"{max(stops - starts)}: give less of them, or more rows, as by another share of split"
        )
    return np.concatenate([np.empty(0, np.int64), *ends])


def _last_ends(table: Table, windows: Windows, order: Array, starts: Array, stops: Array) -> Array:
    """The last row of each group, which must have a history."""
    short = stops - starts < windows.history
    if short.any():
        at = int(short.argmax())
        first = int(order[starts[at]])
        group = {name: table.values(name, slice(first, first + 1))[0] for name in windows.group}
        raise RecordError(
            f"{table.place(first)}: expected {windows.history} rows of history"
            f"{f' of {group}' if group else ''}, got {(stops - starts)[at]}; give more, or leave "
            "them out"
        )
    ends: Array = stops - 1
    return ends
