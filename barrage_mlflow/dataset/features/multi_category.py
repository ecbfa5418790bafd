"""Several categories at once: tags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.sketches import Counts
from barrage_mlflow.dataset.types import Array


@dataclass(eq=False)
class MultiCategory(Feature):
    """A list of labels: a column for each label, 1 where the list has it.

    Labels that no train record has, or few have, count nowhere; a missing list is an empty one.

    Args:
        separator: between the labels in a CSV file; left out, the list is JSON.
        rare: a label of fewer train records than this is left out.
        levels: as many labels get a column, at most: the most frequent.

    Example:
        >>> from barrage_mlflow.dataset.records.values import objects
        >>> feature = MultiCategory(rare=1)
        >>> feature.learn(objects([["new", "red"], ["red"], None]))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(objects([["red", "blue"], None, ["new", "red"]])).tolist()
        [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    """

    separator: str | None = None
    rare: int = 5
    levels: int = 1000

    type: ClassVar[str] = "multi_category"
    kind: ClassVar[str] = "list"

    def __post_init__(self) -> None:
        self._counts = Counts()

    def learn(self, column: Array) -> None:
        """Count the labels in lists ``(records,) object``, None where missing."""
        self._counts.add(label for labels in column.tolist() for label in set(labels or ()))

    def learnt(self) -> dict[str, Any]:
        """The labels that have a column."""
        return {"labels": [label for label, _ in self._counts.ranked(self.rare)[: self.levels]]}

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self.labels = list(learnt["labels"])
        self._places = {label: place for place, label in enumerate(self.labels)}

    def encode(self, column: Array) -> Array:
        """``(records, labels) float32`` of lists ``(records,) object``."""
        made = np.zeros((len(column), len(self.labels)), np.float32)
        for row, labels in enumerate(column.tolist()):
            made[row, [self._places[one] for one in labels or () if one in self._places]] = 1
        return made

    def description(self) -> dict[str, Any]:
        """How many labels have a column."""
        return {"size": len(self.labels)}
