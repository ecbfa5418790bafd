"""Permutation importance: how much worse a model is where a column's values are shuffled."""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from barrage_mlflow.dataset.types import Record
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.evaluation.collect import Outcomes
from barrage_mlflow.evaluation.metrics import leading_metric
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.evaluation.pictures import BLUE, label_axes, label_ticks, new_figure
from barrage_mlflow.scoring.scorer import Scorer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_REPEATS = 3
_FEWEST = 100
"""Records that are shuffled, at least."""
_BARS = 30
_SEED = 0


def permute(
    scorer: Scorer, observer: Observer, rows: list[Record], until: float
) -> tuple[dict[str, dict[str, float]], list[str], int]:
    """Shuffle each column's values among records, and see what becomes of the leading metrics.

    Where the time is short, there are fewer records of the same columns.

    Args:
        scorer: the model.
        observer: shows it records.
        rows: records with their targets.
        until: by ``time.monotonic()``, when to leave the rest.

    Returns:
        By output, for each column by how much the metric is worse; columns that were left; and
        how many records were looked at.
    """
    rng = np.random.default_rng(_SEED)
    columns = [name for name in scorer.inputs.columns if any(name in row for row in rows)]
    if (began := time.monotonic()) > until:
        return {}, columns, 0
    before = _leading(scorer, observer, rows)
    now = time.monotonic()
    wanted = (now - began) * _REPEATS * len(columns) / max(until - now, 1e-9)
    if (step := min(math.ceil(wanted), len(rows) // _FEWEST)) > 1:
        rows = rows[::step]
        before = _leading(scorer, observer, rows)
    found: dict[str, dict[str, float]] = {name: {} for name in before}
    for place, column in enumerate(columns):
        after: list[dict[str, float]] = []
        while len(after) < _REPEATS:
            if time.monotonic() > until:
                return found, columns[place:], len(rows)
            cells = [rows[at].get(column) for at in rng.permutation(len(rows))]
            shuffled = [{**row, column: cell} for row, cell in zip(rows, cells, strict=True)]
            after.append(_leading(scorer, observer, shuffled))
        for name, worse in found.items():
            mean = float(np.mean([each.get(name, np.nan) for each in after]))
            worse[column] = mean - before[name]
    return found, [], len(rows)


def _leading(scorer: Scorer, observer: Observer, rows: list[Record]) -> dict[str, float]:
    """The leading metric of each output, so that higher is worse."""
    outcomes = Outcomes()
    for piece in observer.pieces(scorer.read(rows)):
        outcomes.add(observer.observe(piece))
    found = {}
    for name, outcome in outcomes.all().items():
        with suppress(ComponentError):  # none is defined
            metric = leading_metric(outcome)
            value = metric.measure(outcome)
            found[name] = value if metric.best == "low" else -value
    return found


def importance_table(worse: dict[str, float]) -> pd.DataFrame:
    """The columns by importance, the first one first, and by how much the metric is worse."""
    ranked = pd.Series(worse, dtype=float).sort_values(ascending=False, kind="stable")
    return ranked.rename("worse by").rename_axis("column").reset_index()


def importance_picture(name: str, metric: str, table: pd.DataFrame) -> Figure:
    """Bars, the most important column on top."""
    shown = table.head(_BARS)[::-1]
    figure, (axes,) = new_figure(1, 6.5, max(2.4, 0.9 + 0.28 * len(shown)))
    axes.barh(range(len(shown)), shown.iloc[:, 1], color=BLUE, height=0.7)
    label_ticks(axes, [*map(str, shown["column"])])
    label_axes(axes, f"{metric} of {name} is worse by", "")
    return figure
