"""What the dataset part is written in: records, data records, scores, modes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""A NumPy array of any dtype; its shape is given where it is used."""

Rows: TypeAlias = "Array | slice"
"""Positions ``(rows,) int64``, or a consecutive part from ``start`` to ``stop``."""

Record: TypeAlias = dict[str, Any]
"""One record: column name → native Python value."""

DataRecord: TypeAlias = tuple[dict[str, Array], ...]
"""``(x,)`` to score, ``(x, y)`` or ``(x, y, w)`` to train and validate: dicts of arrays whose
keys are the network's input and output names. One record: arrays ``(...)``. A batch: arrays
``(batch, ...)``."""

RecordScore: TypeAlias = dict[str, Any]
"""The outputs of one record: output name → value."""

PARTS = ("inputs", "outputs", "sample weights")
"""What is in the dicts of a data record, in their order."""


class RecordMode(Enum):
    """What records are loaded for.

    Example:
        >>> RecordMode("score") is RecordMode.SCORE
        True
    """

    TRAIN = "train"
    VALIDATION = "validation"
    SCORE = "score"


def as_array(value: Any) -> Array:
    """``value`` as an array whose strings are Python strings.

    NumPy would make fixed-width text of them (``<U5``), which a longer string in the next
    record would not fit.

    Example:
        >>> as_array(["a", "b"]).dtype
        dtype('O')
        >>> as_array(1.5).shape
        ()
    """
    array = np.asarray(value)
    # Made anew of the value itself: fixed-width text has lost a NUL at the end of a string.
    return np.asarray(value, dtype=object) if array.dtype.kind in "US" else array


def length(data: DataRecord) -> int:
    """How many records a batch has.

    Example:
        >>> length(({"x": np.zeros((3, 2))},))
        3
    """
    return len(next(iter(data[0].values())))


def cut(data: DataRecord, start: int, stop: int) -> DataRecord:
    """Some records of a batch that follow each other, as views.

    Example:
        >>> cut(({"x": np.arange(4)},), 1, 3)
        ({'x': array([1, 2])},)
    """
    return tuple({name: array[start:stop] for name, array in part.items()} for part in data)


def pick(data: DataRecord, rows: Any) -> DataRecord:
    """The records of a batch at these positions, copied.

    Example:
        >>> pick(({"x": np.arange(4)},), np.array([3, 0]))
        ({'x': array([3, 0])},)
    """
    return tuple({name: array.take(rows, axis=0) for name, array in part.items()} for part in data)


def join(blocks: Sequence[DataRecord]) -> DataRecord:
    """Batches end to end.

    Raises:
        ValueError: they differ in names, or in the shape of a record.

    Example:
        >>> join([({"x": np.arange(2)},), ({"x": np.arange(1)},)])
        ({'x': array([0, 1, 0])},)
    """
    joined = []
    for parts in zip(*blocks, strict=True):
        if any(part.keys() != parts[0].keys() for part in parts):
            raise ValueError("batches with other names")
        joined.append({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return tuple(joined)


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
