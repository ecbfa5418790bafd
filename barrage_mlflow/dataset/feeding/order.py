"""The order in which records are drawn: a pure function of seed and epoch.

So an epoch can be repeated, or resumed in its middle, from two integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from barrage_mlflow.dataset.records.columns import is_missing
from barrage_mlflow.dataset.records.records import Records, find_word
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import RecordError

_LIMIT = 2.0**63
"""Counts are held as int64."""
_MOST_DRAWS = 2**32
"""In one pass: their order is held in memory."""
_MOST_STREAMED = 2**62
"""In one pass whose order is not held."""


def epoch_rows(
    counts: int | Array,
    seed: int,
    epoch: int,
    steps: int | None = None,
    batch_size: int = 1,
) -> NDArray[np.int64]:
    """The rows that one epoch draws, in order.

    Passes over the data follow each other without end, each a new permutation. Without
    ``steps``, epoch e is pass e. With ``steps``, every epoch takes the next ``steps`` full
    batches from the passes, so that no record is starved and none is drawn twice in a pass.

    Args:
        counts: how many records there are, or ``(records,) int64`` how often a pass draws each.
        seed: at least 0.
        epoch: from 0.
        steps: batches in an epoch.
        batch_size: records in a batch; only counts with ``steps``.

    Returns:
        ``(draws,) int64`` positions of records.

    Raises:
        RecordError: there is nothing to draw.

    Example:
        >>> sorted(epoch_rows(4, seed=7, epoch=0).tolist())
        [0, 1, 2, 3]
        >>> epoch_rows(3, seed=7, epoch=1, steps=2, batch_size=2).shape
        (4,)
    """
    pool = _pool(counts)
    if steps is None:
        return _pass(pool, seed, epoch)
    length = len(pool)
    start = epoch * steps * batch_size
    stop = start + steps * batch_size
    first, last = start // length, (stop - 1) // length
    drawn = np.concatenate([_pass(pool, seed, number) for number in range(first, last + 1)])
    return drawn[start - first * length : stop - first * length]


def _pool(counts: int | Array) -> NDArray[np.int64]:
    if isinstance(counts, (int, np.integer)):
        pool = np.arange(counts, dtype=np.int64)
    else:
        pool = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    if not len(pool):
        raise RecordError("there is no record to draw; give at least one, drawn at least once")
    return pool


def _pass(pool: NDArray[np.int64], seed: int, number: int) -> NDArray[np.int64]:
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, number])))
    return generator.permutation(pool)


def epoch_steps(counts: int | Array, steps: int | None, batch_size: int) -> int:
    """How many batches an epoch has; without ``steps``, the last of them may be short.

    Example:
        >>> epoch_steps(10, None, 4)
        3
    """
    if steps is not None:
        return steps
    drawn = counts if isinstance(counts, (int, np.integer)) else int(np.sum(counts))
    return math.ceil(drawn / batch_size)


def sample_counts(records: Records, key: str) -> NDArray[np.int64]:
    """How many times each record is drawn in a pass: its ``sample_count``, checked.

    Args:
        records: the train records.
        key: the column that holds the counts.

    Returns:
        ``(records,) int64``.

    Raises:
        RecordError: there is no such column, a count is missing, negative, fractional or no
            number, all are 0, or they add up to more draws than memory holds.

    Example:
        >>> sample_counts(Records.read([{"n": 2}, {"n": 0}]), "n")
        array([2, 0])
    """
    return np.concatenate(list(_checked_counts(records, key, _MOST_DRAWS)))


def group_draws(records: Records, key: str | None) -> list[int]:
    """How many draws a pass makes of each row group of a Parquet file.

    Args:
        records: the train records, read from Parquet.
        key: the column that holds the sample counts; None where each is drawn once.

    Returns:
        For each of ``records.row_groups``.

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
    sizes = records.row_groups or []
    if key is None:
        return sizes
    ends = np.cumsum(sizes)
    draws = np.zeros(len(sizes), dtype=np.int64)
    row = 0
    for counts in _checked_counts(records, key, _MOST_STREAMED):
        groups = np.searchsorted(ends, np.arange(row, row + len(counts)), side="right")
        np.add.at(draws, groups, counts)
        row += len(counts)
    return [int(count) for count in draws]


def _checked_counts(records: Records, key: str, most: int) -> Iterator[NDArray[np.int64]]:
    """The counts piece by piece; what is wrong with the sum of them is said after the last."""
    draws = 0.0  # as int64 the sum might go round
    for piece in records.pieces(columns=[key]):
        counts = _checked(piece, key)
        draws += counts.sum(dtype=float)
        yield counts
    owner = records.owner
    if draws > most:
        raise RecordError(
            f"{owner}: column '{key}': expected sample counts that add up to {most:,} or less, "
            f"got {draws:,.0f}"
        )
    if not draws:
        raise RecordError(
            f"{owner}: column '{key}' is 0 in every record: sample_count "
            "leaves nothing to train on; give at least one record a count of 1 or more"
        )


def _checked(piece: Records, key: str) -> NDArray[np.int64]:
    column = piece[key]
    if column.ndim == 1 and column.dtype.kind in "if":
        with np.errstate(invalid="ignore"):
            whole = (column >= 0) & (column < _LIMIT) & (column == np.floor(column))
        faulty = ~whole
    else:
        faulty = np.ones(len(piece), dtype=bool)
        if column.ndim == 1:
            faulty[:] = [
                isinstance(v, bool)
                or not isinstance(v, (int, float))
                or not 0 <= v < _LIMIT
                or v != v // 1
                for v in column.tolist()
            ]
    if faulty.any():
        index = int(np.argmax(faulty))
        place, value = find_word(piece, index, key)
        shown = "a missing value" if is_missing(value) else f"{value!r}"
        raise RecordError(
            f"{place}: column '{key}': expected an integer ≥ 0 as sample_count, got {shown}"
        )
    counts: NDArray[np.int64] = column.astype(np.int64)
    return counts
