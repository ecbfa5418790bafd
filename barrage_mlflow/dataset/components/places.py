"""Where an exception was raised: in which record, at which stage, in which component.

A component's own exception keeps its type. Its place is an attribute of it, for code, and a note
on it, for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.dataset.components.reading import column_read_last
from barrage_mlflow.dataset.records.columns import is_missing
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.tables import no_such_column
from barrage_mlflow.dataset.types import Record
from barrage_mlflow.errors import BarrageError


@dataclass(frozen=True)
class Place:
    """A place in the pipeline: ``error.barrage_place`` of what was raised there.

    Attributes:
        record: the record, batch or set; empty where the message itself names it.
        stage: ``"load"``, ``"transform"``, ``"augment"``, ``"feed"``, ``"postprocess"``,
            ``"fit"``, ``"save"``.
        component: its name.

    Example:
        >>> str(Place("train.csv, record 5 (line 7)", "load", "my.Loader"))
        'in train.csv, record 5 (line 7), stage load, component my.Loader'
    """

    record: str
    stage: str
    component: str

    def __str__(self) -> str:
        where = f"{self.record}, " if self.record else ""
        return f"in {where}stage {self.stage}, component {self.component}"


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


def place_of(error: BaseException) -> Place | None:
    """Where in the pipeline an exception was raised; None where it was raised elsewhere.

    Example:
        >>> error = KeyError("age")
        >>> place_of(error) is None
        True
        >>> set_place(error, Place("record 3", "load", "my.Loader"))
        >>> place_of(error).stage, error.__notes__
        ('load', ['in record 3, stage load, component my.Loader'])
    """
    return getattr(error, "barrage_place", None)


def set_place(error: BaseException, place: Place) -> None:
    """Attach a place to an exception, unless one further in is attached already."""
    if place_of(error) is None:
        error.barrage_place = place  # type: ignore[attr-defined]
        error.add_note(str(place))


@contextmanager
def placed(record: str, stage: str, component: str) -> Iterator[None]:
    """Attach a place to every exception that passes."""
    try:
        yield
    except Exception as error:
        set_place(error, Place(record, stage, component))
        raise


@contextmanager
def at_index(index: int) -> Iterator[None]:
    """Attach to an exception that passes which record of the batch it is about."""
    try:
        yield
    except Exception as error:
        set_index(error, index)
        raise


def set_index(error: BaseException, index: int) -> None:
    """Attach which record of the batch an exception is about; its place follows from that."""
    if not hasattr(error, "barrage_index"):
        error.barrage_index = index  # type: ignore[attr-defined]


@contextmanager
def placed_records(
    records: Records, stage: str, component: str, load: Callable[[Record], Any] | None = None
) -> Iterator[None]:
    """Attach to an exception that passes its record, or else the batch.

    Args:
        records: the batch that a component works on.
        stage: what it does.
        component: its name.
        load: the record form of a loader, if that is what is called.
    """
    try:
        yield
    except Exception as error:
        index = getattr(error, "barrage_index", None)
        if index is None:
            owner = f"{records.name}, " if records.name else ""
            batch = f"{owner}a batch of {len(records)} records"
            set_place(error, Place(batch, stage, component))
        else:
            set_record(error, records, index, stage, component, load)
        raise


def set_record(
    error: BaseException,
    records: Records,
    index: int,
    stage: str,
    component: str,
    load: Callable[[Record], Any] | None = None,
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
        load: what failed, if that was the record form of a loader: the column that it read last
            is named where the message does not lead to one.
    """
    if place_of(error) is not None:
        return
    set_place(error, Place(records.place(index), stage, component))
    if stage not in ("load", "transform"):  # what comes later is about no column
        return
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(key, str) and key not in records.columns:
        error.add_note(no_such_column(key, records.columns, records.owner))
    elif not isinstance(error, BarrageError):
        record = records[index]
        columns = _columns_shown(record, error)
        for column in columns:
            shown = "no value" if is_missing(record[column]) else repr(record[column])
            error.add_note(f"column '{column}' holds {shown}")
        last = None if columns or load is None else column_read_last(load, record)
        if last is not None:
            error.add_note(f"column '{last}' was read last")


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
