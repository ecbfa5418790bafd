"""Targets: what a network learns to give, and how its answer is read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.multi_category import MultiCategory
from barrage_mlflow.dataset.features.series import Series
from barrage_mlflow.dataset.features.sketches import Moments
from barrage_mlflow.dataset.records.values import objects, shown
from barrage_mlflow.dataset.types import Array, as_array


class Target(Feature):
    """A column that is to be predicted. A missing value is encoded as 0, and has weight 0.

    Attributes:
        classes: in the order of their codes, once it is restored; empty where it has none.
    """

    classes: Sequence[Any] = ()

    @abstractmethod
    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """The answers in a network's output: what is added to the target's name → values.

        Args:
            output: ``(batch, ...)`` float32.
            threshold: from which probability on an answer is yes.
        """


@dataclass(eq=False)
class NumberTarget(Target):
    """A number, scaled for the network to mean 0 and deviation 1, answered in its own unit.

    Args:
        log: whether the network learns the logarithm of 1 + the number, which must be at least 0:
            errors then count by their share, as with prices.

    Example:
        >>> target = NumberTarget()
        >>> target.learn(np.array([100.0, 300.0]))
        >>> target.restore(target.learnt())
        >>> target.encode(np.array([300.0])), target.decode(np.array([[1.0]]), 0.5)
        (array([1.], dtype=float32), {'': array([300.])})
    """

    log: bool = False

    type: ClassVar[str] = "number"
    kind: ClassVar[str] = "number"

    def __post_init__(self) -> None:
        self._moments = Moments()

    def learn(self, column: Array) -> None:
        """Take in numbers ``(records,) float64``, NaN where missing."""
        self._moments.add(self._forth(column[~np.isnan(column)]))

    def learnt(self) -> dict[str, Any]:
        """Mean and deviation."""
        return self._moments.learnt()

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._mean, self._deviation = learnt["mean"], learnt["deviation"]

    def encode(self, column: Array) -> Array:
        """``(records,) float32`` of numbers ``(records,) float64``."""
        scaled = (self._forth(column) - self._mean) / self._deviation
        return np.asarray(np.nan_to_num(scaled), np.float32)

    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """The number ``(batch,) float64``."""
        found = output[:, 0].astype(np.float64) * self._deviation + self._mean
        return {"": np.expm1(found) if self.log else found}

    def _forth(self, values: Array) -> Array:
        if not self.log:
            return values
        if (values < 0).any():
            raise ValueError(f"log: expected numbers ≥ 0, got {values[values < 0][0]}")
        return np.log1p(values)


@dataclass(eq=False)
class CategoryTarget(Target):
    """One of some classes: its code for the network, its name in the answer.

    Example:
        >>> target = CategoryTarget()
        >>> target.learn(np.array(["cat", "dog", "cat"], object))
        >>> target.restore(target.learnt())
        >>> target.decode(np.array([[0.25, 0.75]], "float32"), 0.5)
        ... # doctest: +NORMALIZE_WHITESPACE
        {'': array(['dog'], dtype=object), '_probability': array([0.75]),
         '_probabilities': array([{'cat': 0.25, 'dog': 0.75}], dtype=object)}
        >>> target.encode(np.array(["cow"], object))
        Traceback (most recent call last):
        ValueError: expected a class that the train records have, got 'cow' (str)
    """

    type: ClassVar[str] = "category"
    kind: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self._seen: set[Any] = set()

    def learn(self, column: Array) -> None:
        """Take in labels ``(records,) object``, None where missing."""
        self._seen.update(label for label in column.tolist() if label is not None)

    def learnt(self) -> dict[str, Any]:
        """The labels, in order."""
        return {"labels": sorted(self._seen)}

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self.classes = list(learnt["labels"])
        self._codes = {label: code for code, label in enumerate(self.classes)} | {None: 0}

    def encode(self, column: Array) -> Array:
        """``(records,) int32`` of labels ``(records,) object``.

        Raises:
            ValueError: no train record has a label.
        """
        try:
            return np.array([self._codes[label] for label in column.tolist()], np.int32)
        except KeyError as error:
            label = shown(error.args[0])
            raise ValueError(f"expected a class that the train records have, got {label}") from None

    def description(self) -> dict[str, Any]:
        """How many classes there are."""
        return {"size": len(self.classes)}

    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """The most probable label ``(batch,)``, its probability, and those of all by label."""
        rows = output.astype(np.float64)
        return {
            "": as_array(self.classes)[rows.argmax(axis=1)],
            "_probability": rows.max(axis=1),
            "_probabilities": _by_label(self.classes, rows),
        }


@dataclass(eq=False)
class TruthTarget(Target):
    """True or false: an answer of yes from a threshold on, and its probability.

    Example:
        >>> TruthTarget().decode(np.array([[0.25], [0.5]], "float32"), 0.5)
        {'': array([False,  True]), '_probability': array([0.25, 0.5 ])}
    """

    type: ClassVar[str] = "truth"
    kind: ClassVar[str] = "truth"
    classes = (False, True)

    def encode(self, column: Array) -> Array:
        """``(records,) float32`` of 1 and 0 ``(records,) float64``, NaN where missing."""
        return np.nan_to_num(column).astype(np.float32)

    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """Whether it is true ``(batch,) bool``, and the probability that it is."""
        probability = output[:, 0].astype(np.float64)
        return {"": probability >= threshold, "_probability": probability}


@dataclass(eq=False)
class MultiCategoryTarget(MultiCategory, Target):
    """Several labels at once: those from a threshold on, and the probability of each.

    Example:
        >>> target = MultiCategoryTarget(rare=1)
        >>> target.restore({"labels": ["new", "red"]})
        >>> target.decode(np.array([[0.25, 0.75]], "float32"), 0.5)
        ... # doctest: +NORMALIZE_WHITESPACE
        {'': array([list(['red'])], dtype=object),
         '_probabilities': array([{'new': 0.25, 'red': 0.75}], dtype=object)}
    """

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        super().restore(learnt)
        self.classes = self.labels

    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """The labels ``(batch,) object``, and the probabilities of all by label."""
        rows = output.astype(np.float64)
        chosen = [
            [label for label, is_chosen in zip(self.labels, row, strict=True) if is_chosen]
            for row in (rows >= threshold).tolist()
        ]
        return {"": objects(chosen), "_probabilities": _by_label(self.labels, rows)}


@dataclass(eq=False)
class SeriesTarget(Series, Target):
    """Some numbers over time: what comes next.

    Example:
        >>> target = SeriesTarget()
        >>> target.learn(objects([[1.0, 3.0], [3.0, 1.0]]))
        >>> target.restore(target.learnt())
        >>> target.encode(objects([[1.0, 3.0]])), target.decode(np.array([[-1.0, 1.0]]), 0.5)
        (array([[-1.,  1.]], dtype=float32), {'': array([[1., 3.]])})
        >>> target.description()
        {'size': 2, 'means': [2.0], 'deviations': [1.0]}
    """

    def encode(self, column: Array) -> Array:
        """``(records, length) float32`` of lists of numbers ``(records,) object``.

        Raises:
            ValueError: a list has another length.
        """
        for cell in column.tolist():
            if cell is not None and (got := np.shape(cell)) != (self._length,):
                raise ValueError(f"expected {self._length} numbers, got {got}")
        return np.asarray(super().encode(column)[:, :, 0])

    def description(self) -> dict[str, Any]:
        """How many numbers there are, and how they are scaled."""
        return {"size": self._length, **self._scale()}

    def decode(self, output: Array, threshold: float) -> dict[str, Array]:
        """The numbers ``(batch, length) float64``."""
        return {"": output.astype(np.float64) * self._deviations + self._means}


def _by_label(labels: Sequence[Any], rows: Array) -> Array:
    names = list(map(str, labels))
    return objects([dict(zip(names, row, strict=True)) for row in rows.tolist()])
