"""The metrics of outcomes: scikit-learn's, to which tests hold them.

That takes longer to import than all of them take, and a bootstrap calls them hundreds of times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.evaluation.outcome import Outcome

RANKED = 20
"""Classes or labels, at most, for which records are ranked by the probability of each."""

_SEASON_RECORDS = 1000
"""Records, about, that tell of a season."""

_quietly = np.errstate(over="ignore", invalid="ignore")
"""Of an answer that is infinite or NaN, or of vast size, so is the metric, without a warning."""


class Metric(NamedTuple):
    """A figure of an outcome.

    Attributes:
        name: what it is called, ``"rmse"``.
        measure: computes it.
        best: ``"high"``, ``"low"``, or ``"zero"``, of what can be on either side.
    """

    name: str
    measure: Callable[[Outcome], float]
    best: str = "high"


def accuracy(outcome: Outcome) -> float:
    """The share of records whose answer is right; of several labels, with all of them right.

    Example:
        >>> truth, answer = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
        >>> accuracy(Outcome("a", "category", truth, answer, np.ones(4), np.arange(4)))
        0.75
    """
    right = outcome.truth == outcome.answer
    return _mean(right.all(axis=1) if right.ndim > 1 else right, outcome.weight)


def _classes(outcome: Outcome) -> int:
    least = 1 if outcome.type == "truth" else 0
    last = max(int(codes.max(initial=least)) for codes in (outcome.truth, outcome.answer))
    return max(1 + last, len(outcome.labels))


def by_class(outcome: Outcome) -> dict[str, Array]:
    """Precision, recall, F1 and support of each class or label, ``(classes,) float`` each.

    What is not defined, such as the recall of a class without a record, is 0.
    """
    if outcome.type == "multi_category":
        right = outcome.weight @ (outcome.truth & outcome.answer)
        predicted, true = (outcome.weight @ each for each in (outcome.answer, outcome.truth))
    else:
        size, is_right = _classes(outcome), outcome.truth == outcome.answer
        right = np.bincount(outcome.truth[is_right], outcome.weight[is_right], size)
        predicted, true = (
            np.bincount(each, outcome.weight, size) for each in (outcome.answer, outcome.truth)
        )
    return {
        "precision": _share(right, predicted),
        "recall": _share(right, true),
        "f1": _share(2 * right, predicted + true),
        "support": true,
        "predicted": predicted,
        "right": right,
    }


def f1_macro(outcome: Outcome) -> float:
    """The mean F1 of all labels, or of the classes that are true or predicted of a record."""
    table = by_class(outcome)
    defined = (table["support"] + table["predicted"] > 0) | (outcome.type == "multi_category")
    return float(table["f1"][defined].mean()) if defined.any() else math.nan


def f1_micro(outcome: Outcome) -> float:
    """F1 of all labels of all records."""
    total = {name: each.sum() for name, each in by_class(outcome).items()}
    return float(_share(2 * total["right"], total["predicted"] + total["support"]))


def _of_true(name: str, outcome: Outcome) -> float:
    """A figure of the answer true."""
    return float(by_class(outcome)[name][1])


def log_loss(outcome: Outcome) -> float:
    """The mean of minus the logarithm of the probability of what is true."""
    p = outcome.probability
    if p is None or not len(outcome):
        return math.nan
    eps = np.finfo(p.dtype).eps
    if outcome.type == "category":
        p = _share(p[np.arange(len(p)), outcome.truth], p.sum(axis=1, dtype=np.float64))
    else:
        p = np.where(outcome.truth, p, 1 - p.astype(np.float64))
    each = -np.log(np.clip(p, eps, 1 - eps))
    return _mean(each.mean(axis=1) if each.ndim > 1 else each, outcome.weight)


def ranking(truth: Array, probability: Array, weight: Array) -> tuple[Array, Array, Array]:
    """What is predicted to be true, from the highest probability down.

    Args:
        truth: ``(records,)``, 0 or 1.
        probability: ``(records,)``.
        weight: ``(records,)``.

    Returns:
        Each probability that occurs, falling; the weight of what is true from there up, and of
        what is not.
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum((truth * weight)[order])[last]
    false = np.cumsum(((1 - truth) * weight)[order])[last]
    return ranked[last], true, false


def _roc_auc(truth: Array, probability: Array, weight: Array) -> float:
    """How probable it is that a true record has a higher probability than a false one."""
    _, true, false = ranking(truth, probability, weight)
    if not (true[-1] > 0 and false[-1] > 0):
        return math.nan
    shares = (np.insert(each / each[-1], 0, 0.0) for each in (false, true))
    return float(np.trapezoid(*reversed([*shares])))


def _average_precision(truth: Array, probability: Array, weight: Array) -> float:
    """The mean precision over the recalls."""
    _, true, false = ranking(truth, probability, weight)
    if not true[-1] > 0:
        return math.nan
    return float((np.diff(true, prepend=0.0) * _share(true, true + false)).sum() / true[-1])


def _mean_over_classes(measure: Callable[[Array, Array, Array], float], outcome: Outcome) -> float:
    """A figure of the ranking; of classes or labels, the mean over each against the others."""
    p = outcome.probability
    if p is None or not len(outcome) or p.size > len(p) * RANKED:
        return math.nan
    each = [measure(truth, chance, outcome.weight) for _, truth, chance in one_by_one(outcome)]
    defined = [value for value in each if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def one_by_one(outcome: Outcome) -> Iterator[tuple[str, Array, Array]]:
    """Go through what has a probability: true, or each class or label, the most frequent first.

    Returns:
        Of each the name, what is true ``(records,) int``, and the probability ``(records,)``.
    """
    chance, truth, is_category = outcome.probability, outcome.truth, outcome.type == "category"
    assert chance is not None
    if outcome.type == "truth":
        yield outcome.name, truth, chance
        return
    weight = outcome.weight
    support = np.bincount(truth, weight, chance.shape[1]) if is_category else weight @ truth
    for code in np.argsort(-support, kind="stable").tolist():
        true = truth == code if is_category else truth[:, code]
        yield outcome.label(code), true.astype(int), chance[:, code]


def mae(outcome: Outcome) -> float:
    """The mean size of the error."""
    return _mean(np.abs(_error(outcome)), _weights(outcome))


@_quietly
def rmse(outcome: Outcome) -> float:
    """The root of the mean squared error."""
    return math.sqrt(_mean(_error(outcome) ** 2, _weights(outcome)))


def bias(outcome: Outcome) -> float:
    """The mean error: above 0, the answers are too high."""
    return _mean(_error(outcome), _weights(outcome))


@_quietly
def r2(outcome: Outcome) -> float:
    """The share of the variance of what is true that the answers explain."""
    truth, weight = outcome.truth.ravel(), _weights(outcome)
    if len(truth) < 2:
        return math.nan
    left = (weight * _error(outcome) ** 2).sum()
    variance = (weight * (truth - _mean(truth, weight)) ** 2).sum()
    # The variance of one number again and again need not round to 0.
    return float(1 - left / variance) if truth.min() < truth.max() else float(left == 0)


def _error_at(share: float, outcome: Outcome) -> float:
    """The size of error that such a share of records stays within."""
    error, weight = np.abs(_error(outcome)), _weights(outcome)
    if not len(error):
        return math.nan
    is_even = weight.min() == weight.max()  # which takes no sorting
    weights = None if is_even else weight
    return float(np.quantile(error, share, weights=weights, method="inverted_cdf"))


@_quietly
def smape(outcome: Outcome) -> float:
    """The mean error as a share of the mean of both sizes, from 0 to 2; of 0 and 0 it is 0."""
    size = (np.abs(outcome.truth) + np.abs(outcome.answer)) / 2
    return _mean(_share(np.abs(_error(outcome)), size[_known(outcome)]), _weights(outcome))


def mase(outcome: Outcome) -> float:
    """The mean error, as a multiple of that of the season before repeated within the past."""
    if outcome.past is None or not len(outcome):
        return math.nan
    scale = _mean_step(outcome.past, season_of(outcome), outcome.weight)
    return mae(outcome) / scale if scale > 0 else math.nan


def season_of(outcome: Outcome) -> int:
    """The lag by which pasts repeat themselves best: up to half of their length.

    Example:
        >>> past, ahead = np.array([[1.0, 5, 1, 5, 1, 5]]), np.zeros((1, 2))
        >>> each = (ahead, ahead, np.ones(1), np.arange(1))
        >>> season_of(Outcome("next_a", "series", *each, past=past))
        2
    """
    if outcome.season:
        return outcome.season
    assert outcome.past is not None
    stride = 1 + len(outcome) // _SEASON_RECORDS
    past, weight = outcome.past[::stride], outcome.weight[::stride]
    lags = range(1, max(1, past.shape[1] // 2) + 1)
    steps = np.array([_mean_step(past, lag, weight) for lag in lags])
    return 1 + int(np.where(np.isnan(steps), np.inf, steps).argmin())


def _mean_step(past: Array, lag: int, weight: Array) -> float:
    """The mean size of the steps over a lag, but for those from or to a gap."""
    steps = np.abs(past[:, lag:] - past[:, :-lag])
    total = weight @ (~np.isnan(steps)).sum(axis=1)
    return float(weight @ np.nansum(steps, axis=1) / total) if total else math.nan


_ACCURACY = Metric("accuracy", accuracy)
_LOG_LOSS = Metric("log_loss", log_loss, "low")
_RANKED = (
    Metric("roc_auc", partial(_mean_over_classes, _roc_auc)),
    Metric("average_precision", partial(_mean_over_classes, _average_precision)),
)
_RMSE, _MAE = Metric("rmse", rmse, "low"), Metric("mae", mae, "low")
METRICS: Mapping[str, tuple[Metric, ...]] = {
    "category": (_LOG_LOSS, Metric("f1", f1_macro), _ACCURACY, *_RANKED),
    "truth": (
        _LOG_LOSS,
        *(Metric(name, partial(_of_true, name)) for name in ("f1", "precision", "recall")),
        *(_ACCURACY, *_RANKED),
    ),
    "multi_category": (
        *(_LOG_LOSS, Metric("f1", f1_micro), Metric("f1_macro", f1_macro)),
        *(_ACCURACY, *_RANKED),
    ),
    "number": (
        *(_RMSE, _MAE, Metric("r2", r2), Metric("bias", bias, "zero")),
        *(Metric(f"p{n}", partial(_error_at, n / 100), "low") for n in (50, 90, 99)),
    ),
    "series": (Metric("mase", mase, "low"), _MAE, _RMSE, Metric("smape", smape, "low")),
}
"""The metrics of each type of outcome, the leading one first."""


def leading_metric(outcome: Outcome) -> Metric:
    """The metric by which two models are compared where none is named: the first that is defined.

    Raises:
        ComponentError: none is defined for the outcome.

    Example:
        >>> truth, none = np.array([1.0, 3.0]), np.zeros(2)
        >>> leading_metric(Outcome("a", "number", truth, none, np.ones(2), np.arange(2))).name
        'rmse'
    """
    for metric in METRICS.get(outcome.type, ()):
        if not math.isnan(metric.measure(outcome)):
            return metric
    raise ComponentError(f"no metric is defined for {outcome.name!r} on these records")


def _mean(values: Array, weight: Array) -> float:
    total = weight.sum()
    return float((values * weight).sum() / total) if total else math.nan


def _known(outcome: Outcome) -> Array:
    """Which numbers are known: a series may have gaps."""
    return ~np.isnan(outcome.truth)


def _error(outcome: Outcome) -> Array:
    """The error of each number that is known."""
    return np.asarray((outcome.answer - outcome.truth)[_known(outcome)])


def _weights(outcome: Outcome) -> Array:
    """What each of them counts."""
    known = _known(outcome)
    weight = outcome.weight[:, np.newaxis] if known.ndim > 1 else outcome.weight
    return np.broadcast_to(weight, known.shape)[known]


def _share(part: Array, whole: Array) -> Array:
    """A share, 0 of nothing."""
    none = np.zeros(np.shape(whole))
    return np.divide(part, whole, out=none, where=np.asarray(whole) != 0)
