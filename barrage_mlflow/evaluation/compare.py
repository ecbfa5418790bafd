"""Two models beside each other on the same records."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import PromotionError
from barrage_mlflow.evaluation.figures import bootstrap, interval
from barrage_mlflow.evaluation.metrics import METRICS, Metric
from barrage_mlflow.evaluation.outcome import Outcome

_ROUNDING = 1e-5
"""By how much targets may differ, relatively, where they are of the network's scale."""


class Difference(NamedTuple):
    """A metric of two models on the same records.

    Attributes:
        ours: of the first one.
        theirs: of the second one.
        low: 95 of 100 sets like this one would give a difference, ours less theirs, from here …
        high: … to here.
    """

    ours: float
    theirs: float
    low: float
    high: float


def compare(ours: Outcome, theirs: Outcome) -> dict[str, Difference]:
    """Every metric of two models' outcomes of one output, on the records that both judge.

    Args:
        ours: of the first model.
        theirs: of the second one, on the same records.

    Raises:
        PromotionError: what is true of the records differs between them.

    Example:
        >>> truth, rows = np.array([1.0, 2.0, 3.0]), np.arange(3)
        >>> one = Outcome("a", "number", truth, truth, np.ones(3), rows)
        >>> compare(one, replace(one, answer=truth + 1))["mae"][:2]
        (0.0, 1.0)
    """
    ours, theirs = _aligned(ours, theirs)
    draws = [*zip(bootstrap(ours), bootstrap(theirs), strict=True)]
    return {
        metric.name: _difference(metric, ours, theirs, draws)
        for metric in METRICS.get(ours.type, ())
        if len(ours)
    }


def _difference(
    metric: Metric, ours: Outcome, theirs: Outcome, draws: list[tuple[Outcome, Outcome]]
) -> Difference:
    first, second = metric.measure(ours), metric.measure(theirs)
    drawn = [metric.measure(one) - metric.measure(other) for one, other in draws]
    return Difference(first, second, *interval(first - second, drawn, len(ours)))


def _aligned(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Both outcomes of the records that both have, which must be told the same of them."""
    _, first, second = np.intersect1d(ours.rows, theirs.rows, True, True)
    one, other = ours.take(first), theirs.take(second)
    if one.type != other.type or not _is_same(_plain(one), _plain(other)):
        raise PromotionError(
            f"the two cannot be compared by {ours.name!r}: their loaders and transformers tell "
            "other targets of the same records; have the transformer's targets() give them in the "
            "units of the answer"
        )
    # They are judged by one set of targets and weights: ours.
    if one.type not in ("category", "truth"):
        return one, replace(other, truth=one.truth, weight=one.weight)
    return one, replace(other, weight=one.weight)


def _plain(outcome: Outcome) -> Array:
    """What is true, in a form that does not depend on the model: classes by their names."""
    if outcome.type == "category":
        codes, places = np.unique(outcome.truth, return_inverse=True)
        return np.array([outcome.label(code) for code in codes.tolist()], object)[places]
    return outcome.truth


def _is_same(ours: Array, theirs: Array) -> bool:
    if ours.shape != theirs.shape:
        return False
    if ours.dtype.kind != "f":
        return bool((ours == theirs).all())
    return bool(np.allclose(ours, theirs, _ROUNDING))
