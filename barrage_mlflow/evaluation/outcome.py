"""An outcome: what a model answered for one output beside what is true, in a form for each type."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from barrage_mlflow.dataset.types import Array


@dataclass(frozen=True)
class Outcome:
    """What a model answered for one output, beside what is true; arrays have ``(records, ...)``.

    Attributes:
        name: the key of the answer, or the output's name.
        type: as a target's: ``"category"``, ``"truth"``, ``"multi_category"``, ``"number"``,
            ``"series"``; empty where nothing is defined for it.
        truth: codes of classes ``(records,) int``, 0 and 1 of a truth value, ``(records, labels)``
            of several labels; numbers ``(records,) float``, or ``(records, horizon)``, in which
            what is not known is NaN.
        answer: likewise.
        weight: what each record counts, ``(records,) float``.
        rows: the number of each in what was evaluated, from 0.
        probability: of each class ``(records, classes)``, of each label, or of true ``(records,)``;
            None where the network gives none.
        past: of a series, what came before it, ``(records, history)``.
        labels: the names of classes, by code.
        in_own_units: whether it is the answer that is judged, not the network's output.
        season: the lag by which its past repeats itself; 0 where that is still to be found.
        share: of the records that were observed, how many it is of: of very many, a sample.

    Example:
        >>> outcome = Outcome("price", "number", np.ones(2), np.zeros(2), np.ones(2), np.arange(2))
        >>> len(outcome.take(np.array([0]))), outcome.take(np.array([0])).truth
        (1, array([1.]))
    """

    name: str
    type: str
    truth: Array
    answer: Array
    weight: Array
    rows: Array
    probability: Array | None = None
    past: Array | None = None
    labels: Sequence[Any] = ()
    in_own_units: bool = True
    season: int = 0
    share: float = 1.0

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, chosen: Array | slice) -> Outcome:
        """The outcome of some of the records, by position or by a mask."""
        return replace(self, **{name: array[chosen] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, Any]:
        """Those of its attributes that are arrays."""
        return {name: each for name, each in vars(self).items() if isinstance(each, np.ndarray)}

    def label(self, code: int) -> str:
        """The name of a class."""
        return str(self.labels[code]) if code < len(self.labels) else str(code)
