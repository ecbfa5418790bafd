"""The whole set that records look at: its columns, each in its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, repeat
from typing import Any, NamedTuple

import numpy as np

from barrage_mlflow.dataset.records.cells import CellError, handed_out, to_kind
from barrage_mlflow.dataset.records.column_kinds import Column, Schema
from barrage_mlflow.dataset.records.digests import digest_cells, digest_file, digest_values
from barrage_mlflow.dataset.records.roots import find_file, read_file
from barrage_mlflow.dataset.records.sources import Source, cells_of, learn_schema
from barrage_mlflow.dataset.records.values import native, objects
from barrage_mlflow.dataset.types import Array, Record, Rows, choose
from barrage_mlflow.errors import RecordError

PIECE = 1 << 16
"""Records that are worked on at once where there may be more than memory holds."""


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
        roots: by column of bytes, the folder of the files that its strings name, where the schema
            has none: a model's names no folder.

    Attributes:
        columns: those that the source has, and those that records may lack.
        kinds: what is known of each of these.
        roots: by column of these, the folder of its files, where it has files.
    """

    def __init__(
        self,
        source: Source,
        schema: Schema,
        name: str,
        groups: Sequence[int] | None = None,
        roots: Mapping[str, str] | None = None,
    ) -> None:
        self.source = source
        self._groups = range(len(source.groups)) if groups is None else groups
        self._length = sum(source.groups[group] for group in self._groups)
        self.schema = schema
        self.name = name
        self._there = there = frozenset(source.columns)
        self.kinds = {n: one for n, one in schema.columns.items() if n in there or one.optional}
        self.columns = [*self.kinds]
        roots = {**(roots or {}), **{n: one.root for n, one in schema.columns.items() if one.root}}
        is_bytes = {n for n, one in self.kinds.items() if one.kind == "bytes"}
        self.roots = {n: root for n, root in roots.items() if n in is_bytes}
        self._arrays: dict[str, Array] = {}
        self._names_readable: list[str] | None = None
        self._lines: list[int] | None = None
        self._read_lines = source.lines

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}, "_names_readable": None}

    def __len__(self) -> int:
        return self._length

    @property
    def owner(self) -> str:
        """What messages call the set, which may have no name."""
        return self.name or "the records"

    def need(self, names: Sequence[str]) -> None:
        """Read columns, together, and bring them to their kinds.

        Raises:
            UnfitError: a cell is not of its column's kind.
            RecordError: a file is damaged.
        """
        wanted = [name for name in dict.fromkeys(names) if name not in self._arrays]
        there = [name for name in wanted if name in self._there]
        cells = self.source.read(self._groups, there) if there else {}
        for name in wanted:
            found = cells.pop(name, None) or [objects([None] * len(self))]
            self._arrays[name] = self._typed(name, found)

    def _typed(self, name: str, chunks: list[Any]) -> Array:
        column = self.kinds[name]
        if name in self.roots:
            column = replace(column, root=self.roots[name])
        if column.kind == "mixed":
            raise UnfitError(
                f"{self.owner}: column '{name}' holds {column.reason}; write one "
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
        if len({array.dtype for array in made}) > 1:
            made = [array.astype(column.dtype, copy=False) for array in made]
        return np.concatenate(made)

    def has(self, names: Sequence[str]) -> bool:
        """Whether columns are there in their kinds already."""
        return all(name in self._arrays for name in names)

    def typed(self, name: str) -> Array:
        """A column ``(records, ...)`` as it is held, not to be changed.

        Numbers may be narrow, and strings in a column of bytes are paths of files.
        """
        if name not in self._arrays:
            self.need([name])
        return self._arrays[name]

    def array(self, name: str, rows: Rows) -> Array:
        """A column ``(rows, ...)`` as a new array of its dtype."""
        if name in self.roots:
            return objects(list(self.files(name, rows)))
        column = self.kinds[name]
        cells = self.typed(name)[rows]
        if is_held(column):
            return objects([_copied(cell) for cell in cells])
        if cells.dtype != column.dtype:
            return cells.astype(column.dtype)
        return cells if isinstance(rows, np.ndarray) else cells.copy()

    def values(self, name: str, rows: Rows) -> list[Any]:
        """The native values of a column in some rows, new also in what they hold."""
        if name in self.roots:
            return list(self.files(name, rows))
        column = self.kinds[name]
        values = handed_out(self.typed(name)[rows], column)
        is_list = column.kind in ("list", "object")
        return [_copied(value) for value in values] if is_list else values

    def files(self, name: str, rows: Rows) -> Iterator[bytes | None]:
        """The cells of a column with a root in some rows, each read when it is asked for.

        Raises:
            UnfitError: a file is not there or cannot be read.
        """
        numbers = range(rows.start, rows.stop) if isinstance(rows, slice) else rows.tolist()
        cells = self.typed(name)[rows].tolist()
        return (self._file(name, *each, read_file) for each in zip(numbers, cells, strict=True))

    def _file(self, name: str, row: int, cell: Any, get: Callable[[str, str], Any]) -> Any:
        if not isinstance(cell, str):
            return cell
        try:
            return get(self.roots[name], cell)
        except RecordError as error:
            raise UnfitError(f"{self.place(row)}, column '{name}': {error}") from error

    def check_files(self) -> None:
        """Check that all files are there that cells name.

        Raises:
            UnfitError: one is not, or its path leads out of its root.
        """
        errors: list[UnfitError] = []
        for name in self.roots:
            for table, _ in self._parts(slice(0, len(self))):
                for row, cell in enumerate(table.typed(name).tolist()):
                    try:
                        table._file(name, row, cell, find_file)
                    except UnfitError as error:
                        errors.append(error)
        if errors:
            if len(errors) > 1:
                errors[0].add_note(f"so it is with {len(errors)} cells in all")
            raise errors[0]

    def as_rows(self, rows: Rows) -> tuple[Table, Rows]:
        """A table and those of its rows that some records are made of: these themselves."""
        return self, rows

    def as_read(self, name: str, rows: Rows) -> Array:
        """A column ``(rows,)`` as it was read, before it was brought to its kind."""
        if name in self.roots:
            return self.array(name, rows)
        arrays = [cells_of(chunk) for chunk in self.source.read(self._groups, [name])[name]]
        if len(arrays) == 1 and arrays[0].ndim == 1:
            return arrays[0][rows]
        cells: Array = objects([cell for array in arrays for cell in array.tolist()])
        return cells[rows]

    def digest(self, rows: Rows, count: int, source: str) -> str:
        """A fingerprint of so many rows, of a file if it has a name; see :meth:`Records.digest`."""
        if source:
            digest = digest_file(source, self.in_file(rows))
        else:
            columns = {n: self._digested(n, rows) for n in self.columns if n not in self.roots}
            digest = digest_values(columns, count)
        cells = (
            cell
            for name in self.roots
            for table, some in self._parts(rows)
            for cell in table.files(name, some)
        )
        return digest_cells(digest, cells) if self.roots else digest

    def _digested(self, name: str, rows: Rows) -> Array:
        """A column for a digest, also if it cannot be brought to its kind."""
        try:
            return self.array(name, rows)
        except UnfitError:
            return self.as_read(name, rows)

    def _parts(self, rows: Rows) -> Iterator[tuple[Table, Rows]]:
        """The rows where they are in memory; of Parquet group by group, of which none is kept."""
        groups = self.groups_in(rows)
        if groups is None:
            yield self, rows
        for group in groups or ():
            yield self.of_groups([group])

    def under(self, schema: Schema, name: str) -> Table:
        """The same records in other kinds and in another name."""
        _spell(self.source, schema)
        other = Table(self.source, schema, name, self._groups, self.roots)
        other._arrays = {
            name: array
            for name, array in self._arrays.items()
            if schema.columns.get(name) == self.schema.columns[name]
        }
        if other.roots != self.roots:
            other.check_files()
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
        numbers = [group.number for group in groups]
        table = Table(self.source, self.schema, self.name, numbers, self.roots)
        if not groups:
            return table, slice(0, 0)
        begins = accumulate((self.source.groups[number] for number in numbers), initial=0)
        pairs = zip(begins, groups, strict=False)
        chosen = np.concatenate([np.arange(at + one.start, at + one.stop) for at, one in pairs])
        first, last = int(chosen[0]), int(chosen[-1])
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
        cells = [self.files(n, rows) if n in self.roots else self.values(n, rows) for n in names]
        count = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        values = zip(*cells, strict=True) if cells else [()] * count
        yield from map(dict, map(zip, repeat(names), values))

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
    table = Table(source, schema, name)
    table.check_files()
    return table


def _spell(source: Source, schema: Schema) -> None:
    """Have the columns of a CSV file that are no numbers as they are spelt."""
    names = [name for name in source.columns if name in schema.columns]
    source.spell([name for name in names if schema.columns[name].is_spelt])


def is_held(column: Column) -> bool:
    """Whether the cells of a column are containers in an array of objects."""
    return column.kind == "object" or (column.kind == "list" and column.shape is None)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else native(value)
