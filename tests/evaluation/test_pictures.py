"""Pictures: what they leave out, and how their axes are named."""

import numpy as np
import pytest
from answers import outcome_of

from barrage_mlflow.evaluation import class_reports
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.pictures import label_axes, new_figure


@pytest.mark.parametrize(
    ("given", "x", "y"),
    [
        # five records tell of a probability, a single one does not
        ([0.15] * 5 + [0.95], [0.15], [0.2]),
        # of so few records each counts
        ([0.15, 0.95], [0.15, 0.95], [1, 0]),
    ],
)
def test_a_probability_that_few_records_were_given_is_not_judged(given, x, y):
    truth, probability = np.arange(len(given)) == 0, np.array(given)
    outcome = outcome_of("truth", truth, probability > 0.5, probability=probability)
    shares = class_reports.calibration(outcome, Kept([], 0)).axes[0].lines[0]
    assert shares.get_xdata() == pytest.approx(x)
    assert shares.get_ydata() == pytest.approx(y)


def test_a_long_name_of_an_axis_is_cut_and_no_mathematics():
    figure, (axes,) = new_figure()
    label_axes(axes, "a $x^2$ b", "true " + 60 * "y")
    figure.draw_without_rendering()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("a $x^2$ b", "true " + 44 * "y" + "…")
    assert not axes.xaxis.label.get_parse_math()
