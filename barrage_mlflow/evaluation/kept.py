"""What is kept of the records themselves: the worst, a sample, and the groups that they are in."""

from __future__ import annotations

import math
import pickle
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
from pandas.util import hash_array

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.types import Array, Record
from barrage_mlflow.evaluation.outcome import Outcome

SAMPLE = 1000
"""Records of which all columns are kept, at most, drawn evenly."""
GROUPED = 10_000
"""Records that are grouped by the values of columns, at most, drawn evenly."""
IMAGES = 8
"""Of so many of the worst records, bytes are kept as well."""
_BYTES = 1 << 26
"""What a sample may come to, about; of larger records it has fewer."""
_KINDS = ("text", "whole", "truth")
_GROUPS = 12
"""Values of a column, at most, by which records are grouped."""


class Kept:
    """Takes in records piece by piece, in memory that does not grow with them.

    Args:
        columns: those that the model reads.
        worst: how many of the worst records of each output to keep.

    Attributes:
        columns: as given.
        most: of the worst; where it is 0, no record is to be shown.
        cells: records by their number in the set, the worst and the sample.
        sample: numbers of the records that were drawn.
        groups: the columns of few values, of more records that were drawn, by number.
    """

    def __init__(self, columns: Iterable[str], worst: int) -> None:
        self.columns, self.most = [*columns], worst
        self._badness: dict[str, pd.Series[float]] = {}
        self._count, self._sampled = 0, SAMPLE
        self._rows = np.empty(0, int)
        self._sizes: dict[int, int] = {}
        self.cells: dict[int, Record] = {}
        self.sample: list[int] = []
        self.groups = pd.DataFrame()

    @property
    def worst(self) -> Mapping[str, list[int]]:
        """By the name of the outcome, the numbers of the worst records, the worst first."""
        return {name: ranked.index.tolist() for name, ranked in self._badness.items()}

    def groups_of(self, rows: Array) -> Iterator[tuple[str, str, Array]]:
        """The groups by the values of columns, of records that were drawn.

        Args:
            rows: numbers of some of the records in ``groups``, ``(rows,)``.

        Returns:
            Of each group the column, its value there, and which of the rows it has:
            ``(rows,) bool``.
        """
        for column, cells in self.groups.loc[rows].items():
            values = np.array(["missing" if pd.isna(cell) else str(cell) for cell in cells])
            for value in sorted({*values}) if len({*values}) > 1 else ():
                yield str(column), value, values == value

    def add(self, records: Records, outcomes: Mapping[str, Outcome]) -> None:
        """Take in a piece.

        Args:
            records: the piece.
            outcomes: of its records, by output; their rows count from the first piece on.
        """
        first, self._count = self._count, self._count + len(records)
        for outcome in outcomes.values():
            # Of a record with several steps, its worst counts.
            found = pd.Series(badness_of(outcome), outcome.rows).groupby(level=0).max()
            both = pd.concat([self._badness.get(outcome.name, found.head(0)), found[found > 0]])
            ranked = both.sort_values(ascending=False, kind="stable")
            self._badness[outcome.name] = ranked.head(self.most)
        # Drawn as outcomes are where there are too many, so that they have those of these records.
        rows = np.append(self._rows, np.arange(first, self._count))
        self._rows = rows[np.argsort(hash_array(rows))[:GROUPED]]
        self._group(first, records)
        self._keep(first, records)

    def _group(self, first: int, records: Records) -> None:
        """Take in the values of the records that were drawn, in columns that have few."""
        new = self._rows[self._rows >= first]
        some = records.take(new - first)
        if not first:
            names = [n for n in self.columns if records.column(n).kind in _KINDS]
            self.groups = pd.DataFrame(columns=names, dtype=object)
        cells = {name: some[str(name)].astype(object) for name in self.groups}
        both = pd.concat([self.groups, pd.DataFrame(cells, new, dtype=object)]).loc[self._rows]
        self.groups = both.loc[:, both.nunique(dropna=False) <= _GROUPS]

    def _keep(self, first: int, records: Records) -> None:
        """Keep the cells of the sample, and those of the worst."""
        rows, old, size = self._rows[: self._sampled].tolist(), self.cells, 0
        # Read one by one: a cell may be a large file.
        new = iter(records.take([row - first for row in rows if row >= first]))
        self.cells = {}
        for row in rows:
            self.cells[row] = old[row] if row < first else next(new)
            if row not in self._sizes:
                self._sizes[row] = len(pickle.dumps(self.cells[row], -1))
            size += self._sizes[row]
            if size > _BYTES:
                self._sampled = len(self.cells)
                break
        self.sample = sorted(self.cells)
        ranks = [(rank, row) for each in self.worst.values() for rank, row in enumerate(each)]
        for rank, row in sorted(ranks):
            if row not in self.cells:
                cells = old[row] if row in old else records[row - first]
                self.cells[row] = cells if rank < IMAGES else _without_bytes(cells)


def _without_bytes(cells: Record) -> Record:
    """A record with words in place of bytes."""
    return {n: f"{len(c)} bytes" if isinstance(c, bytes) else c for n, c in cells.items()}


def errors_of(outcome: Outcome) -> Array:
    """How far off each answer is, ``(records,)``: of a series on average; 1 of a wrong class."""
    if outcome.type in ("number", "series"):
        error: Array = np.abs(outcome.answer - outcome.truth)
        return np.asarray(np.nanmean(error, axis=1)) if error.ndim > 1 else error
    wrong = outcome.truth != outcome.answer
    return np.asarray(wrong.any(axis=1) if wrong.ndim > 1 else wrong, float)


def badness_of(outcome: Outcome) -> Array:
    """How wrong each answer is, ``(records,)``: 0 of one that is right.

    Of classes it is the probability of the wrong one that was predicted.

    Example:
        >>> truth, answer = np.array([1.0, 2.0]), np.array([1.0, 5.0])
        >>> badness_of(Outcome("a", "number", truth, answer, np.ones(2), np.arange(2)))
        array([0., 3.])
    """
    if outcome.type in ("multi_category", ""):
        return np.zeros(len(outcome))
    errors = errors_of(outcome)
    if outcome.probability is None:
        return np.nan_to_num(errors, nan=math.inf)  # no answer at all is the worst
    # A class that the network does not have cannot have been more wrong.
    return np.asarray(errors * np.nan_to_num(confidence(outcome), nan=1.0))


def confidence(outcome: Outcome) -> Array:
    """The probability of the class that was predicted, ``(records,)``.

    It is NaN where the network has no such class.
    """
    probability, answer = outcome.probability, outcome.answer
    assert probability is not None
    if outcome.type == "truth":
        return np.where(answer == 1, probability, 1 - probability)
    is_beyond = answer >= probability.shape[1]
    found = probability[np.arange(len(answer)), np.where(is_beyond, 0, answer)]
    return np.where(is_beyond, math.nan, found)
