"""Two models beside each other on the same records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import PromotionError
from barrage_mlflow.evaluation.figures import intervals
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

    Returns:
        By the name of the metric; empty if no record is judged by both.

    Raises:
        PromotionError: what is true of the records differs between them.

    Example:
        >>> truth, rows = np.array([1.0, 2.0, 3.0]), np.arange(3)
        >>> one = Outcome("a", "number", truth, truth, np.ones(3), rows)
        >>> compare(one, replace(one, answer=truth + 1))["mae"][:2]
        (0.0, 1.0)
    """
    ours, theirs = aligned(ours, theirs)
    known = METRICS.get(ours.type, ()) if len(ours) else ()
    found = intervals([_difference(metric) for metric in known], ours, theirs)
    return {
        metric.name: Difference(metric.measure(ours), metric.measure(theirs), low, high)
        for metric, (_, low, high) in zip(known, found, strict=True)
    }


def _difference(metric: Metric) -> Callable[[Outcome, Outcome], float]:
    return lambda ours, theirs: metric.measure(ours) - metric.measure(theirs)


def aligned(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Both outcomes of the records that both have, of which the same must be true.

    Raises:
        PromotionError: what is true of the records differs between them.
    """
    one = ours.take(np.isin(ours.rows, theirs.rows))
    other = theirs.take(np.isin(theirs.rows, ours.rows))
    differs = _how_they_differ(one, other)
    if differs:
        remedy = (
            "windows are compared only where history, horizon and step are the same"
            if one.past is not None and one.in_own_units
            else "have the transformer's targets() give them in the units of the answer"
        )
        raise PromotionError(
            f"the two cannot be compared by {ours.name!r}: their loaders and transformers give "
            f"different targets for the same records ({differs}); {remedy}"
        )
    # They are judged by one set of weights, and of what came before: ours.
    other = replace(other, weight=one.weight, past=one.past, season=one.season)
    if one.type not in ("category", "truth"):
        other = replace(other, truth=one.truth)
    return one, other


def _how_they_differ(ours: Outcome, theirs: Outcome) -> str:
    """What is not the same of the truths of the same records; empty if all is."""
    one, other = _plain(ours), _plain(theirs)
    if ours.type != theirs.type:
        return f"of types {ours.type!r} and {theirs.type!r}"
    if one.shape != other.shape:
        return f"of shapes {one.shape} and {other.shape}"
    if ours.type == "multi_category" and [*ours.labels] != [*theirs.labels]:
        return "of other labels"
    is_number = one.dtype.kind == "f"
    same = np.isclose(one, other, _ROUNDING, equal_nan=True) if is_number else one == other
    for at in map(tuple, np.argwhere(~same)):
        return f"record {ours.rows[at[0]]}: {one[at].item()!r} and {other[at].item()!r}"
    return ""


def _plain(outcome: Outcome) -> Array:
    """What is true, in a form that does not depend on the model: classes by their names."""
    if outcome.type == "category":
        codes, places = np.unique(outcome.truth, return_inverse=True)
        return np.array([outcome.label(code) for code in codes.tolist()], str)[places]
    return outcome.truth
