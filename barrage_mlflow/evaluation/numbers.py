"""Reports on outputs of numbers and of series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.figures import baseline
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.metrics import season_of
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pictures import BLUE, GREY, RED, label_axes, new_figure
from barrage_mlflow.evaluation.report import show

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 4000
_DECILES = 10
_FORECASTS = 6
_PAST = 4
"""Times its horizon of a series' past that is shown."""
_SEED = 0


def predicted(outcome: Outcome, kept: Kept) -> Figure:
    """What is told against what is true, and how the errors are spread."""
    some = _sample(outcome, _POINTS)
    error = outcome.answer - outcome.truth
    figure, (against, spread, deciles) = new_figure(3)
    dots: dict[str, Any] = {"s": 8, "alpha": 0.4, "color": BLUE, "linewidths": 0}
    against.scatter(some.truth, some.answer, **dots)
    ends = [min(some.truth.min(), some.answer.min()), max(some.truth.max(), some.answer.max())]
    against.plot(ends, ends, color=GREY, linewidth=1, linestyle=":")
    label_axes(against, f"{outcome.name}: predicted against true", "true", "predicted")
    inner = np.quantile(error, (0.005, 0.995))
    width = max(abs(inner).max(), np.finfo(float).tiny)
    spread.hist(np.clip(error, -width, width), bins=40, color=BLUE)
    spread.axvline(0, color=GREY, linewidth=1, linestyle=":")
    label_axes(spread, "errors", "predicted − true", "records")
    _deciles(outcome, np.abs(error), deciles)
    return figure


def _deciles(outcome: Outcome, error: Array, axes: Axes) -> None:
    """The size of errors in ten parts of the records, by what is true."""
    order = np.argsort(outcome.truth, kind="stable")
    parts = [part for part in np.array_split(order, _DECILES) if len(part)]
    places = np.arange(len(parts))
    means = [np.average(error[part], weights=outcome.weight[part]) for part in parts]
    axes.bar(places, means, color=BLUE, width=0.7)
    ends = [show(float(outcome.truth[part[-1]])) for part in parts]
    axes.set_xticks(places, ends, rotation=40, ha="right")
    label_axes(axes, "mean error by what is true", "up to", "mean |error|")


def residuals(outcome: Outcome, kept: Kept) -> Figure:
    """Errors over what is predicted: a pattern in them is something the network did not learn."""
    some = _sample(outcome, _POINTS)
    figure, (axes,) = new_figure(1, width=6.5)
    error = some.answer - some.truth
    axes.scatter(some.answer, error, s=8, alpha=0.4, color=BLUE, linewidths=0)
    axes.axhline(0, color=GREY, linewidth=1, linestyle=":")
    label_axes(axes, f"{outcome.name}: residuals", "predicted", "predicted − true")
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
        title = f"record {outcome.rows[at]}, better than {100 - share:.0f} %"
        label_axes(axes, title, "step", "")
    panels[0].legend(frameon=False, fontsize=8, labelcolor="linecolor")
    return figure


def by_horizon(outcome: Outcome, kept: Kept) -> Figure:
    """The size of errors step by step, beside that of the best answer without a model."""
    plain = baseline(outcome)
    figure, (axes,) = new_figure(1, width=6.5)
    name = "mean" if outcome.past is None else f"the last {season_of(outcome)} repeated"
    steps = np.arange(1, outcome.truth.shape[1] + 1)
    for one, color, label in ((outcome, BLUE, "model"), (plain, GREY, name)):
        error = np.ma.masked_invalid(np.abs(one.answer - one.truth))
        means = np.ma.average(error, axis=0, weights=outcome.weight)
        axes.plot(steps, means, color=color, marker="o", markersize=4, label=label)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")
    label_axes(axes, f"{outcome.name}: error by horizon", "step", "mean |error|")
    return figure


def _sample(outcome: Outcome, most: int) -> Outcome:
    if len(outcome) <= most:
        return outcome
    rng = np.random.default_rng(_SEED)
    return outcome.take(np.sort(rng.choice(len(outcome), most, replace=False)))
