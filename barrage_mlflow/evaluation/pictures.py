"""How pictures look, and how they are written: matplotlib without a window or shared state."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.types import Array
from barrage_mlflow.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, GREY = "#0072b2", "#d55e00", "#9ca3af"
COLORS = (BLUE, RED, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5b3a8e", "#333333")
"""Those of Okabe and Ito, which are told apart also by who does not see red or green."""
MUTED = "#6b7280"
_DPI = 110
_LABEL, _TICK = 50, 24
"""Characters in the name of an axis, and of a place on it, at most."""
_TICKS = 30
"""Names along an axis, at most."""


def new_figure(
    panels: int = 1, width: float = 4.6, height: float = 3.6, columns: int = 3
) -> tuple[Figure, list[Axes]]:
    """A figure with some panels of so many inches, in rows of at most so many.

    Example:
        >>> figure, axes = new_figure(2)
        >>> len(axes)
        2
    """
    from matplotlib.figure import Figure

    across = min(panels, columns)
    down = -(-panels // across)
    figure = Figure(figsize=(width * across, height * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel().tolist()
    for axes in grid[panels:]:
        axes.set_visible(False)
    for axes in grid[:panels]:
        axes.grid(color="#e5e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(which="both", colors=MUTED, labelsize=9, length=0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color("#d1d5db")
    return figure, grid[:panels]


def label_axes(axes: Axes, x: str, y: str, panel: str = "") -> None:
    """Name axes, and a panel that the file's name does not; taken as text, not as mathematics."""
    axes.set_title(panel, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    for name, label in ((x, axes.set_xlabel), (y, axes.set_ylabel)):
        label(shortened(name, _LABEL), fontsize=9, color=MUTED, parse_math=False)


def label_ticks(axes: Axes, names: list[str], also_x: bool = False) -> None:
    """Name the places 0, 1, … of the y axis; of many, some."""
    stride = -(-len(names) // _TICKS)
    places = [*range(0, len(names), stride)]
    shown = [shortened(name, _TICK) for name in names[::stride]]
    if also_x:
        is_long = max(map(len, shown), default=0) * len(shown) > 40
        turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(places, shown, parse_math=False, **(turned if is_long else {}))
    axes.set_yticks(places, shown, parse_math=False)


def shortened(text: str, most: int) -> str:
    """A text of so many characters at most.

    Example:
        >>> shortened("flipper", 7), shortened("flippers", 7)
        ('flipper', 'flippe…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_tenths(axes: Axes, x: Array, y: Array, weight: Array) -> None:
    """Bars: the mean of ``y (records,)`` in each tenth of the records by ``x (records,)``."""
    tenths = [part for part in np.array_split(np.argsort(x, kind="stable"), 10) if len(part)]
    means = [np.average(y[part], weights=weight[part]) for part in tenths]
    axes.bar(range(len(tenths)), means, color=BLUE, width=0.7)
    ends = [f"{float(f'{x[part[-1]]:.4g}'):,g}" for part in tenths]
    axes.set_xticks(range(len(tenths)), ends, rotation=40, ha="right")


def write_picture(figure: Figure, path: Path) -> None:
    """Write a figure as PNG.

    Raises:
        OSError: it cannot be written.
    """
    with written_whole(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(partial, dpi=_DPI, facecolor="white", format="png")
