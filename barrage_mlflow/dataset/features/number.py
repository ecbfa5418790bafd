"""Numbers, scaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, ClassVar, Literal

import numpy as np

from barrage_mlflow.dataset.features.feature import NUMBERS, Feature
from barrage_mlflow.dataset.features.sketches import Moments, Sample
from barrage_mlflow.dataset.types import Array

_POINTS = 1000
"""Points of the curve that brings numbers to a normal distribution; scikit-learn's default."""
_FAR = 1000.0
"""Deviations from the mean, beyond which one number is as far as another: float32 has an end."""


@dataclass(eq=False)
class Number(Feature):
    """A number, scaled to mean 0 and about -3 to 3.

    A missing value becomes 0. If the train records lack some, a second column marks them with 1.

    Args:
        scale: ``"quantile"`` brings the train values to a normal distribution, so that outliers
            and skew do no harm; values beyond the train records' are as the last of these.
            ``"standard"`` takes the mean away and divides by the standard deviation; ``"log"``
            does so with the logarithm of the distance from 0, keeping the sign.
        bins: of the edges that a network with piecewise-linear embeddings gets.

    Example:
        >>> feature = Number(scale="standard")
        >>> feature.learn(np.array([2.0, np.nan, 6.0]))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(np.array([6.0, np.nan, 1e9])).tolist()
        [[1.0, 0.0], [0.0, 1.0], [1000.0, 0.0]]
        >>> Number(scale="minmax")
        Traceback (most recent call last):
        ValueError: scale: expected 'quantile', 'standard' or 'log', got 'minmax'
    """

    scale: Literal["quantile", "standard", "log"] = "quantile"
    bins: int = 48

    type: ClassVar[str] = "number"
    kind: ClassVar[str] = "number"
    shared: ClassVar[str] = NUMBERS

    def __post_init__(self) -> None:
        if self.scale not in ("quantile", "standard", "log"):
            raise ValueError(f"scale: expected 'quantile', 'standard' or 'log', got {self.scale!r}")
        self._moments, self._sample, self._lacking = Moments(), Sample(), 0

    def learn(self, column: Array) -> None:
        """Take in numbers ``(records,) float64``, NaN where missing."""
        values = self._spread(column[~np.isnan(column)])
        self._lacking += len(column) - len(values)
        self._moments.add(values)
        self._sample.add(values)

    def learnt(self) -> dict[str, Any]:
        """Mean and deviation, or the points of a curve; bin edges; whether values may lack."""
        values = self._sample.values if self._moments.count else np.zeros(1)
        is_curved = self.scale == "quantile"
        learnt = _normal_curve(values) if is_curved else self._moments.learnt()
        edges = np.quantile(_scaled(values, learnt), np.linspace(0, 1, self.bins + 1))
        edges = np.unique(edges.astype(np.float32))
        return {**learnt, "edges": edges.tolist(), "missing": self._lacking > 0}

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        curve = {key: np.array(learnt[key]) for key in ("from", "to") if key in learnt}
        self._learnt = {**learnt, **curve}
        self.width = 1 + learnt["missing"]

    def encode(self, column: Array) -> Array:
        """``(records, 1 or 2) float64`` of numbers ``(records,) float64``."""
        lacks = np.isnan(column)
        scaled = _scaled(self._spread(np.where(lacks, 0.0, column)), self._learnt)
        scaled = np.where(lacks, 0.0, scaled)
        return np.column_stack([scaled, lacks] if self._learnt["missing"] else [scaled])

    def description(self) -> dict[str, Any]:
        """Its bin edges, ascending."""
        return {"edges": self._learnt["edges"]}

    def _spread(self, values: Array) -> Array:
        return np.sign(values) * np.log1p(np.abs(values)) if self.scale == "log" else values


def _normal_curve(values: Array) -> dict[str, Any]:
    """The points of the curve that brings sorted numbers to a normal distribution.

    Where many numbers are equal, they get what is in the middle of their share.
    """
    shares = np.linspace(0, 1, min(_POINTS, len(values)))
    points, inverse = np.unique(np.quantile(values, shares), return_inverse=True)
    middle = np.bincount(inverse, shares) / np.bincount(inverse)
    end = 0.5 / len(values)
    normal = map(NormalDist().inv_cdf, np.clip(middle, end, 1 - end).tolist())
    return {"from": points.tolist(), "to": list(normal)}


def _scaled(values: Array, learnt: Mapping[str, Any]) -> Array:
    if "from" in learnt:
        return np.asarray(np.interp(values, learnt["from"], learnt["to"]))
    return np.asarray(np.clip((values - learnt["mean"]) / learnt["deviation"], -_FAR, _FAR))
