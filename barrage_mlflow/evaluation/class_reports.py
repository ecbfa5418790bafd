"""Reports on outputs of classes, truth values and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.metrics import by_class, one_by_one, ranking
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pages import show
from barrage_mlflow.evaluation.pictures import COLORS, GREY, label_axes, label_ticks, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CLASSES = 60
"""Classes, at most, that the picture of the confusion shows: those that are most often wrong."""
_WRITTEN = 12
"""Up to so many classes, each cell has its numbers."""
_POINTS = 500
_BINS = 10
_FEWEST = 5
"""Records in a bin; of fewer the share tells of chance alone."""
_STEPS = 19
_TINY = 1e-12
_UNIT = (-0.02, 1.02)


def per_class(outcome: Outcome, kept: Kept) -> pd.DataFrame:
    """Precision, recall and F1 of each class or label."""
    table = pd.DataFrame(by_class(outcome)).drop(columns=["predicted", "right"])
    table.insert(0, "class", [outcome.label(code) for code in table.index])
    return table


def confusion(outcome: Outcome, kept: Kept) -> Figure:
    """Which class is taken for which: how many records, and the share of the true class."""
    table = by_class(outcome)
    errors = table["support"] + table["predicted"] - 2 * table["right"]
    chosen = np.sort(np.argsort(-errors, kind="stable")[:_CLASSES])
    some = outcome.take(np.isin(outcome.truth, chosen) & np.isin(outcome.answer, chosen))
    places = [np.searchsorted(chosen, codes) for codes in (some.truth, some.answer)]
    matrix = np.zeros((len(chosen), len(chosen)))
    np.add.at(matrix, tuple(places), some.weight)
    names = [outcome.label(code) for code in chosen.tolist()]
    shares = matrix / np.maximum(table["support"][chosen, np.newaxis], _TINY)
    size = min(9.0, max(4.2, 1.8 + 0.6 * len(names)))
    figure, (axes,) = new_figure(1, size, size * 0.85)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.grid(visible=False)
    label_axes(axes, "answer", f"true {outcome.name}")
    label_ticks(axes, names, also_x=True)
    for (row, column), share in np.ndenumerate(shares) if len(names) <= _WRITTEN else ():
        text = f"{show(int(matrix[row, column]))}\n{share:.0%}" if share else "0"
        color = "white" if share > 0.5 else "#374151"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    return figure


def curves(outcome: Outcome, kept: Kept) -> Figure | str | None:
    """ROC and precision–recall, of the network's probabilities."""
    if outcome.probability is None:
        return None
    figure, (roc, precision) = new_figure(2)
    for color, (name, truth, probability) in zip(COLORS, one_by_one(outcome), strict=False):
        _, true, false = ranking(truth, probability, outcome.weight)
        if not (true[-1] > 0 and false[-1] > 0):
            continue
        at = np.unique(np.linspace(0, len(true) - 1, _POINTS).astype(int))
        recall, false_positive = true[at] / true[-1], false[at] / false[-1]
        line: dict[str, Any] = {"color": color, "linewidth": 1.6, "label": name}
        roc.plot([0, *false_positive], [0, *recall], **line)
        precision.plot(recall, true[at] / np.maximum(true[at] + false[at], _TINY), **line)
    if not roc.lines:
        return "There are no curves: all records are of one class."
    label_axes(roc, "false positive rate", "true positive rate", "ROC")
    label_axes(precision, "recall", "precision", "precision–recall")
    precision.set(xlim=_UNIT, ylim=_UNIT)
    _finish(roc, outcome)
    return figure


def calibration(outcome: Outcome, kept: Kept) -> Figure | None:
    """How often a predicted probability comes true, where there are enough records to tell."""
    if outcome.probability is None:
        return None
    figure, (axes, below) = new_figure(2)
    for color, (name, truth, probability) in zip(COLORS, one_by_one(outcome), strict=False):
        bins = np.minimum((probability * _BINS).astype(int), _BINS - 1)
        count, weight = (np.bincount(bins, each, _BINS) for each in (None, outcome.weight))
        told = (count >= min(_FEWEST, count.max())) & (weight > _TINY)
        sums = (np.bincount(bins, outcome.weight * each, _BINS) for each in (probability, truth))
        mean, share = (each[told] / weight[told] for each in sums)
        axes.plot(mean, share, marker="o", markersize=4, color=color, label=name)
    label_axes(axes, "probability", f"share of {outcome.name} that is true")
    _finish(axes, outcome)
    below.hist(outcome.probability.ravel(), bins=2 * _BINS, range=(0, 1), color=COLORS[0])
    label_axes(below, "probability", "times", "how often a probability is given")
    return figure


def _finish(axes: Axes, outcome: Outcome) -> None:
    """Draw the diagonal of a panel of shares, and name the classes."""
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    axes.set(xlim=_UNIT, ylim=_UNIT)
    if outcome.type != "truth":
        axes.legend(frameon=False, fontsize=8, labelcolor="linecolor")


def thresholds(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """What comes of other thresholds than that of the answer."""
    if outcome.probability is None:
        return None
    given, true, false = ranking(outcome.truth, outcome.probability, outcome.weight)
    steps = np.arange(1, _STEPS + 1) / (_STEPS + 1)
    above = np.searchsorted(-given, -steps, "right")
    right, wrong = (np.append(0.0, each)[above] for each in (true, false))
    figures = {
        "precision": right / np.maximum(right + wrong, _TINY),
        "recall": right / max(true[-1], _TINY),
        "f1": 2 * right / np.maximum(right + wrong + true[-1], _TINY),
    }
    return pd.DataFrame({"threshold": steps, **figures, "predicted": right + wrong})


def recommended_threshold(outcome: Outcome, kept: Kept) -> str | None:
    """The line that sets the threshold with the best F1; nothing is set."""
    table = thresholds(outcome, kept)
    if table is None:
        return None
    now = float(by_class(outcome)["f1"][1])
    best = table.iloc[int(table["f1"].to_numpy().argmax())]
    threshold, f1 = float(best["threshold"]), float(best["f1"])
    if f1 <= now + _TINY:
        return None
    return (
        f"With the threshold {threshold:.2f}, F1 on these records is {f1:.4g} instead of "
        f"{now:.4g}; on other records it may gain less. Nothing is set: ask for it with "
        f'`params: {{"threshold": {threshold:.2f}}}` in a request, or with '
        f"`barrage-mlflow predict … --param threshold={threshold:.2f}`."
    )
