"""Reads DataFrames and dicts; neither is ever written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.records.sources import Chunk, Source, cells_of_rows, check_names
from barrage_mlflow.dataset.records.values import array_of, objects
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {np.dtype(np.int64), np.dtype(np.float64)}
_SHORT = 1 << 13
"""Rows of a frame whose columns are best taken out together."""


def read_frame(data: Any, owner: str) -> Source:
    """The records of a DataFrame (also of polars or Arrow), or of a sequence of dicts.

    Args:
        data: the records.
        owner: what messages call them.

    Raises:
        RecordError: it is something else, or the names of columns are not usable.

    Example:
        >>> read_frame([{"a": 1}, {"a": 2}], "train").read([0], ["a"])
        {'a': [array([1, 2])]}
    """
    if not hasattr(data, "iloc") and hasattr(data, "to_pandas"):
        data = data.to_pandas()
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        names = data.columns.tolist()
        check_names(names, owner)
        return Source(names, [Chunk(_columns(data, names), len(data))])
    if isinstance(data, (str, bytes, Mapping)) or not isinstance(data, Sequence):
        raise RecordError(
            f"{owner}: expected a DataFrame, a list of dicts or a path, got {type(data).__name__}"
        )
    for position, row in enumerate(data):
        if not isinstance(row, Mapping):
            raise RecordError(
                f"{owner}, record {position}: expected a dict, got {type(row).__name__}"
            )
    of_rows = cells_of_rows(data)
    check_names([*of_rows], owner)
    return Source([*of_rows], [Chunk(of_rows, len(data))])


def _columns(frame: pd.DataFrame, names: list[str]) -> dict[str, Array]:
    """The cells of a frame; what the caller does to it later does not show in them."""
    if len(frame) <= _SHORT and len(dtypes := set(frame.dtypes)) == 1 and dtypes <= _NUMBERS:
        # A request. Taking each column out of its frame would cost more than scoring it.
        return dict(zip(names, frame.to_numpy().T.copy(), strict=True))
    return {name: _cells(frame[name]) for name in names}


def _cells(series: pd.Series[Any]) -> Array:
    """The cells of a series, whatever its dtype.

    Example:
        >>> import pandas as pd
        >>> _cells(pd.Series([1, None], dtype="Int64"))
        array([1, None], dtype=object)
    """
    dtype = series.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in "iufb":
        return series.to_numpy(copy=True)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        return series.to_numpy(copy=True).astype(f"{dtype.kind}8[us]")
    cells = series.to_numpy(dtype=object)
    missing = series.isna().to_numpy()
    if missing.any():
        return objects([None if gone else c for c, gone in zip(cells, missing, strict=True)])
    return array_of(list(cells))
