"""Figures: baselines by hand, what is degenerate, and intervals that hold what they promise."""

import math
from dataclasses import replace

import numpy as np
import pytest
from answers import outcome_of

from barrage_mlflow.evaluation import figures
from barrage_mlflow.evaluation.figures import baseline, bootstrap, figures_of, interval
from barrage_mlflow.evaluation.metrics import METRICS, accuracy, mae

NAN = math.nan


def baseline_of(outcome):
    plain = baseline(outcome)
    given = plain.probability
    return plain.answer.tolist(), None if given is None else given.tolist()


def test_baseline_of_each_type():
    weight = [1, 1, 2, 0]
    one = outcome_of("category", [1, 1, 2, 0], [0] * 4, weight, probability=np.ones((4, 4)) / 4)
    # Two classes weigh the same: the first of them is answered.
    assert baseline_of(one) == ([1] * 4, [[0, 0.5, 0.5, 0]] * 4)
    yes = outcome_of("truth", [0, 0, 1, 0], [0] * 4, weight, probability=np.zeros(4))
    assert baseline_of(yes) == ([1] * 4, [0.5] * 4)
    several = [[True, False], [True, False], [False, True], [False, True]]
    labels = outcome_of(
        "multi_category", several, several, [3, 1, 1, 0], probability=np.ones((4, 2))
    )
    assert baseline_of(labels) == ([[True, False]] * 4, [[0.8, 0.2]] * 4)
    number = outcome_of("number", [1.0, 2.0, 3.0, 100.0], [0.0] * 4, weight)
    assert baseline_of(number) == ([2.25] * 4, None)
    ahead = [[1.0, 2.0, 3.0], [3.0, 4.0, 6.0]]
    unseen = outcome_of("series", ahead, ahead, [1, 3])
    assert baseline_of(unseen) == ([[2.5, 3.5, 5.25]] * 2, None)
    past = np.array([[1, 5, 1, 5, 1, 5], [2, 6, 2, NAN, 2, NAN]])
    seasonal = outcome_of("series", ahead, ahead, past=past)
    assert baseline_of(seasonal) == ([[1, 5, 1], [2, 2, 2]], None)
    gap = outcome_of("series", ahead, ahead, past=np.full((2, 6), NAN))
    assert baseline_of(gap) == ([[3 + 1 / 6] * 3] * 2, None)


def test_figures_are_the_metrics_beside_those_of_the_baseline():
    outcome = outcome_of("number", [1.0, 2.0, 3.0, 6.0], [1.0, 2.0, 4.0, 5.0])
    found = figures_of(outcome)
    plain = baseline(outcome)
    for metric in METRICS["number"]:
        values = [metric.measure(drawn) for drawn in bootstrap(outcome)]
        low, high = interval(found[metric.name].value, values, 4)
        high = min(high, 1) if metric.best == "high" else high
        assert found[metric.name] == (metric.measure(outcome), low, high, metric.measure(plain))
    assert found["mae"].value == 0.5
    assert found["mae"].baseline == 1.5
    assert found["r2"].baseline == 0
    assert found == figures_of(outcome)


def test_what_is_degenerate_gives_numbers_or_nan(monkeypatch):
    monkeypatch.setattr(figures, "_DRAWS", 20)
    rng = np.random.default_rng(0)

    def outcomes(size, classes=3):
        truth = rng.integers(classes, size=size)
        p = rng.dirichlet(np.ones(classes), size).astype("float32")
        numbers, ahead = rng.normal(size=size), rng.normal(size=(size, 4))
        yield outcome_of("category", truth, p.argmax(axis=1), probability=p)
        yield outcome_of("category", truth, p.argmax(axis=1))
        yield outcome_of("category", truth * 0, p.argmax(axis=1), probability=p)
        yield outcome_of("truth", truth % 2, truth % 2, probability=p[:, 0])
        yield outcome_of("truth", truth * 0, truth * 0)
        yield outcome_of("multi_category", p > 0.3, p > 0.5, probability=p)
        yield outcome_of("multi_category", p > 2, p > 2)
        yield outcome_of("number", numbers, numbers + 1)
        yield outcome_of("number", numbers * 0 + 0.1, numbers)
        yield outcome_of("number", numbers, numbers + math.inf)
        yield outcome_of("number", numbers, numbers * NAN)
        yield outcome_of("series", ahead, ahead + 1, past=ahead)
        yield outcome_of("series", ahead, ahead + 1, past=ahead[:, :1])
        yield outcome_of("series", ahead, ahead + math.inf, past=ahead * NAN)
        yield outcome_of("series", ahead, ahead + 1)
        yield outcome_of("", rng.random((size, 2, 2)), rng.random((size, 2, 3)))

    sets = {size: list(outcomes(size)) for size in (0, 1, 2, 50)}
    sets[1000] = list(outcomes(1000, classes=1000))[:2]
    for size, each in sets.items():
        for outcome in each:
            found = figures_of(outcome)
            assert list(found) == [metric.name for metric in METRICS.get(outcome.type, ())]
            for figure in found.values():
                assert all(isinstance(value, float) for value in figure)
                assert size or all(map(math.isnan, figure))
                assert size > 1 or math.isnan(figure.low)
                assert math.isnan(figure.low) or figure.low <= figure.value <= figure.high


def test_intervals_cover_what_is_true_of_all_records(monkeypatch):
    monkeypatch.setattr(figures, "_DRAWS", 100)
    rng, size, sets = np.random.default_rng(1), 200, 200
    covered = {"accuracy": 0, "mae": 0}
    for _ in range(sets):
        right = (rng.random(size) < 0.8).astype(int)
        classes = outcome_of("truth", np.ones(size, int), right)
        numbers = outcome_of("number", np.zeros(size), rng.normal(size=size))
        truths = {"accuracy": 0.8, "mae": math.sqrt(2 / math.pi)}
        for outcome, measure in ((classes, accuracy), (numbers, mae)):
            low, high = interval(measure(outcome), list(map(measure, bootstrap(outcome))), size)
            covered[measure.__name__] += low <= truths[measure.__name__] <= high
    assert all(0.9 * sets <= count <= 0.99 * sets for count in covered.values()), covered


def test_intervals_end_where_a_metric_does():
    right = np.ones(50, int)
    right[0] = 0
    figure = figures_of(outcome_of("truth", np.ones(50, int), right))["accuracy"]
    assert 0.9 < figure.low < figure.value == 0.98 < 0.999 < figure.high <= 1


def test_intervals_hold_the_value_also_of_many_records_and_what_is_rare():
    rng, size, classes = np.random.default_rng(3), 40_000, 500
    truth = rng.integers(classes, size=size)
    answer = np.where(rng.random(size) < 0.7, truth, rng.integers(classes, size=size))
    many = outcome_of("category", truth, answer)
    rare = (rng.random(size) < 0.002).astype(int)
    p = np.clip(0.3 * rare + 0.7 * rng.random(size), 0, 1)
    for outcome in (many, outcome_of("truth", rare, (p > 0.6).astype(int), probability=p)):
        for name, figure in figures_of(outcome).items():
            if name != "log_loss" and not math.isnan(figure.low):
                assert 0 <= figure.low <= figure.value <= figure.high <= 1, name
    f1 = figures_of(many)["f1"]
    assert 0 < f1.high - f1.low < 0.02


def test_intervals_of_outputs_of_steps_are_by_record():
    rng = np.random.default_rng(4)
    right = (rng.random(100) < 0.7).astype(int)
    one = figures_of(outcome_of("truth", np.ones(100, int), right))["accuracy"]
    for steps in (3, 50):
        rows = np.repeat(np.arange(100), steps)
        tokens = outcome_of("truth", np.ones(len(rows), int), right[rows])
        several = figures_of(replace(tokens, rows=rows))["accuracy"]
        assert several == pytest.approx(one)
    uneven = replace(tokens, rows=np.sort(rng.integers(100, size=len(rows))))
    assert all(len(np.unique(drawn.rows)) < 75 for drawn in bootstrap(uneven))


def test_intervals_of_more_records_are_narrower_by_the_root():
    errors = np.random.default_rng(2).normal(size=100_000)
    widths = []
    for size in (1_000, 100_000):
        figure = figures_of(outcome_of("number", np.zeros(size), errors[:size]))["mae"]
        assert figure.low < figure.value < figure.high
        widths.append(figure.high - figure.low)
    assert 8 < widths[0] / widths[1] < 12.5
