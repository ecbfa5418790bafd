"""Figures: each metric beside that of a baseline, with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.metrics import METRICS, season_of
from barrage_mlflow.evaluation.outcome import Outcome

_DRAWS = 200
_DRAWN = 2000
"""Records that a bootstrap draws, about, or steps; the interval of more is narrower by the root."""
_STEPS = 10
"""Steps of a record, about, of which it draws."""
_QUANTILES = (0.025, 0.975)
_SEED = 0


class Figure(NamedTuple):
    """What a metric came to.

    Attributes:
        value: of the model; NaN where it is not defined.
        low: 95 of 100 sets like this one would give a value from here …
        high: … to here.
        baseline: that of the best answer that is the same for every record; of a series, of its
            past repeated.
    """

    value: float
    low: float
    high: float
    baseline: float


def figures_of(outcome: Outcome) -> dict[str, Figure]:
    """Every metric of an outcome.

    Example:
        >>> truth, answer = np.array([0, 1, 1, 1]), np.array([0, 1, 1, 0])
        >>> outcome = Outcome("a", "category", truth, answer, np.ones(4), np.arange(4))
        >>> figures_of(outcome)["accuracy"].value, figures_of(outcome)["accuracy"].baseline
        (0.75, 0.75)
    """
    metrics = METRICS.get(outcome.type, ())
    if not metrics or not len(outcome):
        return {metric.name: Figure(*[math.nan] * 4) for metric in metrics}
    constant, found = baseline(outcome), {}
    measured = intervals([metric.measure for metric in metrics], outcome)
    for metric, (value, low, high) in zip(metrics, measured, strict=True):
        top = min(high, 1.0) if metric.best == "high" else high
        of_constant = 0.0 if metric.best == "zero" else metric.measure(constant)  # not rounding's
        found[metric.name] = Figure(value, low, top, of_constant)
    return found


def baseline(outcome: Outcome) -> Outcome:
    """The same records under the best answer that needs no model.

    The most frequent class with the shares of all, the mean of numbers, and of a series with a
    past, its last season repeated.

    Example:
        >>> truth, none = np.array([1.0, 3.0]), np.zeros(2)
        >>> baseline(Outcome("a", "number", truth, none, np.ones(2), np.arange(2))).answer
        array([2., 2.])
    """
    truth, weight, p = outcome.truth, outcome.weight, outcome.probability
    if outcome.type == "series" and outcome.past is not None:
        lag, horizon = season_of(outcome), truth.shape[1]
        mean = np.average(np.nanmean(truth, axis=1), weights=weight)
        filled = pd.DataFrame(outcome.past).ffill(axis=1).fillna(mean)
        season = filled.to_numpy()[:, -lag:]
        repeated = np.tile(season, math.ceil(horizon / lag))[:, :horizon]
        return replace(outcome, answer=repeated)
    if outcome.type in ("number", "series"):
        mean = np.ma.average(np.ma.masked_invalid(truth), axis=0, weights=weight)
        return replace(outcome, answer=np.broadcast_to(np.ma.filled(mean, np.nan), truth.shape))
    if outcome.type == "category":
        width = 1 if p is None else p.shape[1]
        shares = np.bincount(truth, weight, width) / weight.sum()
        answer = np.full(len(truth), shares.argmax())
    else:
        shares = np.average(truth, axis=0, weights=weight)
        answer = np.broadcast_to(shares >= 0.5, truth.shape).astype(truth.dtype)
    known = None if p is None else np.broadcast_to(shares, p.shape)
    return replace(outcome, answer=answer, probability=known)


def intervals(
    measures: Sequence[Callable[..., float]], *outcomes: Outcome
) -> list[tuple[float, float, float]]:
    """What each measure of outcomes of the same records comes to, and its interval.

    Example:
        >>> zeros, outcome = np.zeros(9), Outcome("a", "number", *[np.zeros(9)] * 3, np.arange(9))
        >>> intervals([lambda one: one.answer.mean()], outcome)
        [(0.0, 0.0, 0.0)]
    """
    some = [_few_steps(outcome) for outcome in outcomes]
    draws = [
        [measure(*drawn) for measure in measures]
        for drawn in zip(*map(bootstrap, some), strict=True)
    ]
    values = [float(measure(*outcomes)) for measure in measures]
    return [
        (value, *interval(value, [of_draw[place] for of_draw in draws], len(some[0])))
        for place, value in enumerate(values)
    ]


def _few_steps(outcome: Outcome) -> Outcome:
    """Of an output of many steps, some of them: records differ more than the steps of one."""
    records = max(1, len(starts(outcome)))
    return outcome.take(slice(None, None, max(1, len(outcome) // (records * _STEPS))))


def starts(outcome: Outcome) -> Array:
    """Where the steps of each record begin; rows are in their order."""
    return np.flatnonzero(np.diff(outcome.rows, prepend=-1))


def bootstrap(outcome: Outcome) -> Iterator[Outcome]:
    """Sets of records drawn of an outcome with repeats; the same for any of the same records.

    Records are drawn, not steps, since those of one record are right or wrong together. One set at
    a time: with many classes, each is of many megabytes.
    """
    rng = np.random.default_rng(_SEED)
    first = starts(outcome)
    records, steps = len(first), np.diff(first, append=len(outcome))
    for _ in range(_DRAWS if records > 1 else 0):
        drawn = rng.integers(records, size=min(records, 1 + _DRAWN * records // len(outcome)))
        size = steps[drawn]
        within = np.arange(size.sum()) - np.repeat(size.cumsum() - size, size)
        yield outcome.take(np.repeat(first[drawn], size) + within)


def interval(value: float, drawn: Sequence[float], size: int) -> tuple[float, float]:
    """Where the values of 95 of 100 sets of so many records, or steps, would be.

    Draws of fewer records may all be too high or too low, so only how they are spread counts.
    """
    defined = [each for each in drawn if math.isfinite(each)]
    if not math.isfinite(value) or len(defined) < _DRAWS / 2:
        return math.nan, math.nan
    ends = np.quantile(defined, _QUANTILES) - np.mean(defined)
    low, high = (value + ends * math.sqrt(min(1, _DRAWN / size))).tolist()
    least = min(0.0, *defined)  # what is never below 0 is not there either
    return min(value, max(low, least)), max(value, high)
