"""Between the record form and the batch form: check, stack, take apart."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn

import numpy as np

from barrage_mlflow.config.names import show_names
from barrage_mlflow.dataset.components.places import set_index
from barrage_mlflow.dataset.records.values import objects
from barrage_mlflow.dataset.types import PARTS, Array, DataRecord, RecordMode, as_array
from barrage_mlflow.errors import ComponentError, RecordError


def call_each(call: Callable[[Any], Any], given: Iterable[Any]) -> list[Any]:
    """What a record form makes of each record.

    Raises:
        Exception: whatever the record form raises, with the record's index.

    Example:
        >>> call_each(float, ["1", "2"])
        [1.0, 2.0]
    """
    made: list[Any] = []
    try:
        # Where one fails, those before it are in the list: how many they are is which.
        made.extend(map(call, given))
    except Exception as error:
        set_index(error, len(made))
        raise
    return made


def lengths_in(mode: RecordMode) -> tuple[int, ...]:
    """How many dicts a data record may have.

    Example:
        >>> lengths_in(RecordMode.TRAIN)
        (2, 3)
    """
    return (1,) if mode is RecordMode.SCORE else (2, 3)


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
        lengths: how many dicts it may have.

    Raises:
        ComponentError: it is something else.
    """
    forms = ["(x,)", "(x, y)", "(x, y, w)"]
    wanted = " or ".join(forms[length - 1] for length in lengths)
    if not isinstance(data, tuple) or len(data) not in lengths:
        got = f"a tuple of length {len(data)}" if isinstance(data, tuple) else type(data).__name__
        raise ComponentError(f"{what}: expected a tuple of dicts, {wanted}, got {got}")
    for part, name in zip(data, PARTS, strict=False):
        if not isinstance(part, dict) or not all(isinstance(key, str) for key in part):
            raise ComponentError(
                f"{what}: expected a dict of arrays by name as its {name}, got {reprlib.repr(part)}"
            )
    if not data[0]:
        raise ComponentError(f"{what}: it gives no inputs")


def check_batch(data: Any, size: int, what: str, lengths: Sequence[int] = (1, 2, 3)) -> DataRecord:
    """The arrays of a batch, checked to have ``size`` records each.

    Args:
        data: what a component returned.
        size: records in the batch.
        what: who returned it.
        lengths: how many dicts it may have.

    Raises:
        ComponentError: it is no data record, or an array has another length.
    """
    check_data_record(data, what, lengths)
    return tuple(
        check_lengths(part, size, what, f" of its {name}")
        for part, name in zip(data, PARTS, strict=False)
    )


def check_lengths(
    part: Mapping[str, Any], size: int, what: str, owner: str = ""
) -> dict[str, Array]:
    """Named arrays ``(batch, ...)``, checked to have ``size`` records each.

    Args:
        part: values by name.
        size: records in the batch.
        what: who returned them.
        owner: what the names are names of, for messages.

    Raises:
        ComponentError: an array has another length.

    Example:
        >>> check_lengths({"x": [1, 2]}, 2, "load")
        {'x': array([1, 2])}
    """
    arrays = {name: as_array(value) for name, value in part.items()}
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != size:
            raise ComponentError(
                f"{what}: expected '{name}'{owner} to be (batch, ...) with batch {size}, "
                f"got shape {array.shape}"
            )
    return arrays


def slice_record(data: DataRecord, index: int) -> DataRecord:
    """One record of a batch: arrays ``(...)``, copied.

    Example:
        >>> import numpy as np
        >>> slice_record(({"x": np.array([[1, 2], [3, 4]])},), 1)
        ({'x': array([3, 4])},)
    """
    # The Ellipsis keeps a scalar an array, and a string in it an object.
    return tuple({k: array[index, ...].copy() for k, array in part.items()} for part in data)


def data_records(
    made: list[Any], what: str, lengths: Sequence[int] = (1, 2, 3)
) -> list[DataRecord]:
    """What a record form made, checked, and arrays alone: it may give bare numbers or strings.

    Raises:
        ComponentError: one is no data record; with its index.

    Example:
        >>> data_records([({"x": 1, "s": "a"},)], "load")
        [({'x': array(1), 's': array('a', dtype=object)},)]
    """
    columns = _side_by_side(made)
    if columns and all(_are_arrays(values) for part in columns for values in part.values()):
        _arrays_in_each(made[:1], what, lengths)  # which all others are like
        return made
    return _arrays_in_each(made, what, lengths)


def _arrays_in_each(made: list[Any], what: str, lengths: Sequence[int]) -> list[DataRecord]:
    def arrays_in(record: Any) -> DataRecord:
        check_data_record(record, what, lengths)
        return tuple({name: as_array(part[name]) for name in part} for part in record)

    return call_each(arrays_in, made)


def _side_by_side(data: Sequence[Any]) -> list[dict[str, list[Any]]] | None:
    """The values of data records by their names; None if one is no data record like the first.

    It takes as little time by the record as Python can, so it does not find what is amiss.
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
    return columns


def _are_arrays(values: Sequence[Any]) -> bool:
    """Whether all values are arrays, and their strings Python strings."""
    if set(map(type, values)) != {np.ndarray}:
        return False
    # Where the first is of numbers, none of the others is looked at: it takes long.
    return values[0].dtype.kind in "iufb" or not any(
        dtype.kind in "US" for dtype in {array.dtype for array in values}
    )


def stack_records(made: list[Any], what: str, lengths: Sequence[int] = (1, 2, 3)) -> DataRecord:
    """The batch that data records make: arrays ``(batch, ...)``.

    Args:
        made: what a record form made of each record.
        what: who returned them.
        lengths: how many dicts each may have.

    Raises:
        ComponentError: one is no data record; with its index.
        RecordError: a record differs from the first in its names or in a shape; with its index.

    Example:
        >>> stack_records([({"x": np.array(1.0)},), ({"x": np.array(2.0)},)], "load")
        ({'x': array([1., 2.])},)
    """
    columns = _side_by_side(made)
    checked = _arrays_in_each(made[:1] if columns else made, what, lengths)
    columns = columns or _side_by_side(checked)
    if columns is None:
        _raise_first_other([names_in(record) for record in checked], f"{what} gives")
    return tuple(
        {name: _stack(values, f"{what} gives '{name}' the shape") for name, values in part.items()}
        for part in columns
    )


def _stack(values: list[Any], what: str) -> Array:
    arrays = values if _are_arrays(values) else call_each(as_array, values)
    try:
        if arrays[0].dtype.kind in "iufb":  # of many small ones, in a third of the time
            return np.array(arrays)
        return np.stack(arrays)
    except ValueError:
        _raise_first_other([array.shape for array in arrays], what)


def _raise_first_other(values: Sequence[Any], what: str) -> NoReturn:
    """Name the first value that is not as those before it."""
    index = next(index for index, value in enumerate(values) if value != values[0])
    error = RecordError(f"{what} {values[index]}, where the records before it have {values[0]}")
    set_index(error, index)
    raise error


def names_in(data: DataRecord) -> str:
    """The names in a data record, for messages.

    Example:
        >>> names_in(({"x": 1}, {"z": 1, "y": 1}))
        "inputs 'x'; outputs 'y', 'z'"
    """
    return "; ".join(
        f"{name} {show_names(sorted(part))}" for name, part in zip(PARTS, data, strict=False)
    )


def stack_scores(scores: Sequence[Mapping[str, Any]], what: str) -> dict[str, Array]:
    """The scores of a batch: arrays ``(batch, ...)``; of objects where shapes differ.

    Raises:
        ComponentError: a score is no dict, or has other names than the first; with its index.

    Example:
        >>> stack_scores([{"s": "cat"}, {"s": "dog"}], "postprocess")
        {'s': array(['cat', 'dog'], dtype=object)}
    """

    def check(score: Any) -> None:
        if not isinstance(score, Mapping):
            raise ComponentError(f"{what}: expected a dict, got {type(score).__name__}")
        if score.keys() != scores[0].keys():
            raise ComponentError(
                f"{what} gives {show_names(score)}, where the records before it have "
                f"{show_names(scores[0])}"
            )

    call_each(check, scores)
    return {key: _stack_values([score[key] for score in scores]) for key in scores[0]}


def _stack_values(values: list[Any]) -> Array:
    try:
        return np.stack([as_array(value) for value in values])
    except ValueError:  # values, or lists in one of them, that differ in shape
        return objects(values)
