"""What a report says of the data: how a set differs from the train set, and what both share.

Both are read piece by piece, and of more records than are kept at once a sample is compared; it is
the same whatever the pieces are.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pandas.util import hash_array

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.tables import PIECE
from barrage_mlflow.dataset.records.values import native, objects
from barrage_mlflow.dataset.types import Array

KEPT = 5_000_000
"""Digests of the records of a set that are kept at once, about."""
SAMPLED = 100_000
"""Records of a set whose columns are compared, about, where it has more."""
DISTINCT = 10_000
"""Up to so many distinct values are counted."""

_FEW = 1 << 10
"""Records of which large cells, such as images, are in memory at once."""
_ORDERED = ("whole", "number", "datetime", "date", "duration")
_LARGE = ("list", "bytes", "object")
_ODD = np.uint64(0x9E3779B97F4A7C15)
_NOTHING = pd.Series(dtype=float)


class _TimeIsOverError(Exception):
    pass


def profile(
    train: Records, other: Records, columns: Sequence[str], until: float = math.inf
) -> pd.DataFrame | None:
    """Compare the columns of two sets, each by about ``SAMPLED`` of its records at most.

    Of lists, bytes and objects only the missing ones are counted, and not even these where cells
    are files (NaN). Of windows, the last value counts for the history.

    Args:
        train: the train set.
        other: another set of the same schema.
        columns: which.
        until: by ``time.monotonic()``, when to give up.

    Returns:
        A row for each column, from the largest shift to the smallest: its ``kind``; the shares of
        records without a value in each set; ``distinct``, how many values there are in the train
        set, as text (``"> 10,000"``); ``unseen``, the share of the other set's values that no
        train record has, but for numbers; ``shift`` from 0 to 1, the Kolmogorov-Smirnov distance
        of numbers and moments, else the total variation distance. What is not defined is NaN, or
        ""; nor is anything that counts values one by one where there are more than ``DISTINCT``.
        None where time was over.

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
    names = ["kind", "missing_train", "missing_other", "distinct", "unseen", "shift"]
    with suppress(_TimeIsOverError):
        sets = [_sample(records, columns, until) for records in (train, other)]
        rows = [_compare(_kind(train, n), *(one.get(n, _NOTHING) for one in sets)) for n in columns]
        frame = pd.DataFrame(rows, pd.Index(columns, name="column"), names)
        return frame.sort_values("shift", ascending=False, kind="stable")
    return None


@dataclass(frozen=True)
class Overlap:
    """Records of a set that are equal to a train record.

    Attributes:
        count: how many.
        expected: how many would be so by chance, if the sets were drawn independently: as large a
            share of them as the share of train records that are equal to another train record.
    """

    count: int
    expected: float


def count_overlap(
    train: Records, other: Records, columns: Sequence[str], until: float = math.inf
) -> Overlap | None:
    """How many records of a set are equal to a train record.

    They are by a digest of 64 bits; a missing value is equal to another, -0.0 to 0.0. Cells that
    are files are not read, and do not count. Where a set has more than ``KEPT`` records, both
    numbers are estimates, from those records whose digest a number divides.

    Args:
        train: the train set ...
        other: ... in which these are looked for; of the same schema.
        columns: whose values are compared.
        until: by ``time.monotonic()``, when to give up.

    Returns:
        What was found; None where time was over.

    Raises:
        RecordError: there is no such column, or a cell is not of its column's kind.

    Example:
        >>> train = Records.read([{"a": 1.5, "s": "x"}, {"a": None, "s": "y"}])
        >>> count_overlap(train, train[1:], ["a", "s"])
        Overlap(count=1, expected=0.0)
    """
    files = {n for n in columns for one in (train, other) if _are_files(one, n)}
    columns = [name for name in columns if name not in files]
    step = np.uint64(1 + max(len(train), len(other)) // KEPT)
    with suppress(_TimeIsOverError):
        known, asked = (_counts(records, columns, step, until) for records in (train, other))
        shared = _share(asked, asked.index.isin(known.index))
        return Overlap(round(len(other) * shared), len(other) * _share(known, known > 1))
    return None


def _counts(
    records: Records, columns: Sequence[str], step: np.uint64, until: float
) -> pd.Series[Any]:
    """How often each digest of a record comes, of those that ``step`` divides."""
    found: list[pd.Series[Any]] = [pd.Series([], np.empty(0, np.uint64), int)]
    for piece in _pieces(records, columns, until):
        digests = np.full(len(piece), _ODD)
        for name in columns:
            digests = digests * _ODD + _digests(piece[name], piece.column(name).kind)
        found.append(pd.Series(digests[digests % step == 0]).value_counts(sort=False))
    return pd.Series(pd.concat(found).groupby(level=0).sum())


def _share(counts: pd.Series[Any], chosen: Any) -> float:
    return float(counts[chosen].sum() / (counts.sum() or 1))


def _kind(records: Records, name: str) -> str:
    """The kind of a column; of windows, that of one of its cells."""
    return records.schema.columns[name].kind


def _are_files(records: Records, name: str) -> bool:
    return records.has_files and records.column(name).kind == "bytes"


def _pieces(records: Records, columns: Sequence[str], until: float) -> Iterator[Records]:
    """A set in pieces while there is time, of few records where cells may be large."""
    records.check_names(columns)
    is_large = any(records.column(name).kind in _LARGE for name in columns)
    for piece in records.pieces(_FEW if is_large else PIECE, columns):
        if time.monotonic() > until:
            raise _TimeIsOverError
        yield piece


def _sample(records: Records, columns: Sequence[str], until: float) -> pd.DataFrame:
    """Columns that are no files of some records, drawn evenly."""
    rng, share, found = np.random.default_rng(0), SAMPLED / max(len(records), 1), []
    for piece in _pieces(records, columns, until):
        some = piece.take(np.flatnonzero(rng.random(len(piece)) < share))
        names = [name for name in columns if not _are_files(piece, name)]
        found.append(pd.DataFrame({n: _values(some[n], _kind(piece, n)) for n in names}))
    return pd.concat(found)


def _values(cells: Array, kind: str) -> pd.Series[Any]:
    """Cells ``(records, ...)`` in one dimension; a large one is 1, or NaN."""
    if kind in _LARGE:
        is_missing = pd.isna(cells) if cells.ndim == 1 else np.zeros(len(cells), bool)
        cells = np.where(is_missing, math.nan, 1.0)
    cells = cells[:, -1] if cells.ndim > 1 else cells
    return pd.Series(cells, dtype=cells.dtype)  # text remains objects


def _compare(kind: str, train: pd.Series[Any], other: pd.Series[Any]) -> tuple[Any, ...]:
    """A row of the profile."""
    missing = [float(values.isna().mean()) for values in (train, other)]
    if kind in _LARGE:
        return kind, *missing, "", math.nan, math.nan
    train, other = train.dropna(), other.dropna()
    distinct = train.nunique()
    is_countable = distinct <= DISTINCT
    shown = f"{distinct:,}" if is_countable else f"> {DISTINCT:,}"
    unseen = shift = math.nan
    if is_countable and kind != "number":  # on a scale, a new value says nothing
        unseen = float((~other.isin(train)).mean())
    if len(train) and len(other) and (is_countable or kind in _ORDERED):
        shift = _shift(train, other, kind in _ORDERED)
    return kind, *missing, shown, unseen, shift


def _shift(train: pd.Series[Any], other: pd.Series[Any], is_ordered: bool) -> float:
    """The Kolmogorov-Smirnov distance, or the total variation distance."""
    if not is_ordered:
        here, there = (each.value_counts(normalize=True) for each in (train, other))
        return float(here.sub(there, fill_value=0).abs().sum() / 2)
    samples = [np.sort(each.to_numpy().astype(np.float64)) for each in (train, other)]
    places = np.concatenate(samples)
    below = [each.searchsorted(places, "right") / len(each) for each in samples]
    return float(np.abs(below[0] - below[1]).max())


def _digests(cells: Array, kind: str) -> Array:
    """A digest of each cell ``(records, ...)``: ``(records,) uint64``."""
    if cells.dtype.kind == "f":
        cells = np.where(np.isnan(cells), np.nan, cells) + 0.0
    if cells.ndim > 1 and cells.dtype != object:
        cells = objects([cell.tobytes() for cell in cells])
    elif kind in ("list", "object"):
        cells = objects([json.dumps(native(c), sort_keys=True, default=str) for c in cells])
    elif kind == "text":
        cells = objects([cell and cell.encode("utf-8", "surrogatepass") for cell in cells])
    return hash_array(cells)
