"""Truth values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import NUMBERS, Feature
from barrage_mlflow.dataset.types import Array


@dataclass(eq=False)
class Truth(Feature):
    """True as 1, false as -1, a missing value as 0.

    If the train records lack some, a second column marks them with 1.

    Example:
        >>> feature = Truth()
        >>> feature.learn(np.array([1.0, 0.0, np.nan]))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(np.array([1.0, 0.0, np.nan])).tolist()
        [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    """

    type: ClassVar[str] = "truth"
    kind: ClassVar[str] = "truth"
    shared: ClassVar[str] = NUMBERS

    def __post_init__(self) -> None:
        self._missing = False

    def learn(self, column: Array) -> None:
        """Take in 1 and 0 ``(records,) float64``, NaN where missing."""
        self._missing |= bool(np.isnan(column).any())

    def learnt(self) -> dict[str, Any]:
        """Whether values may lack."""
        return {"missing": self._missing}

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._missing = learnt["missing"]
        self.width = 1 + self._missing

    def encode(self, column: Array) -> Array:
        """``(records, 1 or 2) float64`` of 1 and 0 ``(records,) float64``."""
        lacks = np.isnan(column)
        signs = np.where(lacks, 0.0, column * 2 - 1)
        return np.column_stack([signs, lacks] if self._missing else [signs])
