"""Categories, as codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from barrage_mlflow.dataset.features.feature import CATEGORIES, Feature
from barrage_mlflow.dataset.features.sketches import Counts
from barrage_mlflow.dataset.types import Array

UNSEEN, MISSING, RARE = 0, 1, 2
"""Codes that stand for no level of their own."""


@dataclass(eq=False)
class Category(Feature):
    """A category, as the code of its level: 0 if no train record has it.

    1 stands for a missing value and 2 for a level that is rare in the train records; where these
    have none of one, it is 0 too. The other levels follow, the most frequent first.

    Args:
        rare: a level of fewer train records than this is rare.
        levels: as many levels get a code of their own, at most.
        encoding: in the network, a column for each code, or a vector learnt for it; left out,
            columns for up to 50 codes.

    Example:
        >>> feature = Category(rare=2)
        >>> feature.learn(np.array(["Ideal", "Good", "Ideal", None], object))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(np.array(["Ideal", "Good", None, "new"], object)).tolist()
        [[3], [2], [1], [0]]
    """

    rare: int = 5
    levels: int = 10_000
    encoding: Literal["one_hot", "embedding"] | None = None

    type: ClassVar[str] = "category"
    kind: ClassVar[str] = "text"
    shared: ClassVar[str] = CATEGORIES

    def __post_init__(self) -> None:
        self._counts, self._lacking = Counts(), False

    def learn(self, column: Array) -> None:
        """Count strings ``(records,) object``, None where missing."""
        values = [value for value in column.tolist() if value is not None]
        self._lacking |= len(values) < len(column)
        self._counts.add(values)

    def learnt(self) -> dict[str, Any]:
        """The levels with a code of their own, those that are rare, whether values may lack."""
        ranked = self._counts.ranked()
        levels = [level for level, count in ranked[: self.levels] if count >= self.rare]
        rare = [level for level, _ in ranked[len(levels) :][: self.levels]]
        return {"levels": levels, "rare": rare, "missing": self._lacking}

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._codes: dict[str | None, int] = dict.fromkeys(learnt["rare"], RARE)
        self._codes |= {level: code for code, level in enumerate(learnt["levels"], RARE + 1)}
        if learnt["missing"]:
            self._codes[None] = MISSING
        self._size = RARE + 1 + len(learnt["levels"])

    def encode(self, column: Array) -> Array:
        """``(records, 1) int32`` of strings ``(records,) object``."""
        codes = map(self._codes.get, column.tolist(), [UNSEEN] * len(column))
        return np.fromiter(codes, np.int32, len(column))[:, np.newaxis]

    def description(self) -> dict[str, Any]:
        """How many codes there are, and how a network is to take them in."""
        default = "one_hot" if self._size <= 50 else "embedding"
        return {"size": self._size, "encoding": self.encoding or default}
