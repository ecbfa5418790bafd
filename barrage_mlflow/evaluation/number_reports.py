"""Reports on outputs of numbers and of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.evaluation.figures import baseline
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.metrics import season_of
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pictures import BLUE, GREY, RED, draw_tenths, label_axes, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GUIDE: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": ":"}
_POINTS = 4000
_FORECASTS = 6
_PAST = 4
"""Times its horizon of a series' past that is shown."""


def predicted(outcome: Outcome, kept: Kept) -> Figure:
    """What is predicted over what is true, the errors over what is predicted, and their sizes.

    A pattern in the errors is something the network did not learn.
    """
    sample = outcome.take(np.arange(0, len(outcome), 1 + len(outcome) // _POINTS))
    error = outcome.answer - outcome.truth
    figure, (against, residuals, spread, sizes) = new_figure(4, columns=2)
    dots: dict[str, Any] = {"s": 8, "alpha": 0.4, "color": BLUE, "linewidths": 0}
    against.scatter(sample.truth, sample.answer, **dots)
    both = np.append(sample.truth, sample.answer)
    ends = [both.min(), both.max()]
    against.plot(ends, ends, **_GUIDE)
    label_axes(against, f"true {outcome.name}", f"predicted {outcome.name}")
    residuals.scatter(sample.answer, sample.answer - sample.truth, **dots)
    residuals.axhline(0, **_GUIDE)
    label_axes(residuals, f"predicted {outcome.name}", "predicted − true", "residuals")
    width = max(abs(np.quantile(error, (0.005, 0.995))).max(), np.finfo(float).tiny)
    spread.hist(np.clip(error, -width, width), bins=40, color=BLUE)
    spread.axvline(0, **_GUIDE)
    spread.locator_params("x", nbins=6)
    label_axes(spread, "predicted − true", "records", "errors")
    draw_tenths(sizes, outcome.truth, np.abs(error), outcome.weight)
    label_axes(sizes, f"true {outcome.name}, up to", "mean |error|", "errors by what is true")
    return figure


def forecasts(outcome: Outcome, kept: Kept) -> Figure:
    """Six forecasts, evenly over the errors from the best to the worst."""
    error = np.nanmean(np.abs(outcome.answer - outcome.truth), axis=1)
    ranked = np.argsort(error, kind="stable")
    chosen = np.unique(np.linspace(0, len(ranked) - 1, min(_FORECASTS, len(ranked))).astype(int))
    figure, panels = new_figure(len(chosen), height=2.9)
    steps = np.arange(1, outcome.truth.shape[1] + 1)
    for place, (axes, at) in enumerate(zip(panels, ranked[chosen], strict=True)):
        if outcome.past is not None:
            past = outcome.past[at][-_PAST * len(steps) :]
            axes.plot(np.arange(1 - len(past), 1), past, color=GREY, linewidth=1.2)
        axes.plot(steps, outcome.truth[at], color=BLUE, marker=".", label="true")
        axes.plot(steps, outcome.answer[at], color=RED, marker=".", label="forecast")
        share = 100 * chosen[place] / max(1, len(ranked) - 1)
        title = f"record {outcome.rows[at]}: error above {share:.0f} % of the others"
        label_axes(axes, "step", "", title)
    panels[0].legend(frameon=False, fontsize=8, labelcolor="linecolor")
    return figure


def by_horizon(outcome: Outcome, kept: Kept) -> Figure:
    """The size of errors step by step, beside that of the baseline."""
    figure, (axes,) = new_figure(1, width=6.5)
    name = "mean" if outcome.past is None else f"the last {season_of(outcome)} repeated"
    steps = np.arange(1, outcome.truth.shape[1] + 1)
    for one, color, label in ((outcome, BLUE, "model"), (baseline(outcome), GREY, name)):
        error = np.ma.masked_invalid(np.abs(one.answer - one.truth))
        means = np.ma.average(error, axis=0, weights=outcome.weight)
        axes.plot(steps, means, color=color, marker="o", markersize=4, label=label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")
    label_axes(axes, "step", f"mean |error| of {outcome.name}")
    return figure
