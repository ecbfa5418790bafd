"""Reports on records: the worst ones, groups of them, pictures, and how length matters."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from barrage_mlflow.dataset.types import Record
from barrage_mlflow.evaluation.kept import IMAGES, Kept, badness_of, confidence, errors_of
from barrage_mlflow.evaluation.metrics import METRICS
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pages import show
from barrage_mlflow.evaluation.pictures import RED, draw_tenths, label_axes, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

_SOME = 40
"""Records, at least, whose errors are shown by the length of a text."""
_LETTERS = 1000
"""Of a text or a list, at most, that a table shows."""
_SHOWN = ("accuracy", "f1", "mae", "bias")


def worst(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """The records whose answers are most wrong; of classes, by the confidence."""
    some = outcome.take(np.isin(outcome.rows, kept.worst.get(outcome.name, [])))
    some = some.take(np.argsort(-badness_of(some), kind="stable"))
    # Of a record with several steps, the worst one.
    some = some.take(~pd.Series(some.rows).duplicated().to_numpy())
    rows = some.rows.tolist()
    if not rows:
        return None
    table: dict[str, Any] = {
        "record": rows,
        "true": [_value(outcome, value) for value in some.truth],
        "answer": [_value(outcome, value) for value in some.answer],
    }
    if outcome.type in ("number", "series"):
        table["error"] = badness_of(some)
    elif outcome.probability is not None:
        table["probability of the answer"] = confidence(some)
    for name in kept.columns:
        key = f"{name} (column)" if name in table else name
        table[key] = [_short(kept.cells[row].get(name)) for row in rows]
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in table.items()})


def groups(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """Metrics that are plain to read by the values of each column that has few."""
    metrics = [metric for metric in METRICS[outcome.type] if metric.name in _SHOWN]
    some = outcome.take(np.isin(outcome.rows, kept.groups.index))
    rows: list[list[Any]] = []
    for column, value, chosen in kept.groups_of(some.rows):
        group = some.take(chosen)
        records = len(np.unique(group.rows))
        rows.append([column, value, records, *(m.measure(group) for m in metrics)])
    heads = ["column", "value", "records", *(metric.name for metric in metrics)]
    return pd.DataFrame(rows, columns=heads) if rows else None


def images(outcome: Outcome, kept: Kept) -> Figure | None:
    """The images of the worst records, and of some drawn at random."""
    if not kept.most:
        return None
    places = {int(row): at for at, row in enumerate(outcome.rows.tolist())}
    worst = [row for row in kept.worst.get(outcome.name, ()) if row in places][:IMAGES]
    rest = [row for row in kept.sample if row in places and row not in worst]
    random = rest[:: max(1, len(rest) // IMAGES)][:IMAGES]
    shown = [(row, image) for row in (*worst, *random) if (image := _image(kept.cells[row]))]
    if not shown:
        return None
    figure, panels = new_figure(len(shown), 1.7, 2.0, IMAGES)
    for axes, (row, image) in zip(panels, shown, strict=True):
        axes.imshow(image, cmap="gray" if image.mode in ("L", "1") else None)
        axes.set_axis_off()
        one = outcome.take(np.array([places[row]]))
        words = f"{_value(outcome, one.truth[0])}\n→ {_value(outcome, one.answer[0])}"
        color = RED if badness_of(one)[0] else "#374151"
        axes.set_title(words, fontsize=8, color=color, parse_math=False)
    return figure


def by_length(outcome: Outcome, kept: Kept) -> Figure | None:
    """How wrong answers are by the length of a text."""
    some = outcome.take(np.isin(outcome.rows, kept.sample))
    if len(some) < _SOME:
        return None
    records = [kept.cells[row] for row in some.rows.tolist()]
    columns = {name: [_text(cells.get(name)) for cells in records] for name in kept.columns}
    texts = {name: cells for name, cells in columns.items() if _is_prose(cells)}
    if not texts:
        return None
    figure, panels = new_figure(len(texts))
    is_number = outcome.type in ("number", "series")
    for axes, (name, cells) in zip(panels, texts.items(), strict=True):
        draw_tenths(axes, np.array([*map(len, cells)]), errors_of(some), some.weight)
        y = f"mean |error| of {outcome.name}" if is_number else f"share of wrong {outcome.name}"
        label_axes(axes, f"characters of {name}, up to", y)
    return figure


def _image(record: Record) -> Image.Image | None:
    """The first column of a record that is an image, if one is."""
    for cell in record.values():
        if isinstance(cell, bytes):
            from PIL import Image, UnidentifiedImageError

            with suppress(UnidentifiedImageError, OSError):
                return Image.open(io.BytesIO(cell)).copy()
    return None


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else ""


def _is_prose(cells: list[str]) -> bool:
    """Whether strings are texts, not names of something."""
    return bool(np.mean([" " in cell for cell in cells]) > 0.5 and np.mean([*map(len, cells)]) > 30)


def _value(outcome: Outcome, value: Any) -> str:
    """What is true or predicted of a record, to read."""
    if outcome.type in ("category", "truth"):
        return outcome.label(int(value))
    if outcome.type == "multi_category":
        return ", ".join(outcome.label(code) for code in np.flatnonzero(value).tolist())
    return ", ".join(show(float(number)) for number in np.atleast_1d(value))


def _short(cell: Any) -> Any:
    """A cell as the table has it, and no more of it than can be read."""
    if isinstance(cell, bool | int | float | None):
        return cell
    return shortened(f"{len(cell)} bytes" if isinstance(cell, bytes) else str(cell), _LETTERS)
