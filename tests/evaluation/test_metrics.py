"""Metrics of outcomes: each is what scikit-learn, or a plain loop, gives of the same arrays."""

import math
from dataclasses import replace

import numpy as np
import pytest
from answers import outcome_of
from sklearn import metrics as sk

from barrage_mlflow.errors import ComponentError
from barrage_mlflow.evaluation.figures import baseline
from barrage_mlflow.evaluation.metrics import (
    METRICS,
    RANKED,
    by_class,
    leading_metric,
    season_of,
)
from barrage_mlflow.evaluation.outcome import Outcome

NAN = math.nan


def measured(outcome: Outcome) -> dict[str, float]:
    return {metric.name: metric.measure(outcome) for metric in METRICS[outcome.type]}


def weights(rng, size, how):
    """None, some, or some of which many are 0."""
    if how == "none":
        return None
    drawn = rng.uniform(0.5, 2, size)
    return drawn * (rng.random(size) < 0.6) if how == "zeros" else drawn


def probabilities(rng, size, width, dtype):
    """Rows that sum to 1: with ties, 0 and 1 among them."""
    made = rng.dirichlet(np.ones(width), size).round(1)
    made[:, -1] = 1 - made[:, :-1].sum(axis=1)
    made = np.clip(made, 0, 1)
    return (made / made.sum(axis=1, keepdims=True)).astype(dtype)


def ranked(truth, probability, weight):
    """ROC AUC and average precision of true against false.

    Of one that needs what is not there, true records or false ones, scikit-learn warns and gives
    NaN or 0. It is NaN here: there is no ranking to judge, and 0 would say that it is bad.
    """
    there = {truth[each] for each in np.flatnonzero(weight)}
    auc = sk.roc_auc_score(truth, probability, sample_weight=weight) if len(there) > 1 else NAN
    if True not in there:
        return auc, NAN
    return auc, sk.average_precision_score(truth, probability, sample_weight=weight)


def means(pairs):
    """Over the classes that have a figure."""
    each = [[value for value in column if value == value] for column in zip(*pairs, strict=True)]
    return [float(np.mean(there)) if there else NAN for there in each]


WEIGHTS = pytest.mark.parametrize("how", ["none", "some", "zeros"])
DTYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])


@WEIGHTS
@DTYPE
@pytest.mark.parametrize("classes", [[0, 1, 2, 3], [1, 3], [2]])
@pytest.mark.parametrize("size", [1, 40])
def test_one_of_several_classes(size, classes, dtype, how):
    rng = np.random.default_rng(len(classes))
    truth = rng.choice(classes, size)
    p = probabilities(rng, size, 4, dtype)
    answer, w = p.argmax(axis=1), weights(rng, size, how if size > 1 else "some")
    outcome = outcome_of("category", truth, answer, w, probability=p)
    # A class that has records of weight 0 alone is a class to scikit-learn, but not here.
    kept = outcome.take(outcome.weight > 0)
    truth, answer, p, w = kept.truth, kept.answer, kept.probability, kept.weight
    auc, precision = means([ranked(truth == code, p[:, code], w) for code in np.unique(truth)])
    expected = {
        "accuracy": sk.accuracy_score(truth, answer, sample_weight=w),
        "f1": sk.f1_score(truth, answer, sample_weight=w, average="macro"),
        "log_loss": sk.log_loss(truth, y_proba=p, sample_weight=w, labels=range(4)),
        "roc_auc": auc,
        "average_precision": precision,
    }
    expected = pytest.approx(expected, 1e-6, nan_ok=True)
    assert measured(outcome) == expected
    assert measured(kept) == expected


@WEIGHTS
@DTYPE
@pytest.mark.parametrize("share", [0, 0.3, 1])
@pytest.mark.parametrize("size", [1, 50])
def test_true_or_false(size, share, dtype, how):
    rng = np.random.default_rng(size)
    truth = (rng.random(size) < share).astype(int)
    p = rng.random(size).round(1).astype(dtype)
    answer, w = (p >= 0.5).astype(int), weights(rng, size, how if size > 1 else "some")
    outcome = outcome_of("truth", truth, answer, w, probability=p)
    w = outcome.weight
    auc, precision = ranked(truth == 1, p, w)
    told = {"sample_weight": w, "zero_division": 0}
    expected = {
        "accuracy": sk.accuracy_score(truth, answer, sample_weight=w),
        "precision": sk.precision_score(truth, answer, **told),
        "recall": sk.recall_score(truth, answer, **told),
        "f1": sk.f1_score(truth, answer, **told),
        "log_loss": sk.log_loss(truth, y_proba=p, sample_weight=w, labels=[0, 1]),
        "roc_auc": auc,
        "average_precision": precision,
    }
    expected = pytest.approx(expected, 1e-6, nan_ok=True)
    assert measured(outcome) == expected
    assert measured(outcome.take(w > 0)) == expected


@WEIGHTS
@DTYPE
@pytest.mark.parametrize("size", [1, 30])
def test_several_labels(size, dtype, how):
    rng = np.random.default_rng(2)
    truth = rng.random((size, 4)) < [0.5, 0.2, 1, 0]  # one that all have, and one that none has
    p = rng.random((size, 4)).round(1).astype(dtype)
    answer, w = p >= 0.5, weights(rng, size, how if size > 1 else "some")
    outcome = outcome_of("multi_category", truth, answer, w, probability=p)
    w = outcome.weight
    auc, precision = means([ranked(*pair, w) for pair in zip(truth.T, p.T, strict=True)])
    losses = [
        sk.log_loss(true, y_proba=chance, sample_weight=w, labels=[False, True])
        for true, chance in zip(truth.T, p.T, strict=True)
    ]
    told = {"sample_weight": w, "zero_division": 0}
    expected = {
        "f1": sk.f1_score(truth, answer, average="micro", **told),
        "f1_macro": sk.f1_score(truth, answer, average="macro", **told),
        "accuracy": sk.accuracy_score(truth, answer, sample_weight=w),
        "log_loss": np.mean(losses),
        "roc_auc": auc,
        "average_precision": precision,
    }
    expected = pytest.approx(expected, 1e-6, nan_ok=True)
    assert measured(outcome) == expected
    assert measured(outcome.take(w > 0)) == expected


@WEIGHTS
@DTYPE
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("size", [1, 2, 101])
def test_numbers(size, constant, dtype, how):
    rng = np.random.default_rng(3)
    truth = np.full(size, 3.0, dtype) if constant else rng.normal(size=size).astype(dtype)
    answer = truth + rng.normal(size=size).astype(dtype).round(1)
    w = weights(rng, size, how if size > 2 else "some")
    outcome = outcome_of("number", truth, answer, w)
    w = outcome.weight
    quantiles = np.quantile(
        np.abs(answer - truth), [0.5, 0.9, 0.99], weights=w, method="inverted_cdf"
    )
    # Of less than two records scikit-learn warns, and gives NaN too. Of one number again and again
    # it gives 0 where nothing of its variance is left by rounding, or else -6e+30 or the like.
    r2 = NAN
    if size > 1:
        r2 = 0.0 if constant else sk.r2_score(truth, answer, sample_weight=w)
    expected = {
        "rmse": sk.root_mean_squared_error(truth, answer, sample_weight=w),
        "mae": sk.mean_absolute_error(truth, answer, sample_weight=w),
        "r2": r2,
        "bias": np.average(answer - truth, weights=w),
        **dict(zip(("p50", "p90", "p99"), quantiles, strict=True)),
    }
    expected = pytest.approx(expected, 1e-5, nan_ok=True)
    assert measured(outcome) == expected
    assert measured(outcome.take(w > 0)) == expected


def test_gaps_of_a_series_count_for_nothing():
    truth, answer = np.array([[1.0, NAN], [NAN, 5.0]]), np.array([[2.0, 9.0], [9.0, 8.0]])
    series = outcome_of("series", truth, answer, np.array([3.0, 1.0]))
    numbers = outcome_of("number", np.array([1.0, 5]), np.array([2.0, 8]), np.array([3.0, 1.0]))
    for name in ("mae", "rmse"):
        assert measured(series)[name] == measured(numbers)[name]
    assert measured(series)["smape"] == pytest.approx((3 * 1 / 1.5 + 3 / 6.5) / 4)
    assert baseline(series).answer.tolist() == [[1, 5]] * 2


@pytest.mark.parametrize("horizon", [1, 5])
@WEIGHTS
def test_series(how, horizon):
    rng = np.random.default_rng(4)
    times = np.arange(13 + horizon)
    rows = np.sin(times * 2 * np.pi / 4) + rng.normal(scale=0.2, size=(20, len(times)))
    past, truth = rows[:, :13], rows[:, 13:]
    past[3, 5], past[4] = NAN, NAN
    answer = truth + rng.normal(size=truth.shape)
    truth[0], answer[0] = 0, 0
    outcome = outcome_of("series", truth, answer, weights(rng, 20, how), past=past)
    w = outcome.weight

    def step(lag):
        total = count = 0.0
        for row, weight in zip(past, w, strict=True):
            for now, before in zip(row[lag:], row, strict=False):
                if now == now and before == before:
                    total, count = total + weight * abs(now - before), count + weight
        return total / count

    season = min(range(1, 7), key=step)
    assert season == season_of(outcome) == 4
    total = errors = squares = count = 0.0
    for row, told, weight in zip(truth, answer, w, strict=True):
        for true, got in zip(row, told, strict=True):
            size = (abs(true) + abs(got)) / 2
            total += weight * (abs(got - true) / size if size else 0)
            errors += weight * abs(got - true)
            squares += weight * (got - true) ** 2
            count += weight
    expected = {
        "mase": errors / count / step(season),
        "smape": total / count,
        "rmse": math.sqrt(squares / count),
        "mae": errors / count,
    }
    assert measured(outcome) == pytest.approx(expected)
    assert measured(outcome.take(w > 0)) == pytest.approx(expected)
    flat = {"no past": None, "one step": past[:, :1], "constant": np.ones((20, 6))}
    for past in flat.values():  # nothing to compare with
        assert math.isnan(measured(replace(outcome, past=past))["mase"])


def test_what_is_not_defined():
    none = np.zeros(0)
    p = np.zeros((0, 3), "float32")
    empty = [
        outcome_of("category", none.astype(int), none.astype(int), probability=p),
        outcome_of("truth", none.astype(int), none.astype(int), probability=none),
        outcome_of("multi_category", p > 0, p > 0, probability=p),
        outcome_of("number", none, none),
        outcome_of("series", p, p, past=np.zeros((0, 6))),
    ]
    for outcome in empty:
        assert all(value == 0 or math.isnan(value) for value in measured(outcome).values())
    truth = np.arange(RANKED + 1)
    several = outcome_of("category", truth, truth, probability=np.eye(RANKED + 1))
    assert measured(several) == pytest.approx(
        {"accuracy": 1, "f1": 1, "log_loss": 0, "roc_auc": NAN, "average_precision": NAN},
        nan_ok=True,
    )
    assert measured(replace(several, probability=None)) == pytest.approx(
        {"accuracy": 1, "f1": 1, "log_loss": NAN, "roc_auc": NAN, "average_precision": NAN},
        nan_ok=True,
    )


@pytest.mark.parametrize("answer", [math.inf, -math.inf, NAN, 1e200])
def test_an_answer_that_is_no_number_shows_in_the_metrics(answer):
    answers = np.array([1.0, answer, 3.0])
    number = measured(outcome_of("number", np.arange(3.0), answers))
    series = measured(outcome_of("series", np.ones((3, 1)), answers[:, np.newaxis]))
    for found in (number, series):
        assert not found["rmse"] < math.inf
        assert not found["mae"] < 1e100


def test_the_leading_metric_is_the_first_that_is_defined():
    leading = dict.fromkeys(("category", "truth", "multi_category"), "log_loss")
    first = {kind: metrics[0].name for kind, metrics in METRICS.items()}
    assert first == {**leading, "number": "rmse", "series": "mase"}
    codes, ahead = np.array([0, 1]), np.ones((2, 3))
    chances = {"probability": np.eye(2)}
    assert leading_metric(outcome_of("category", codes, codes, **chances)).name == "log_loss"
    assert leading_metric(outcome_of("category", codes, codes)).name == "f1"
    assert leading_metric(outcome_of("series", ahead, ahead)).name == "mae"
    with pytest.raises(ComponentError, match="no metric is defined for 'a' on these records"):
        leading_metric(outcome_of("", ahead, ahead))


def test_a_truth_value_has_two_classes():
    always_false = outcome_of("truth", np.zeros(3, int), np.zeros(3, int))
    table = {name: each.tolist() for name, each in by_class(always_false).items()}
    counts = ("support", "predicted", "right")
    assert table == {name: [3, 0] if name in counts else [1, 0] for name in table}
