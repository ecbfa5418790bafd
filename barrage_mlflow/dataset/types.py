"""The words that the dataset part is written in: records, data records, scores, modes."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""A NumPy array of any dtype; shapes are said where it is used."""

Record: TypeAlias = dict[str, Any]
"""One record: column name → native Python value."""

DataRecord: TypeAlias = tuple[dict[str, Array], ...]
"""``(x,)`` to score, ``(x, y)`` or ``(x, y, w)`` to train and validate: dicts of arrays whose
keys are the network's input and output names. One record: arrays ``(...)``. A batch: arrays
``(batch, ...)``."""

RecordScore: TypeAlias = dict[str, Any]
"""The outputs of one record: output name → value."""

PARTS = ("inputs", "outputs", "sample weights")
"""What the dicts of a data record hold, in their order."""


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
