"""What a report says of the data: how a set differs from the train set, and what both share.

Both are read piece by piece. What is kept of them is bounded; beyond that it is a sample, which
is the same whatever the pieces are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.util import hash_array

from barrage_mlflow.config.features import NEXT
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.tables import PIECE
from barrage_mlflow.dataset.records.values import native, objects
from barrage_mlflow.dataset.types import Array

KEPT = 5_000_000
"""Digests of a set that are kept at once, at most: of its records, or of a column's values."""
SAMPLED = 100_000
"""Numbers or moments of a column that are kept of a larger set, about."""
DISTINCT = 10_000
"""Up to so many distinct values are counted."""

_FEW = 1 << 10
"""Records of which large cells, such as images, are in memory at once."""
_ORDERED = ("whole", "number", "datetime", "date", "duration")
_LARGE = ("list", "bytes", "object")
_ODD = np.uint64(0x9E3779B97F4A7C15)


def profile(train: Records, other: Records, columns: Sequence[str]) -> pd.DataFrame:
    """Compare the columns of two sets.

    Of lists, bytes and objects only the missing ones are counted, and not even these where cells
    are files (NaN). Of windows, the last value stands for the history, and for the horizon.

    Args:
        train: the train set.
        other: another set of the same schema.
        columns: which.

    Returns:
        A row for each column, from the largest shift to the smallest: its ``kind``; the shares of
        records without a value in each set; ``distinct``, how many values there are in the train
        set, as text (``"> 10,000"``); ``unseen``, the share of the other set's values that no
        train record has, but for numbers, and for whole numbers and moments of more than
        ``DISTINCT`` values; ``shift`` from 0 to 1, the Kolmogorov-Smirnov distance of numbers and
        moments, else the total variation distance. What is not defined is NaN, or "".

    Raises:
        RecordError: there is no such column, or a cell is not of its column's kind.

    Example:
        >>> train = Records.read([{"age": 30, "town": "Bonn"}, {"age": 40, "town": "Kiel"}])
        >>> other = Records.read([{"age": 35, "town": "Bonn"}, {"age": 38, "town": "Ulm"}])
        >>> profile(train, other, ["age", "town"])[["distinct", "unseen", "shift"]]
               distinct  unseen  shift
        column
        age           2     1.0    0.5
        town          2     0.5    0.5
    """
    rows = [_compare(_look(train, name), _look(other, name)) for name in columns]
    names = ["kind", "missing_train", "missing_other", "distinct", "unseen", "shift"]
    frame = pd.DataFrame(rows, pd.Index(columns, name="column"), names)
    return frame.sort_values("shift", ascending=False, kind="stable")


def count_overlap(train: Records, other: Records, columns: Sequence[str]) -> int:
    """How many records of a set stand in the train set, too.

    Records are the same by a digest of 64 bits; a missing value is like another, -0.0 like 0.0.
    Where a set has more than ``KEPT`` records that differ, the count is an estimate.

    Args:
        train: the train set ...
        other: ... in which these are looked for; of the same schema.
        columns: by whose values records are the same.

    Raises:
        RecordError: there is no such column, or a cell is not of its column's kind.

    Example:
        >>> train = Records.read([{"a": 1.5, "s": "x"}, {"a": None, "s": "y"}])
        >>> count_overlap(train, train[1:], ["a", "s"])
        1
    """
    seen, found = _Tally(KEPT), _Tally(KEPT)
    for records, tally in ((train, seen), (other, found)):
        for piece in records.pieces(columns=columns):
            digests = np.full(len(piece), _ODD)
            for name in columns:
                each = [_digests(cells, piece.column(name).kind) for cells in _cells(piece, name)]
                digests = digests * _ODD + np.concatenate(each)
            tally.add(digests)
    shared, others = found.parted(seen)
    return round(len(other) * shared / (shared + others or 1))


class _Tally:
    """Counts how often each digest came; beyond a limit, those alone that ``step`` divides.

    So of one value, two tallies of one step have the digest both, or neither.
    """

    def __init__(self, limit: int) -> None:
        self.counts = pd.Series(np.empty(0), pd.Index(np.empty(0, np.uint64)))
        self.step, self._limit, self._new = 1, limit, [self.counts]

    def add(self, digests: Array) -> None:
        """Count digests ``(values,) uint64``."""
        self._new.append(pd.Series(digests).value_counts(sort=False).astype(float))
        if sum(map(len, self._new)) > self._limit:
            self.settle()

    def settle(self, step: int = 1) -> None:
        """Bring the counts up to date, of a sample by this step at least."""
        counts = pd.concat([self.counts, *self._new]).groupby(level=0).sum()
        self.step, self._new = max(self.step, step), []
        while len(kept := counts[counts.index % self.step == 0]) > self._limit:
            self.step *= 2
        self.counts = kept

    def parted(self, other: _Tally) -> tuple[float, float]:
        """How often digests came that another tally has, too, and how often others came.

        Both are settled by one step.
        """
        for tally in (self, other, self):
            tally.settle(max(self.step, other.step))
        is_shared = self.counts.index.isin(other.counts.index)
        shared, others = self.counts[is_shared].sum(), self.counts[~is_shared].sum()
        return float(shared) * self.step, float(others) * self.step


class _Side(NamedTuple):
    """What one set has in one column.

    Attributes:
        kind: of the column.
        known: how many records have a value.
        gone: the share of those that have none.
        numbers: a sample of what has an order; else none.
        tally: of the values, where few of them differ or they have no order.
    """

    kind: str
    known: int
    gone: float
    numbers: Array
    tally: _Tally


def _look(records: Records, name: str) -> _Side:
    """Read one column of a set; one at a time, what is kept is bounded however many they are."""
    records.check_names([name])
    # Of windows, what comes next is of the kind of its own cells.
    schema = records.schema.columns
    kind = schema[name if name in schema else name.removeprefix(NEXT)].kind
    rng, share = np.random.default_rng(0), SAMPLED / max(len(records), 1)
    tally, numbers = _Tally(DISTINCT if kind in _ORDERED else KEPT), [np.empty(0)]
    known = gone = 0
    for cells in [] if kind == "bytes" and records.has_files else _cells(records, name):
        cells = cells.reshape(len(cells), -1)[:, -1] if kind in _ORDERED else cells
        is_known = ~pd.isna(cells) if cells.ndim == 1 else np.ones(len(cells), bool)
        known, gone = known + int(is_known.sum()), gone + int((~is_known).sum())
        if kind in _ORDERED:
            numbers.append(cells[is_known & (rng.random(len(cells)) < share)].astype(np.float64))
        if kind not in _LARGE and not (kind in _ORDERED and tally.step > 1):
            tally.add(_digests(cells[is_known], kind))
    return _Side(kind, known, gone / (known + gone or math.nan), np.concatenate(numbers), tally)


def _compare(train: _Side, other: _Side) -> tuple[Any, ...]:
    """A row of the profile."""
    if train.kind in _LARGE:
        return train.kind, train.gone, other.gone, "", math.nan, math.nan
    train.tally.settle()
    count = len(train.tally.counts) * train.tally.step
    distinct = f"{count:,}" if count <= DISTINCT else f"> {DISTINCT:,}"
    # Not what is left by those seen: the most frequent values are, and a sample may miss them.
    unseen = min(other.tally.parted(train.tally)[1] / (other.known or math.nan), 1.0)
    if train.kind == "number" or (train.kind in _ORDERED and train.tally.step > 1):
        unseen = math.nan  # on a scale, a new value tells nothing
    shift = _shift(train, other) if train.known and other.known else math.nan
    return train.kind, train.gone, other.gone, distinct, unseen, shift


def _shift(train: _Side, other: _Side) -> float:
    """The Kolmogorov-Smirnov distance, or the total variation distance."""
    if train.kind in _ORDERED:
        numbers = np.sort(train.numbers), np.sort(other.numbers)
        places = np.concatenate([*numbers, [0.0]])  # not empty, where neither sample has a number
        below = [one.searchsorted(places, "right") / (len(one) or math.nan) for one in numbers]
        return float(np.abs(below[0] - below[1]).max())
    here, there = (side.tally.counts / side.known for side in (train, other))
    return min(1.0, float(here.sub(there, fill_value=0).abs().sum()) * train.tally.step / 2)


def _cells(records: Records, name: str) -> Iterator[Array]:
    """The cells of a column ``(records, ...)``, few at a time where they may be large."""
    for piece in records.pieces(_FEW if records.column(name).kind in _LARGE else PIECE, [name]):
        yield piece[name]


def _digests(cells: Array, kind: str) -> Array:
    """A digest of each cell ``(records, ...)``: ``(records,) uint64``."""
    if cells.dtype.kind == "f":
        cells = np.where(np.isnan(cells), np.nan, cells) + 0.0
    if cells.ndim > 1 and cells.dtype != object:
        cells = objects([cell.tobytes() for cell in cells])
    elif kind in ("list", "object"):
        cells = objects([json.dumps(native(c), sort_keys=True, default=str) for c in cells])
    if cells.dtype != object:
        return hash_array(cells)
    codes, values = pd.factorize(cells)
    if kind in ("whole", "truth"):
        values = values.astype(np.int64)
    elif kind == "text":
        values = objects([value.encode("utf-8", "surrogatepass") for value in values])
    return np.append(hash_array(values, categorize=False), _ODD)[codes]
