"""Between the record form and the batch form: stack, slice, check, and name components."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from barrage_mlflow.dataset.records.columns import is_missing, objects
from barrage_mlflow.dataset.records.tables import no_such_column
from barrage_mlflow.dataset.types import PARTS, Array, DataRecord, Record, as_array
from barrage_mlflow.errors import BarrageError, ComponentError, RecordError

if TYPE_CHECKING:
    from barrage_mlflow.dataset.records.records import Records

Place = Callable[[int], str]
"""Gives the place of a record of the batch, for messages."""

Columns: TypeAlias = tuple[dict[str, list[Any]], ...]
"""Data records side by side: a list of values, one for each record, in the place of each value."""


_NUMBERS = {int, float}


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


def note(place: str, stage: str, component: str) -> str:
    """What is added to an exception to say where it happened.

    Example:
        >>> note("train.csv, record 5 (line 7)", "load", "my.Loader")
        'in train.csv, record 5 (line 7), stage load, component my.Loader'
    """
    return f"in {place}, stage {stage}, component {component}".replace("in , ", "in ")


def add_place(error: BaseException, place: str, stage: str, component: str) -> None:
    """Note where an exception happened, unless one further in has noted it already."""
    if not _has_place(error):
        error.add_note(note(place, stage, component))


def _has_place(error: BaseException) -> bool:
    return any(", stage " in text for text in getattr(error, "__notes__", ()))


def add_record(
    error: BaseException, records: Records, index: int, stage: str, component: str
) -> None:
    """Note at which record an exception happened, and in which column, where that shows.

    A component's own exception seldom names the column. It often holds the cell: "could not
    convert string to float: 'many'".
    """
    if _has_place(error):
        return
    add_place(error, records.place(index), stage, component)
    key = error.args[0] if isinstance(error, KeyError) and error.args else None
    if isinstance(key, str) and key not in records.columns:
        error.add_note(no_such_column(key, records.columns, records.owner))
    elif not isinstance(error, BarrageError):
        record = records[index]
        for column in _told(record, _message(error)):
            shown = "no value" if is_missing(record[column]) else repr(record[column])
            error.add_note(f"column '{column}' holds {shown}")


def names_column(error: BaseException) -> bool:
    """Whether an exception says, in its message or its notes, in which column it happened."""
    return any("column '" in text for text in (_message(error), *getattr(error, "__notes__", ())))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a project's own exception may be broken too
        return ""


def _told(record: Record, text: str) -> list[str]:
    """The columns whose cell a message shows: a word in quotes, or that a value is missing."""
    tells_missing = "NaN" in text or "None" in text
    return [
        column
        for column, cell in record.items()
        if (isinstance(cell, str) and cell and repr(cell) in text)
        or (tells_missing and is_missing(cell))
    ]


@contextmanager
def noted(place: str, stage: str, component: str) -> Iterator[None]:
    """Adds the note to every exception that passes; leaves its type alone."""
    try:
        yield
    except Exception as error:
        add_place(error, place, stage, component)
        raise


def keep_forms_together(cls: type, base: type, record_form: str, batch_form: str) -> None:
    """Undo an inherited batch form where a subclass overrides the record form alone.

    A subclass of a built-in component that overrides only ``load`` would else be passed over:
    the engine prefers ``load_batch``, which the built-in one brings along.
    """
    for parent in cls.__mro__:
        if batch_form in vars(parent):
            return
        if record_form in vars(parent):
            setattr(cls, batch_form, getattr(base, batch_form))
            return


def check_data_record(data: Any, what: str, lengths: Sequence[int] = (1, 2, 3)) -> None:
    """Check that ``data`` is a tuple of dicts whose keys are strings.

    Args:
        data: what a component returned.
        what: who returned it, ``"my.Loader.load"``.
        lengths: how many dicts it may hold.

    Raises:
        ComponentError: it is something else.
    """
    forms = ["(x,)", "(x, y)", "(x, y, w)"]
    wanted = " or ".join(forms[length - 1] for length in lengths)
    if not isinstance(data, tuple):
        raise ComponentError(
            f"{what}: expected a tuple of dicts, {wanted}, got {type(data).__name__}"
        )
    if len(data) not in lengths:
        raise ComponentError(f"{what}: expected {wanted}, got a tuple of length {len(data)}")
    for part, name in zip(data, PARTS, strict=False):
        if not isinstance(part, dict):
            raise ComponentError(
                f"{what}: expected a dict of arrays as its {name}, got {type(part).__name__}"
            )
        for key in part:
            if not isinstance(key, str):
                raise ComponentError(f"{what}: expected strings as names of {name}, got {key!r}")
    if not data[0]:
        raise ComponentError(f"{what}: it gives no inputs")


def check_batch(data: DataRecord, size: int, what: str) -> DataRecord:
    """The arrays of a batch, checked to hold ``size`` records each.

    Args:
        data: arrays ``(batch, ...)``.
        size: records in the batch.
        what: who returned it.

    Raises:
        ComponentError: an array has another length.
    """
    arrays = []
    for part, name in zip(data, PARTS, strict=False):
        checked = {}
        for key, value in part.items():
            array = value if type(value) is np.ndarray else as_array(value)
            if array.ndim == 0 or len(array) != size:
                raise ComponentError(
                    f"{what}: expected '{key}' of its {name} to be (batch, ...) with batch "
                    f"{size}, got shape {array.shape}"
                )
            checked[key] = array
        arrays.append(checked)
    return tuple(arrays)


def slice_record(data: DataRecord, index: int) -> DataRecord:
    """One record of a batch: arrays ``(...)``, copied.

    Example:
        >>> import numpy as np
        >>> slice_record(({"x": np.array([[1, 2], [3, 4]])},), 1)
        ({'x': array([3, 4])},)
    """
    # The Ellipsis keeps a scalar an array, and a string in it an object.
    return tuple({k: array[index, ...].copy() for k, array in part.items()} for part in data)


def side_by_side(data: Sequence[Any]) -> Columns | None:
    """The values of data records by their names; None if one is no data record like the first.

    It takes as little time by the record as Python can, so it does not say what is amiss.

    Example:
        >>> side_by_side([({"x": 1}, {"y": 0}), ({"x": 2}, {"y": 1})])
        ({'x': [1, 2]}, {'y': [0, 1]})
        >>> side_by_side([({"x": 1},), ({"z": 2},)]) is None
        True
    """
    if set(map(type, data)) - {tuple} or len(set(map(len, data))) > 1:
        return None
    columns = []
    for parts in zip(*data, strict=True):
        if set(map(type, parts)) != {dict} or len(set(map(len, parts))) > 1:
            return None
        try:
            columns.append({name: list(map(itemgetter(name), parts)) for name in parts[0]})
        except KeyError:
            return None
    return tuple(columns)


def hold_arrays(columns: Columns) -> bool:
    """Whether all values are arrays, and their strings Python strings.

    Example:
        >>> [hold_arrays(({"x": [value]},)) for value in (np.ones(2), np.array("a"), 1.0)]
        [True, False, False]
    """
    return all(
        set(map(type, values)) == {np.ndarray}
        and not any(dtype.kind in "US" for dtype in _dtypes(values))
        for part in columns
        for values in part.values()
    )


def as_arrays(data: DataRecord) -> DataRecord:
    """A data record of arrays alone: a loader may give bare numbers or strings.

    Example:
        >>> as_arrays(({"x": 1, "s": "a"},))
        ({'x': array(1), 's': array('a', dtype=object)},)
    """
    return tuple({name: as_array(value) for name, value in part.items()} for part in data)


def stack_records(
    data: Sequence[DataRecord], place: Place, what: str, columns: Columns | None = None
) -> DataRecord:
    """The batch that data records make: arrays ``(batch, ...)``.

    Args:
        data: checked data records of arrays ``(...)``.
        place: the place of record i, for messages.
        what: who returned them.
        columns: what :func:`side_by_side` makes of them, where that is known.

    Raises:
        RecordError: a record differs from the first in its names or in a shape.

    Example:
        >>> stack_records([({"x": 1.0},), ({"x": 2.0},)], str, "load")
        ({'x': array([1., 2.])},)
    """
    if columns is None:
        columns = side_by_side(data) or _compared(data, place, what)
    return tuple(
        {name: _stack(values, name, place, what) for name, values in part.items()}
        for part in columns
    )


def _compared(data: Sequence[DataRecord], place: Place, what: str) -> Columns:
    """As :func:`side_by_side`, but says which record differs from the first."""
    first = data[0]
    for index, record in enumerate(data):
        if len(record) != len(first):
            raise RecordError(
                f"{place(index)}: {what} gives a tuple of length {len(record)}, where the "
                f"records before it have {len(first)}"
            )
        for part, part_0, name in zip(record, first, PARTS, strict=False):
            if part.keys() != part_0.keys():
                raise RecordError(
                    f"{place(index)}: {what} gives the {name} {listed(part)}, where the records "
                    f"before it have {listed(part_0)}"
                )
    return tuple(
        {name: [record[number][name] for record in data] for name in part}
        for number, part in enumerate(first)
    )


def listed(part: Mapping[str, Any]) -> str:
    """The names in a dict, for messages."""
    return ", ".join(sorted(part)) or "(none)"


def _stack(values: list[Any], name: str, place: Place, what: str) -> Array:
    kinds = set(map(type, values))
    if kinds <= _NUMBERS:
        return np.array(values)
    if kinds == {np.ndarray}:
        dtype, *others = _dtypes(values)
        if not others and dtype.kind in "biufc" and dtype.isnative:
            # What np.stack makes, without its work for each array.
            with suppress(ValueError):  # their shapes differ
                return np.array(values, dtype)
    arrays = [as_array(value) for value in values]
    shape = arrays[0].shape
    for index, array in enumerate(arrays):
        if array.shape != shape:
            raise RecordError(
                f"{place(index)}: {what} gives '{name}' the shape {array.shape}, where the "
                f"records before it have {shape}"
            )
    return np.stack(arrays)


def _dtypes(arrays: Sequence[Array]) -> set[np.dtype[Any]]:
    return {array.dtype for array in arrays}


def stack_scores(scores: Sequence[Mapping[str, Any]], place: Place, what: str) -> dict[str, Array]:
    """The scores of a batch: arrays ``(batch, ...)``; of objects where shapes differ.

    Raises:
        ComponentError: a score is no dict, or has other names than the first.

    Example:
        >>> stack_scores([{"s": "cat"}, {"s": "dog"}], str, "postprocess")
        {'s': array(['cat', 'dog'], dtype=object)}
    """
    for index, score in enumerate(scores):
        if not isinstance(score, Mapping):
            raise ComponentError(
                f"{place(index)}: {what}: expected a dict, got {type(score).__name__}"
            )
        if score.keys() != scores[0].keys():
            raise ComponentError(
                f"{place(index)}: {what} gives {listed(score)}, where the records before it have "
                f"{listed(scores[0])}"
            )
    return {key: _stack_values([score[key] for score in scores]) for key in scores[0]}


def _stack_values(values: list[Any]) -> Array:
    try:
        arrays = [as_array(value) for value in values]
    except ValueError:  # a list of lists that differ in length
        return objects(values)
    if len({array.shape for array in arrays}) > 1:
        return objects(values)
    return np.stack(arrays)
