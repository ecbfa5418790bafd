"""Scores, columns of arrays, in the forms that users and servers get them in."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.values import native, objects
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.scoring.saved_network import Arrays

if TYPE_CHECKING:
    import pandas as pd


_REMEDIES = {
    "the network": "look for inputs that are far from those it was trained on",
    "postprocess": "see what it makes of such scores of the network",
}


def check_finite(scores: Arrays, records: Records, source: str) -> None:
    """Refuse NaN and infinity, at any depth.

    Args:
        scores: arrays ``(records, ...)``.
        records: what was scored, for messages.
        source: where the scores come from: ``"the network"`` or ``"postprocess"``.

    Raises:
        RecordError: naming the first record that has one.

    Example:
        >>> scores = {"y": np.array([0.5, np.nan])}
        >>> check_finite(scores, Records.read([{"a": 1}, {"a": 2}]), "the network")
        Traceback (most recent call last):
        barrage_mlflow.errors.RecordError: record 1: expected finite scores, got NaN or infinity \
from the network for output 'y'; look for inputs that are far from those it was trained on
    """
    finite: Any
    for name, array in scores.items():
        if array.dtype == object:
            finite = np.array([_is_finite(native(cell)) for cell in array.tolist()])
        elif array.dtype.kind == "f":
            finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        else:
            continue
        if not finite.all():
            raise RecordError(
                f"{records.place(int(np.argmin(finite)))}: expected finite scores, got NaN or "
                f"infinity from {source} for output {name!r}; {_REMEDIES[source]}"
            )


def _is_finite(cell: Any) -> bool:
    if isinstance(cell, float):
        return math.isfinite(cell)
    if isinstance(cell, dict):
        return all(map(_is_finite, cell.values()))
    return not isinstance(cell, list | tuple) or all(map(_is_finite, cell))


def to_frame(scores: Arrays) -> pd.DataFrame:
    """Turn scores into a DataFrame of what JSON holds; a vector of a record becomes a list.

    Args:
        scores: arrays ``(records, ...)``.

    Raises:
        ComponentError: a score is something else.

    Example:
        >>> frame = to_frame({"p": np.array([[0.25, 0.75]]), "name": np.array(["b"])})
        >>> frame.to_dict("records")
        [{'p': [0.25, 0.75], 'name': 'b'}]
    """
    import pandas as pd

    columns: dict[int, np.ndarray] = {}
    for place, (name, array) in enumerate(scores.items()):
        if array.dtype.kind in "iufb":
            columns[place] = objects(array.tolist()) if array.ndim > 1 else array
            continue
        cells = [native(cell) for cell in array.tolist()]
        try:
            json.dumps(cells)
        except TypeError as error:
            raise ComponentError(
                f"postprocess gives for output {name!r} what JSON does not hold ({error}): "
                "expected numbers, strings, truth values, None, and lists and dicts of them"
            ) from error
        columns[place] = objects(cells)
    frame = pd.DataFrame(columns)
    # Names as they are: to make Arrow's strings of them, pandas takes longer than for the rest.
    frame.columns = pd.Index([*scores], dtype=object)
    return frame
