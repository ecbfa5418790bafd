"""Reports on outputs of classes, truth values and labels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.metrics import by_class, counts, one_by_one, ranking
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pictures import (
    BLUE,
    COLORS,
    GREY,
    label_axes,
    label_ticks,
    new_figure,
)
from barrage_mlflow.evaluation.report import show

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_CLASSES = 60
"""Classes, at most, that the picture of the confusion shows: those that are most often wrong."""
_WRITTEN = 12
"""Up to so many classes, each cell has its number."""
_POINTS = 500
_BINS = 10
_STEPS = 19


def per_class(outcome: Outcome, kept: Kept) -> pd.DataFrame:
    """Precision, recall and F1 of each class or label."""
    import pandas as pd

    table = by_class(outcome)
    names = [outcome.label(code) for code in range(len(table["support"]))]
    return pd.DataFrame({"class": names, **table}).drop(columns="predicted")


def confusion(outcome: Outcome, kept: Kept) -> Figure:
    """Which class is taken for which: how many records, and the share of each class."""
    matrix = counts(outcome)
    chosen = np.arange(len(matrix))
    if len(matrix) > _CLASSES:
        wrong = matrix.sum(axis=0) + matrix.sum(axis=1) - 2 * matrix.diagonal()
        chosen = np.sort(np.argsort(-wrong, kind="stable")[:_CLASSES])
        matrix = matrix[np.ix_(chosen, chosen)]
    names = [outcome.label(int(code)) for code in chosen]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-12)
    size = min(9.0, max(4.2, 1.8 + 0.5 * len(names)))
    figure, panels = new_figure(2, size, size * 0.85)
    for axes, shown, title in zip(panels, (matrix, shares), ("records", "share"), strict=True):
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.grid(visible=False)
        label_axes(axes, f"{outcome.name}: {title}", "answer", "true")
        label_ticks(axes, names)
        if len(names) <= _WRITTEN:
            for (true, told), value in np.ndenumerate(shown):
                text = show(int(value)) if title == "records" else f"{value:.2f}"
                color = "white" if shares[true, told] > 0.5 else "#374151"
                axes.text(told, true, text, ha="center", va="center", color=color, fontsize=9)
    return figure


def curves(outcome: Outcome, kept: Kept) -> Figure | str | None:
    """ROC and precision over recall, of the network's probabilities."""
    if outcome.probability is None:
        return None
    figure, (roc, precision) = new_figure(2)
    drawn = 0
    for color, (name, truth, chance) in zip(COLORS, one_by_one(outcome), strict=False):
        _, true, false = ranking(truth, chance, outcome.weight)
        if not (true[-1] > 0 and false[-1] > 0):
            continue
        at = np.unique(np.linspace(0, len(true) - 1, _POINTS).astype(int))
        recall, fall_out = true[at] / true[-1], false[at] / false[-1]
        precise = true[at] / np.maximum(true[at] + false[at], 1e-12)
        line: dict[str, Any] = {"color": color, "linewidth": 1.6, "label": name}
        roc.plot([0, *fall_out], [0, *recall], **line)
        precision.plot(recall, precise, **line)
        drawn += 1
    if not drawn:
        return "There are no curves: all records are of one class."
    roc.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    label_axes(roc, f"{outcome.name}: ROC", "share of the others that is told", "recall")
    label_axes(precision, f"{outcome.name}: precision over recall", "recall", "precision")
    for axes in (roc, precision):
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    if outcome.type != "truth":
        roc.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    return figure


def calibration(outcome: Outcome, kept: Kept) -> Figure | None:
    """How often it is true what has a probability."""
    if outcome.probability is None:
        return None
    figure, (axes, below) = new_figure(2)
    every = []
    for color, (name, truth, chance) in zip(COLORS, one_by_one(outcome), strict=False):
        every.append(chance)
        places = np.minimum((chance * _BINS).astype(int), _BINS - 1)
        weight = np.bincount(places, outcome.weight, _BINS)
        there = weight > 0
        mean = np.bincount(places, outcome.weight * chance, _BINS)[there] / weight[there]
        true = np.bincount(places, outcome.weight * truth, _BINS)[there] / weight[there]
        axes.plot(mean, true, marker="o", markersize=4, color=color, label=name)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    label_axes(axes, f"{outcome.name}: calibration", "probability", "share that is true")
    if outcome.type != "truth":
        axes.legend(frameon=False, fontsize=8, labelcolor="linecolor")
    below.hist(np.concatenate(every), bins=2 * _BINS, range=(0, 1), color=BLUE)
    label_axes(below, "how often a probability is given", "probability", "times")
    return figure


def thresholds(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """What comes of other thresholds than that of the answer."""
    import pandas as pd

    if outcome.probability is None:
        return None
    rows = []
    for threshold in np.arange(1, _STEPS + 1) / (_STEPS + 1):
        told = replace(outcome, answer=(outcome.probability >= threshold).astype(int))
        of_true = {name: of_class[1] for name, of_class in by_class(told).items()}
        rows.append({"threshold": threshold, **of_true})
    return pd.DataFrame(rows).drop(columns="support")


def recommended_threshold(outcome: Outcome, kept: Kept) -> str | None:
    """The line that sets the threshold with the best F1; nothing is set."""
    table = thresholds(outcome, kept)
    if table is None:
        return None
    best, now = int(table["f1"].to_numpy().argmax()), float(by_class(outcome)["f1"][1])
    f1, threshold = float(table["f1"].iloc[best]), float(table["threshold"].iloc[best])
    if f1 <= now or math.isclose(f1, now):
        return None
    return (
        f"With the threshold {threshold:.2f}, F1 is {f1:.4g} instead of {now:.4g}. Nothing is set: "
        f'ask for it with `params: {{"threshold": {threshold:.2f}}}` in a request, or with '
        f"`barrage-mlflow predict … --param threshold={threshold:.2f}`."
    )
