"""Two models beside each other: on the same records, by one measure, or not at all."""

from dataclasses import replace

import numpy as np
import pytest
from answers import outcome_of

from barrage_mlflow import PromotionError
from barrage_mlflow.evaluation.compare import compare
from barrage_mlflow.evaluation.figures import figures_of


def test_records_that_both_judge_are_compared():
    truth = np.arange(60.0)
    ours = outcome_of("number", truth, truth + 1)
    theirs = outcome_of(
        "number", truth[20:], truth[20:] + np.arange(40) % 2, rows=np.arange(20, 60)
    )
    found = compare(ours, theirs)
    assert [*found] == [*figures_of(ours)]
    assert found["mae"][:2] == (1, 0.5)
    assert 0.3 < found["mae"].low < 0.5 < found["mae"].high < 0.7
    swapped = compare(theirs, ours)["mae"]
    assert swapped == pytest.approx((0.5, 1, -found["mae"].high, -found["mae"].low))
    assert compare(ours, replace(theirs, rows=theirs.rows + 100)) == {}


def test_records_of_several_steps():
    truth, rows = np.ones(150, int), np.repeat(np.arange(50), 3)
    right = (np.arange(50) % 5 > 0).astype(int)[rows]
    ours = outcome_of("truth", truth, right, rows=rows)
    theirs = outcome_of("truth", truth, truth, rows=rows)
    found = compare(ours, theirs.take(theirs.rows > 9))["accuracy"]
    assert found[:2] == (0.8, 1)
    once = compare(ours.take(slice(30, None, 3)), theirs.take(slice(30, None, 3)))["accuracy"]
    assert found == pytest.approx(once)


def test_forecasts_are_judged_by_one_past_and_one_season():
    rng = np.random.default_rng(0)
    series = rng.normal(size=(60, 63))
    past, ahead = series[:, :56], series[:, 56:]
    ours = outcome_of("series", ahead, ahead + 1, past=past, season=7)
    found = compare(ours, replace(ours, past=past[:, -14:], season=1))
    assert found["mase"][0] == found["mase"][1] == pytest.approx(figures_of(ours)["mase"].value)
    assert found["mase"][2:] == (0, 0)
    # The n-th window is another one.
    other = replace(ours, truth=ahead[::-1], past=past[::-1, -14:])
    with pytest.raises(PromotionError, match="only where history, horizon and step are the same"):
        compare(ours, other)


@pytest.mark.parametrize(
    ("theirs", "differs"),
    [
        (outcome_of("number", [1.0, 2.0, 3200.0], [0.0] * 3), "record 2: 3.2 and 3200.0"),
        (outcome_of("series", [[1.0], [2.0], [3.2]], [[0.0]] * 3), "types 'number' and 'series'"),
        (outcome_of("number", [[1.0], [2.0], [3.2]], [[0.0]] * 3), r"shapes \(3,\) and \(3, 1\)"),
    ],
)
def test_what_cannot_be_compared_is_said(theirs, differs):
    ours = outcome_of("number", [1.0, 2.0, 3.2], [0.0] * 3)
    words = f"give different targets for the same records .*{differs}.; have the transformer's"
    with pytest.raises(PromotionError, match=words):
        compare(ours, theirs)


def test_classes_are_compared_by_their_names():
    ours = outcome_of("category", [0, 1, 1], [0, 1, 0], labels=["cat", "dog"])
    theirs = outcome_of("category", [1, 2, 2], [1, 2, 2], labels=["bat", "cat", "dog"])
    assert compare(ours, theirs)["accuracy"][:2] == (2 / 3, 1)
    with pytest.raises(PromotionError, match="record 0: 'cat' and 'bat'"):
        compare(ours, replace(theirs, truth=np.array([0, 2, 2])))
    both = [[True, False], [False, True]]
    several = outcome_of("multi_category", both, both, labels=["a", "b"])
    with pytest.raises(PromotionError, match="of other labels"):
        compare(several, replace(several, labels=["b", "a"]))
