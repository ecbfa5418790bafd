"""Figures: each metric beside that of the best answer without a model, with an interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.metrics import METRICS, season_of
from barrage_mlflow.evaluation.outcome import Outcome

_DRAWS = 200
_DRAWN = 2000
"""Records that a bootstrap draws, at most; the interval of more is narrower by the root."""
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
    if outcome.past is not None:
        outcome = replace(outcome, season=season_of(outcome))
    plain, found = baseline(outcome), {}
    draws = [[metric.measure(drawn) for metric in metrics] for drawn in bootstrap(outcome)]
    for place, metric in enumerate(metrics):
        value = metric.measure(outcome)
        low, high = interval(value, [values[place] for values in draws], len(outcome))
        constant = 0.0 if metric.best == "zero" else metric.measure(plain)  # not rounding's
        found[metric.name] = Figure(value, low, high, constant)
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
    truth, weight = outcome.truth, outcome.weight
    if not len(outcome):
        return outcome
    if outcome.type == "series" and outcome.past is not None:
        lag, horizon = season_of(outcome), truth.shape[1]
        season = _filled(outcome.past, np.average(truth.mean(axis=1), weights=weight))[:, -lag:]
        repeated = np.tile(season, math.ceil(horizon / lag))[:, :horizon]
        return replace(outcome, answer=repeated)
    if outcome.type in ("number", "series"):
        mean = np.average(truth, axis=0, weights=weight)
        return replace(outcome, answer=np.broadcast_to(mean, truth.shape))
    if outcome.type == "category":
        width = outcome.probability.shape[1] if outcome.probability is not None else 1
        shares = np.bincount(truth, weight, width) / weight.sum()
        answer = np.full(len(truth), shares.argmax())
    else:
        shares = np.average(truth, axis=0, weights=weight)
        answer = np.broadcast_to(shares >= 0.5, truth.shape).astype(truth.dtype)
    if outcome.probability is None:
        return replace(outcome, answer=answer)
    known = np.broadcast_to(shares, outcome.probability.shape)
    return replace(outcome, answer=answer, probability=known)


def _filled(past: Array, first: float) -> Array:
    """Numbers over time with the number before it in each gap."""
    places = np.where(np.isnan(past), 0, np.arange(past.shape[1]))
    filled = np.take_along_axis(past, np.maximum.accumulate(places, axis=1), axis=1)
    return np.where(np.isnan(filled), first, filled)


def bootstrap(outcome: Outcome) -> Iterator[Outcome]:
    """Sets of records drawn of an outcome with repeats; the same for any of the same length.

    One at a time: with many classes, each is of many megabytes.
    """
    rng, size = np.random.default_rng(_SEED), len(outcome)
    if size > 1:
        for _ in range(_DRAWS):
            yield outcome.take(rng.integers(size, size=min(size, _DRAWN)))


def interval(value: float, drawn: Sequence[float], size: int) -> tuple[float, float]:
    """Where the values of 95 of 100 sets of so many records would be."""
    there = [each for each in drawn if math.isfinite(each)]
    if not math.isfinite(value) or len(there) < _DRAWS / 2:
        return math.nan, math.nan
    low, high = np.quantile(there, _QUANTILES)
    narrower = math.sqrt(min(1, _DRAWN / size))
    return float(value + (low - value) * narrower), float(value + (high - value) * narrower)
