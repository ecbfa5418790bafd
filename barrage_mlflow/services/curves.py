"""Draws the learning curves of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
"""Room around the axes for their labels, in inches: matplotlib takes twice as long to find it."""
_DPI = 144
_TRAIN_COLOR, _VALIDATION_COLOR, _PLAIN_COLOR = "#2a6f97", "#d1495b", "#52616b"
_MUTED = "#6b7280"
_MARKED_EPOCHS = 30
"""Up to so many epochs, each one has its dot."""


def write_learning_curves(history: History, path: Path) -> None:
    """Draw each metric over the epochs as a PNG, train against validation, a panel each.

    The learning rate comes last. Where a value is NaN or infinite the line has a gap.
    Without any epoch nothing is written.

    Args:
        history: the metrics of every epoch.
        path: the PNG file.

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
    lines = -(-len(metrics) // columns)
    width, height = _WIDTH * columns, _HEIGHT * lines
    room = {
        "left": _LEFT / width,
        "right": 1 - _RIGHT / width,
        "bottom": _BOTTOM / height,
        "top": 1 - _TOP / height,
        "wspace": (_LEFT + _RIGHT) / (_WIDTH - _LEFT - _RIGHT),
        "hspace": (_BOTTOM + _TOP) / (_HEIGHT - _BOTTOM - _TOP),
    }
    figure = Figure(figsize=(width, height))
    panels = list(figure.subplots(lines, columns, squeeze=False, gridspec_kw=room).flat)
    for panel, metric in zip(panels, metrics, strict=False):
        _draw(panel, metric, epochs)
    for panel in panels[len(metrics) :]:
        panel.set_axis_off()
    with written_whole(path) as partial:
        FigureCanvasAgg(figure).print_figure(partial, dpi=_DPI, facecolor="white", format="png")


def _metrics(epochs: Sequence[Epoch]) -> list[str]:
    """Names of the panels: the loss first, the learning rate last."""
    names = {name.removeprefix(_VALIDATION) for epoch in epochs for name in epoch.metrics}
    rank = {"loss": -1, _LEARNING_RATE: 1}
    return sorted(names, key=lambda name: (rank.get(name, 0), name))


def _draw(axes: Axes, metric: str, epochs: Sequence[Epoch]) -> None:
    from matplotlib.ticker import MaxNLocator

    paired = any(_VALIDATION + metric in epoch.metrics for epoch in epochs)
    series = [
        (metric, "train", _TRAIN_COLOR if paired else _PLAIN_COLOR, 3),
        (_VALIDATION + metric, "validation", _VALIDATION_COLOR, 2),
    ]
    for name, label, color, order in series:
        axes.plot(
            [epoch.step for epoch in epochs],
            _finite(epochs, name),
            color=color,
            linewidth=1.8,
            marker="o" if len(epochs) <= _MARKED_EPOCHS else "",
            markersize=3.5,
            drawstyle="steps-mid" if metric == _LEARNING_RATE else "default",
            label=label,
            zorder=order,
        )
    if paired:
        axes.legend(frameon=False, fontsize=9, labelcolor="linecolor")
    if metric == _LEARNING_RATE:
        _scale_learning_rate(axes, _finite(epochs, metric))
    axes.set_title(metric, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    axes.set_xlabel("epoch", fontsize=9, color=_MUTED)
    room = max(0.5, 0.02 * len(epochs))
    axes.set_xlim(epochs[0].step - min(room, 0.9), epochs[-1].step + room)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=_MUTED, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#c7ccd3")


def _finite(epochs: Sequence[Epoch], name: str) -> list[float]:
    values = [epoch.metrics.get(name, math.nan) for epoch in epochs]
    return [value if math.isfinite(value) else math.nan for value in values]


def _scale_learning_rate(axes: Axes, values: list[float]) -> None:
    """Take a logarithmic axis where the rate crosses decades, else one from zero up."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) >= 10 * min(positive):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
        axes.yaxis.get_offset_text().set(fontsize=9, color=_MUTED)
