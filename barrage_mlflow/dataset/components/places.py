"""Where an exception was raised: in which record, at which stage, in which component.

A component's own exception keeps its type. Its place is an attribute of it, for code, and a note
on it, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.tables import UnfitError
from barrage_mlflow.dataset.records.values import NUMBER, is_missing
from barrage_mlflow.dataset.types import Record
from barrage_mlflow.errors import BarrageError


def component_name(component: Any) -> str:
    """What messages call a component: its class's path; built-in ones by their short name.

    Example:
        >>> import fractions
        >>> component_name(fractions.Fraction(1))
        'fractions.Fraction'
    """
    kind = component if hasattr(component, "__qualname__") else type(component)
    module = kind.__module__ or "builtins"
    if module.startswith("barrage_mlflow.dataset."):
        return str(kind.__qualname__)
    return f"{module}.{kind.__qualname__}"


def place_of(error: BaseException) -> str | None:
    """Where in the pipeline an exception was raised; None where it was raised elsewhere.

    Example:
        >>> error = KeyError("age")
        >>> place_of(error) is None
        True
        >>> set_place(error, "record 3", "load", "my.Loader")
        >>> place_of(error), error.__notes__
        ('in record 3, stage load, component my.Loader', ['in record 3, stage load, ...'])
    """
    return getattr(error, "barrage_place", None)


def set_place(error: BaseException, records: str, stage: str, component: str) -> None:
    """Attach a place to an exception, unless one further in is attached already.

    Args:
        error: the exception.
        records: which record, batch or set it is about.
        stage: ``"load"``, ``"transform"``, ``"augment"``, ``"feed"``, ``"postprocess"``,
            ``"targets"``, ``"fit"``, ``"save"`` or ``"column_kinds"``.
        component: the name of the one at fault.
    """
    if place_of(error) is None:
        place = f"in {records}, stage {stage}, component {component}"
        error.barrage_place = place  # type: ignore[attr-defined]
        error.add_note(place)


def set_index(error: BaseException, index: int) -> None:
    """Attach which record of the batch an exception is about; its place follows from that."""
    if not hasattr(error, "barrage_index"):
        error.barrage_index = index  # type: ignore[attr-defined]


@contextmanager
def placed(
    records: Records | str,
    stage: str,
    component: str,
    alone: Callable[[int], Any] | None = None,
) -> Iterator[None]:
    """Attach to an exception that passes its place: the record, if it is known, or else all.

    Args:
        records: the batch that a component works on, or the name of the set or folder.
        stage: what it does.
        component: its name.
        alone: does the same with one record of the batch. The first at which this fails too is
            the one to name, where the exception does not tell.
    """
    try:
        yield
    except Exception as error:
        if isinstance(records, str):
            set_place(error, records, stage, component)
        # One of that type names the record and the column, which no component has seen.
        elif type(error) is not UnfitError and place_of(error) is None:
            index = getattr(error, "barrage_index", None)
            if index is None and alone is not None and not isinstance(error, UnfitError):
                index = _first_to_fail(alone, len(records))
            if index is None:
                owner = f"{records.name}, " if records.name else ""
                set_place(error, f"{owner}a batch of {len(records)} records", stage, component)
            else:
                set_record(error, records, index, stage, component)
        raise


def _first_to_fail(alone: Callable[[int], Any], count: int) -> int | None:
    for index in range(count):
        try:
            alone(index)
        except Exception:
            return index
    return None


def set_record(
    error: BaseException, records: Records, index: int, stage: str, component: str
) -> None:
    """Attach the record at which an exception was raised, and the column where that shows.

    A component's own exception seldom names the column. It often shows the cell: "could not
    convert string to float: 'many'".

    Args:
        error: the exception.
        records: what the component worked on.
        index: the record that it failed at.
        stage: what it was doing.
        component: its name.
    """
    if place_of(error) is not None:
        return
    set_place(error, records.place(index), stage, component)
    if stage not in ("load", "transform"):  # what comes later is about no column
        return
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(key, str) and key not in records.columns:
        error.add_note(no_such_column(key, records.columns, records.owner))
    elif isinstance(key, str):
        records.need([key])  # which raises, if it is not there for a cell that is not of its kind
    elif not isinstance(error, BarrageError):
        record = records[index]
        for column in _columns_shown(record, error):
            shown = "no value" if is_missing(record[column]) else repr(record[column])
            error.add_note(f"column '{column}' holds {shown}")


def _columns_shown(record: Record, error: BaseException) -> list[str]:
    """The columns whose cell a message shows: a word in quotes, or that a value is missing."""
    text = ""
    with suppress(Exception):  # a project's own exception may be broken too
        text = str(error)
    shows_missing = "NaN" in text or "None" in text
    return [
        column
        for column, cell in record.items()
        if (isinstance(cell, str) and cell and repr(cell) in text)
        or (shows_missing and is_missing(cell))
    ]


def find_word(records: Records, index: int, column: str) -> tuple[str, Any]:
    """The record to blame for a cell that should be a number: its place, and the cell.

    One word makes a whole column text, its numbers included. So where a cell is a number in
    letters, the first cell of the whole set that is none is to blame.

    Example:
        >>> from barrage_mlflow.dataset import Records
        >>> find_word(Records.read([{"a": "1"}, {"a": "many"}])[:1], 0, "a")
        ('record 1', 'many')
    """
    cell = records[index : index + 1].values(column)[0]
    if isinstance(cell, str) and NUMBER.fullmatch(cell.strip()):
        for piece in records.whole().pieces(columns=[column]):
            for row, other in enumerate(piece.values(column)):
                if isinstance(other, str) and not NUMBER.fullmatch(other.strip()):
                    return piece.place(row), other
    return records.place(index), cell
