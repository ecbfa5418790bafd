"""Scores, columns of arrays, in the forms that users and servers get them in."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import Records, RecordScore
from barrage_mlflow.dataset.records.columns import native, objects
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.scoring.network import Arrays

if TYPE_CHECKING:
    import pandas as pd

_PLAIN = (str, bool, int, float, type(None))


def check_finite(scores: Arrays, records: Records, source: str) -> None:
    """Refuse NaN and infinity, at any depth.

    Args:
        scores: arrays ``(records, ...)``.
        records: what was scored, for messages.
        source: where the scores come from.

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
            finite = np.array([_is_finite(cell) for cell in array.tolist()])
        elif array.dtype.kind == "f":
            finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
        else:
            continue
        if not finite.all():
            raise RecordError(
                f"{records.place(int(np.argmin(finite)))}: expected finite scores, got NaN or "
                f"infinity from {source} for output {name!r}; look for inputs that are far "
                "from those it was trained on"
            )


def _is_finite(cell: Any) -> bool:
    if isinstance(cell, float):
        return math.isfinite(cell)
    if isinstance(cell, dict):
        return all(map(_is_finite, cell.values()))
    return not isinstance(cell, list | tuple) or all(map(_is_finite, cell))


def to_record_scores(scores: Arrays) -> list[RecordScore]:
    """Turn columns of scores into one dict for each record.

    Args:
        scores: arrays ``(records, ...)``.

    Example:
        >>> to_record_scores({"species": np.array(["Gentoo", "Adelie"], dtype=object)})
        [{'species': 'Gentoo'}, {'species': 'Adelie'}]
    """
    rows = zip(*scores.values(), strict=True)
    return [dict(zip(scores, row, strict=True)) for row in rows]


def to_frame(scores: Arrays) -> pd.DataFrame:
    """Turn columns of scores into a DataFrame; a vector of a record becomes a list.

    Args:
        scores: arrays ``(records, ...)``.

    Example:
        >>> to_frame({"p": np.array([[0.25, 0.75]], dtype=np.float32)})["p"].tolist()
        [[0.25, 0.75]]
    """
    import pandas as pd

    cells = [objects(array.tolist()) if array.ndim > 1 else array for array in scores.values()]
    frame = pd.DataFrame(dict(enumerate(cells)))
    frame.columns = _column_index(tuple(scores)).view()
    return frame


@cache
def _column_index(names: tuple[str, ...]) -> pd.Index:
    """Names as they are: pandas takes longer to make Arrow's strings of them than for the rest.

    A frame gets a view of it: pandas keeps what a caller sets on the index of columns, its name
    above all, in the index.
    """
    import pandas as pd

    return pd.Index(names, dtype=object)


def to_plain(scores: Arrays) -> Arrays:
    """Turn scores into values of JSON.

    Args:
        scores: arrays ``(records, ...)``.

    Raises:
        ComponentError: a score is something else.

    Example:
        >>> to_plain({"word": np.array([np.str_("yes"), None], object)})
        {'word': array(['yes', None], dtype=object)}
    """
    plain = {}
    for name, array in scores.items():
        if array.dtype.kind in "iufb":
            plain[name] = array
            continue
        cells = [native(cell) for cell in array.tolist()]
        odd = next(filter(None, map(_not_plain, cells)), None)
        if odd is not None:
            raise ComponentError(
                f"postprocess gives for output {name!r} a {odd}: expected numbers, strings, "
                "truth values, None, and lists and dicts of them"
            )
        plain[name] = objects(cells)
    return plain


def _not_plain(cell: Any) -> str | None:
    """The type of what is no value of JSON; None if all is."""
    if isinstance(cell, list):
        return next(filter(None, map(_not_plain, cell)), None)
    if isinstance(cell, dict):
        keys = [type(key).__name__ for key in cell if not isinstance(key, str)]
        return f"dict with a key of type {keys[0]}" if keys else _not_plain([*cell.values()])
    return None if isinstance(cell, _PLAIN) else type(cell).__name__
