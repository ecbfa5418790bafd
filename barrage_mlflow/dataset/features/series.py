"""Numbers over time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.sketches import Moments
from barrage_mlflow.dataset.types import Array

_LONGEST = 1024


@dataclass(eq=False)
class Series(Feature):
    """A list of numbers, or of several at a time, scaled by mean and deviation of each channel.

    Of a longer series the last numbers stay, before a shorter one 0 is put. If train series have
    gaps or differ in length, a last channel is 1 where there is a number; else a number that is
    missing later is taken as the mean of its series.

    Args:
        length: left out, that of the longest train series, and 1,024 at most.
        separator: between the numbers in a CSV file; left out, the list is JSON.

    Example:
        >>> from barrage_mlflow.dataset.records.values import objects
        >>> feature = Series()
        >>> feature.learn(objects([[1.0, 3.0], [3.0], None]))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(objects([[9.0, 1.0, 3.0], [3.0]])).round(2)[0]
        array([[-1.41,  1.  ],
               [ 0.71,  1.  ]], dtype=float32)
    """

    length: int | None = None
    separator: str | None = None

    type: ClassVar[str] = "series"
    kind: ClassVar[str] = "list"
    of: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        self._moments: list[Moments] = []
        self._lengths: set[int] = set()
        self._gaps = False

    def learn(self, column: Array) -> None:
        """Take in lists of numbers ``(records,) object``, None where missing."""
        each = [_as_series(cell) for cell in column.tolist()]
        self._lengths.update(map(len, each))
        for channel in range(max(series.shape[1] for series in each)):
            values = np.concatenate([s[:, channel] for s in each if channel < s.shape[1]])
            self._gaps |= bool(np.isnan(values).any())
            self._moments += [Moments()] if channel == len(self._moments) else []
            self._moments[channel].add(values[~np.isnan(values)])

    def learnt(self) -> dict[str, Any]:
        """Length, mean and deviation of each channel, and whether numbers may lack."""
        return {
            "length": self.length or min(max(self._lengths, default=1) or 1, _LONGEST),
            "means": [each.mean for each in self._moments] or [0.0],
            "deviations": [each.deviation for each in self._moments] or [1.0],
            "missing": self._gaps or len(self._lengths) > 1,
        }

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._length, self._missing = learnt["length"], learnt["missing"]
        self._means, self._deviations = np.array(learnt["means"]), np.array(learnt["deviations"])

    def encode(self, column: Array) -> Array:
        """``(records, length, channels) float32`` of lists of numbers ``(records,) object``."""
        channels = len(self._means)
        values = np.full((len(column), self._length, channels), np.nan)
        for row, cell in zip(values, column.tolist(), strict=True):
            series = _as_series(cell)[-self._length :, :channels]
            row[self._length - len(series) :, : series.shape[1]] = series
            gaps = np.isnan(row)
            if not self._missing and gaps.any():
                counts = np.maximum((~gaps).sum(axis=0), 1)
                means = np.where(gaps, 0, row).sum(axis=0) / counts
                means[gaps.all(axis=0)] = np.nan
                row[gaps] = np.broadcast_to(means, row.shape)[gaps]
        scaled: Array = np.nan_to_num((values - self._means) / self._deviations).astype(np.float32)
        if not self._missing:
            return scaled
        there = ~np.isnan(values).all(axis=2, keepdims=True)
        return np.concatenate([scaled, there], axis=2, dtype=np.float32)

    def description(self) -> dict[str, Any]:
        """The shape of one series, whether it has the last channel, how each other is scaled."""
        shape = [self._length, len(self._means) + self._missing]
        return {"shape": shape, "mask": self._missing, **self._scale()}

    def _scale(self) -> dict[str, list[float]]:
        return {"means": self._means.tolist(), "deviations": self._deviations.tolist()}


def _as_series(cell: Any) -> Array:
    """A list as ``(time, channels) float64``; a missing one as of no time."""
    if not cell:
        return np.zeros((0, 1))
    series = np.array(cell, np.float64)
    return series[:, np.newaxis] if series.ndim == 1 else series
