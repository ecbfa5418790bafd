"""What is kept of the records themselves: the worst, a sample, and the groups that they are in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.types import Array, Record
from barrage_mlflow.evaluation.outcome import Outcome

SAMPLE = 1000
"""Records of which all columns are kept, drawn evenly."""
_GROUPED = ("text", "whole", "truth")
_GROUPS = 12
"""Values of a column, at most, by which records are grouped."""
_SEED = 0


class Kept:
    """Takes in records piece by piece, in memory that does not grow with them.

    Args:
        columns: those that the model reads.
        worst: how many of the worst records of each output to keep.

    Attributes:
        columns: as given.
        cells: records by their number in the set, the worst and the sample.
        sample: numbers of the records that were drawn.
    """

    def __init__(self, columns: Iterable[str], worst: int) -> None:
        self.columns, self._most = [*columns], worst
        self._rng = np.random.default_rng(_SEED)
        self._badness: dict[str, dict[int, float]] = {}
        self._count = 0
        self._values: dict[str, dict[Any, int]] | None = None
        self._codes: dict[str, list[Array]] = {}
        self.cells: dict[int, Record] = {}
        self.sample: list[int] = []

    @property
    def worst(self) -> Mapping[str, list[int]]:
        """By the name of the outcome, the numbers of the worst records, the worst first."""
        return {name: [*rows] for name, rows in self._badness.items()}

    @property
    def groups(self) -> Mapping[str, tuple[list[Any], Array]]:
        """By column of few values, these, and which each record has: its place among them."""
        return {
            name: ([*self._values[name]], np.concatenate(codes))
            for name, codes in self._codes.items()
            if self._values
        }

    def add(self, records: Records, outcomes: Mapping[str, Outcome]) -> None:
        """Take in a piece.

        Args:
            records: the piece.
            outcomes: of its records, by output; their rows count from the first piece on.
        """
        first, self._count = self._count, self._count + len(records)
        self._group(records)
        for outcome in outcomes.values():
            name, badness = outcome.name, badness_of(outcome)
            bad = np.argsort(-badness, kind="stable")[: self._most]
            # Of a record with several steps, its worst comes last, and so counts.
            found = {
                int(outcome.rows[at]): float(badness[at]) for at in bad[::-1] if badness[at] > 0
            }
            both = self._badness.get(name, {}) | found
            ranked = sorted(both, key=lambda row: (-both[row], row))[: self._most]
            self._badness[name] = {row: both[row] for row in ranked}
        self._draw(first, len(records))
        wanted = {*self.sample, *(row for rows in self._badness.values() for row in rows)}
        self.cells = {row: cells for row, cells in self.cells.items() if row in wanted}
        new = sorted(wanted - self.cells.keys())
        self.cells |= zip(new, records.take([row - first for row in new]), strict=True)

    def _draw(self, first: int, count: int) -> None:
        """Have each record of the set in the sample with the same probability."""
        if self._count <= SAMPLE:
            self.sample += range(first, self._count)
            return
        new = int(self._rng.hypergeometric(count, first, SAMPLE))
        left = min(len(self.sample), SAMPLE - new)
        old = self._rng.choice(np.array(self.sample, int), left, replace=False)
        drawn = first + self._rng.choice(count, SAMPLE - left, replace=False)
        self.sample = sorted([*old.tolist(), *drawn.tolist()])

    def _group(self, records: Records) -> None:
        """Tell by which value of each column of few values records are grouped."""
        if self._values is None:
            kinds = {name: records.column(name) for name in self.columns}
            self._values = {n: {} for n, each in kinds.items() if each.kind in _GROUPED}
        for name, known in [*self._values.items()]:
            cells = records[name]
            if cells.ndim > 1:  # of a window, all its numbers
                del self._values[name]
                continue
            codes = [known.setdefault(cell, len(known)) for cell in _plain(cells)]
            if len(known) > _GROUPS:
                del self._values[name]
                self._codes.pop(name, None)
                continue
            self._codes.setdefault(name, []).append(np.array(codes, np.int8))


def _plain(cells: Array) -> list[Any]:
    """Values to group by; NaN, which is not itself, is None."""
    return [None if cell != cell else cell for cell in cells.tolist()]


def badness_of(outcome: Outcome) -> Array:
    """How wrong each answer is, ``(records,)``: 0 of one that is right.

    Of numbers the size of the error, of a series its mean, of classes the probability of the
    wrong one that was told.

    Example:
        >>> truth, answer = np.array([1.0, 2.0]), np.array([1.0, 5.0])
        >>> badness_of(Outcome("a", "number", truth, answer, np.ones(2), np.arange(2)))
        array([0., 3.])
    """
    if outcome.type in ("number", "series"):
        error: Array = np.abs(outcome.answer - outcome.truth)
        return np.asarray(np.nanmean(error, axis=1)) if error.ndim > 1 else error
    if outcome.type not in ("category", "truth"):
        return np.zeros(len(outcome))
    wrong: Array = (outcome.answer != outcome.truth).astype(float)
    return wrong if outcome.probability is None else wrong * confidence(outcome)


def confidence(outcome: Outcome) -> Array:
    """The probability of the class that was told, ``(records,)``."""
    probability, answer = outcome.probability, outcome.answer
    assert probability is not None
    if outcome.type == "truth":
        return np.where(answer == 1, probability, 1 - probability)
    told: Array = probability[np.arange(len(answer)), np.minimum(answer, probability.shape[1] - 1)]
    return told
