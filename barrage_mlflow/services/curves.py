"""Draws the learning curves of a training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from barrage_mlflow.files import written_whole
from barrage_mlflow.workspace.history import Epoch, History

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VALIDATION = "val_"
_LEARNING_RATE = "learning_rate"
_COLUMNS = 3
_WIDTH, _HEIGHT = 4.4, 3.1
"""Of a panel with the room around its axes, in inches."""
_LEFT, _RIGHT, _BOTTOM, _TOP = 0.68, 0.14, 0.5, 0.44
"""Room around the axes for their labels, in inches: matplotlib takes longer to find it."""
_DPI = 144
_TRAIN_COLOR, _VALIDATION_COLOR, _PLAIN_COLOR = "#0072b2", "#d55e00", "#52616b"
_MUTED = "#6b7280"
_MARKED_EPOCHS = 30
"""Up to so many epochs, each one has its dot."""


def write_learning_curves(history: History, path: Path, best: Mapping[str, str] = {}) -> None:
    """Draw each metric over the epochs as a PNG, train against validation, a panel each.

    The learning rate comes last. Where a value is NaN or infinite the line has a gap.
    Without any epoch nothing is written.

    Args:
        history: the metrics of every epoch.
        path: the PNG file.
        best: the ``monitor`` that is best, by its ``mode``, in the epoch that is marked.

    Raises:
        OSError: the picture cannot be written.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     history = History(Path(folder, "metrics.jsonl"))
        ...     history.add(1, {"loss": 0.9, "val_loss": 1.0})
        ...     path = Path(folder, "curves.png")
        ...     write_learning_curves(history, path)
        ...     path.read_bytes()[1:4]
        b'PNG'
    """
    epochs = history.epochs()
    if not epochs:
        return
    # Figure and canvas without pyplot: no window system, no state shared with the caller's own
    # figures, and nothing of it imported until a picture is drawn.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    metrics = _metrics(epochs)
    columns = 2 if len(metrics) == 4 else min(_COLUMNS, len(metrics))
    lines = math.ceil(len(metrics) / columns)
    width, height = _WIDTH * columns, _HEIGHT * lines
    figure = Figure(figsize=(width, height))
    size = (_WIDTH - _LEFT - _RIGHT) / width, (_HEIGHT - _BOTTOM - _TOP) / height
    for place, metric in enumerate(metrics):
        line, column = divmod(place, columns)
        corner = (column * _WIDTH + _LEFT) / width, 1 - ((line + 1) * _HEIGHT - _BOTTOM) / height
        axes = figure.add_axes((*corner, *size))
        _draw(axes, metric, epochs)
        if (step := _best_step(epochs, best)) is not None:
            axes.axvline(step, color=_MUTED, linewidth=0.9, linestyle=":", zorder=0)
    with written_whole(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        FigureCanvasAgg(figure).print_figure(partial, dpi=_DPI, facecolor="white", format="png")


def _metrics(epochs: Sequence[Epoch]) -> list[str]:
    """Names of the panels: the loss first, the learning rate last."""
    names = {name.removeprefix(_VALIDATION) for epoch in epochs for name in epoch.metrics}
    rank = {"loss": -1, _LEARNING_RATE: 1}
    return sorted(names, key=lambda name: (rank.get(name, 0), name))


def _best_step(epochs: Sequence[Epoch], best: Mapping[str, str]) -> int | None:
    """The first epoch in which the monitor was best."""
    values = {epoch.step: epoch.metrics.get(best.get("monitor", ""), math.nan) for epoch in epochs}
    known = [step for step, value in values.items() if not math.isnan(value)]
    choose = min if best.get("mode") == "min" else max
    return choose(known, key=values.__getitem__, default=None)


def _draw(axes: Axes, metric: str, epochs: Sequence[Epoch]) -> None:
    from matplotlib.ticker import MaxNLocator

    paired = any(_VALIDATION + metric in epoch.metrics for epoch in epochs)
    series = [
        (_VALIDATION + metric, "validation", _VALIDATION_COLOR),
        (metric, "train", _TRAIN_COLOR if paired else _PLAIN_COLOR),
    ]
    steps = [epoch.step for epoch in epochs]
    marker = "o" if len(epochs) <= _MARKED_EPOCHS else ""
    for name, label, color in series:
        values = [epoch.metrics.get(name, math.nan) for epoch in epochs]
        axes.plot(steps, values, marker=marker, color=color, markersize=3.5, label=label)
    if paired:
        axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")
    if metric == _LEARNING_RATE and min(values) > 0:
        axes.set_yscale("log")
    axes.set_title(metric, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    axes.set_xlabel("epoch", fontsize=9, color=_MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.tick_params(which="both", colors=_MUTED, labelsize=9, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
