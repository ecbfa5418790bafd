"""Sample counts: how often a pass draws each record, as a column of the records has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from barrage_mlflow.dataset.components.places import find_word
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.errors import RecordError

_MOST_DRAWS = 2**32
"""In one pass."""


def sample_counts(records: Records, key: str) -> NDArray[np.int64]:
    """How many times each record is drawn in a pass: its ``sample_count``, checked.

    Args:
        records: the train records.
        key: the column of the counts.

    Returns:
        ``(records,) int64``.

    Raises:
        RecordError: there is no such column, a count is missing, negative, fractional or no
            number, all are 0, or they add up to more than 2^32 draws.

    Example:
        >>> sample_counts(Records.read([{"n": 2}, {"n": 0}]), "n")
        array([2, 0])
    """
    counts = [_checked(some, key) for some in records.pieces(columns=[key])]
    _check_sum(records, key, sum(some.sum(dtype=float) for some in counts))
    return np.concatenate(counts)


def group_draws(records: Records, key: str | None) -> list[int]:
    """How many draws a pass makes of each row group of a Parquet file.

    Args:
        records: the train records, read from Parquet.
        key: the column of the sample counts; None where each is drawn once.

    Returns:
        For each of ``records.row_groups()``.

    Raises:
        RecordError: the counts are not usable; see :func:`sample_counts`.

    Example:
        >>> import tempfile
        >>> import pandas as pd
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     frame = pd.DataFrame({"n": [2, 0, 1]})
        ...     frame.to_parquet(f"{folder}/train.parquet", row_group_size=2)
        ...     group_draws(Records.read(f"{folder}/train.parquet"), "n")
        [2, 1]
    """
    sizes = records.row_groups() or []
    if key is None:
        return sizes
    groups = (records.read_groups([group], [key]) for group in range(len(sizes)))
    draws = [_checked(group, key).sum(dtype=float) for group in groups]
    _check_sum(records, key, sum(draws))
    return [int(count) for count in draws]


def _check_sum(records: Records, key: str, draws: float) -> None:
    """Check how many draws a pass makes; an int64 might have gone round."""
    owner = records.owner
    if draws > _MOST_DRAWS:
        raise RecordError(
            f"{owner}: column '{key}': expected sample counts that add up to {_MOST_DRAWS:,} or "
            f"less, got {draws:,.0f}"
        )
    if not draws:
        raise RecordError(
            f"{owner}: column '{key}' is 0 in every record: sample_count "
            "leaves nothing to train on; give at least one record a count of 1 or more"
        )


def _checked(records: Records, key: str) -> NDArray[np.int64]:
    column = records[key]
    if column.ndim > 1 or column.dtype.kind not in "if":
        cells = column.tolist()
        column = np.array([c if type(c) in (int, float) else np.nan for c in cells], float)
    with np.errstate(invalid="ignore"):
        faulty = ~((column >= 0) & (column < 2.0**63) & (column == np.floor(column)))
    if faulty.any():
        place, value = find_word(records, int(np.argmax(faulty)), key)
        shown = "a missing value" if is_missing(value) else f"{value!r}"
        raise RecordError(
            f"{place}: column '{key}': expected an integer ≥ 0 as sample_count, got {shown}"
        )
    counts: NDArray[np.int64] = column.astype(np.int64)
    return counts
