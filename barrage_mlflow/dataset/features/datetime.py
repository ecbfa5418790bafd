"""Dates and times, as what comes again and what goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import NUMBERS, Feature
from barrage_mlflow.dataset.features.sketches import Moments
from barrage_mlflow.dataset.types import Array

_MINUTES = {"day": 24 * 60, "week": 7 * 24 * 60, "year": 366 * 24 * 60}
"""How long each cycle is."""
_MINUTE = 60_000_000
"""In microseconds."""
_MONDAY = 3 * 24 * 60
"""Minutes from a Monday to the beginning of 1970, a Thursday."""


@dataclass(eq=False)
class Datetime(Feature):
    """A moment: where it stands in the day, the week and the year, and how late it is.

    Each cycle in which the train records differ gives a sine and a cosine, so that 23:59 is near
    00:00. The trend is scaled to mean 0 and deviation 1; what is later than all train records is
    as late as the last of them. A missing value is 0 in all; if the train records lack some, a
    last column is 1 for them.

    Args:
        trend: whether it tells how late a moment is. In a forecast, all that is scored is later
            than what was learnt.

    Example:
        >>> feature = Datetime()
        >>> days = np.array(["2026-01-05", "2026-01-07", "NaT"], "datetime64[us]")
        >>> feature.learn(days)
        >>> feature.restore(feature.learnt())
        >>> feature.encode(days).round(2).tolist()
        ... # doctest: +NORMALIZE_WHITESPACE
        [[0.0, 1.0, 0.07, 1.0, -1.0, 0.0],
         [0.97, -0.22, 0.1, 0.99, 1.0, 0.0],
         [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]]
    """

    trend: bool = True

    type: ClassVar[str] = "datetime"
    kind: ClassVar[str] = "datetime"
    shared: ClassVar[str] = NUMBERS

    def __post_init__(self) -> None:
        self._moments, self._lacking = Moments(), False
        self._in_cycle = {name: Moments() for name in _MINUTES}

    def learn(self, column: Array) -> None:
        """Take in moments ``(records,) datetime64[us]``, NaT where missing."""
        moments = column[~np.isnat(column)]
        self._lacking |= len(moments) < len(column)
        self._moments.add(moments.astype(np.int64).astype(np.float64))
        for name, minutes in _minutes_in(moments).items():
            self._in_cycle[name].add(minutes.astype(np.float64))

    def learnt(self) -> dict[str, Any]:
        """The cycles that vary, mean, deviation and ends, and whether values may lack."""
        found = self._moments
        return {
            "cycles": [name for name, at in self._in_cycle.items() if at.least < at.greatest],
            **found.learnt(),
            "ends": [found.least, found.greatest] if found.count else [0.0, 0.0],
            "missing": self._lacking,
        }

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._learnt = learnt
        self.width = 2 * len(learnt["cycles"]) + self.trend + learnt["missing"]
        # Looked up by the minute: a sine that is computed may differ with the length of an array.
        turns = {name: 2 * np.pi / _MINUTES[name] for name in learnt["cycles"]}
        angles = {name: np.arange(_MINUTES[name]) * turn for name, turn in turns.items()}
        self._tables = {n: np.column_stack([np.sin(a), np.cos(a)]) for n, a in angles.items()}

    def encode(self, column: Array) -> Array:
        """``(records, columns) float64`` of moments ``(records,) datetime64[us]``."""
        lacks, learnt = np.isnat(column), self._learnt
        moments = np.where(lacks, np.datetime64(0, "us"), column)
        minutes = _minutes_in(moments)
        cycles = [table[minutes[name]] for name, table in self._tables.items()]
        late = np.clip(moments.astype(np.int64).astype(np.float64), *learnt["ends"])
        trend = ((late - learnt["mean"]) / learnt["deviation"])[:, np.newaxis]
        parts = np.hstack([*cycles, trend[:, : self.trend]])
        parts[lacks] = 0
        return np.column_stack([parts, lacks]) if learnt["missing"] else parts


def _minutes_in(moments: Array) -> dict[str, Array]:
    """By cycle, how many minutes of it are over at each moment."""
    minutes = moments.astype(np.int64) // _MINUTE
    years = moments.astype("datetime64[Y]").astype("datetime64[m]").astype(np.int64)
    return {
        "day": minutes % _MINUTES["day"],
        "week": (minutes + _MONDAY) % _MINUTES["week"],
        "year": minutes - years,
    }
