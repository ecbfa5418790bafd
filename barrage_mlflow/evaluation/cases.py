"""Reports on records: the worst ones, groups of them, pictures, and how length matters."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.types import Record
from barrage_mlflow.evaluation.kept import Kept, badness_of
from barrage_mlflow.evaluation.metrics import LEADING, METRICS
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pictures import BLUE, label_axes, new_figure
from barrage_mlflow.evaluation.report import show

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from PIL import Image

_IMAGES = 8
_PARTS = 8
_SHOWN = {"category": ("accuracy", "f1"), "truth": ("accuracy", "f1"), "number": ("mae", "bias")}


def worst(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """The records whose answers are most wrong; of classes, those told with most confidence."""
    import pandas as pd

    # Of a record with several steps, the worst one.
    there = np.flatnonzero(np.isin(outcome.rows, kept.worst.get(outcome.name, [])))
    there = there[np.argsort(badness_of(outcome.take(there)), kind="stable")]
    places = dict(zip(outcome.rows[there].tolist(), there.tolist(), strict=True))
    rows = [row for row in kept.worst.get(outcome.name, ()) if row in places]
    if not rows:
        return None
    at = np.array([places[row] for row in rows])
    told = "error" if outcome.type in ("number", "series") else "probability of the answer"
    table: dict[str, Any] = {
        "record": rows,
        "true": [_value(outcome, outcome.truth[place]) for place in at],
        "answer": [_value(outcome, outcome.answer[place]) for place in at],
        told: badness_of(outcome.take(at)),
    }
    for name in kept.columns:
        key = f"{name} (column)" if name in table else name
        table[key] = [_plain(kept.cells[row].get(name)) for row in rows]
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in table.items()})


def groups(outcome: Outcome, kept: Kept) -> pd.DataFrame | None:
    """The leading metrics by the values of each column that has few."""
    import pandas as pd

    names = _SHOWN.get(outcome.type, (LEADING[outcome.type],))
    metrics = [metric for metric in METRICS[outcome.type] if metric.name in names]
    rows = []
    for column, (values, codes) in kept.groups.items():
        of_record = codes[outcome.rows]
        for place in np.argsort([str(value) for value in values]).tolist():
            group = outcome.take(of_record == place)
            if len(group) and len(values) > 1:
                value = "missing" if values[place] is None else str(values[place])
                rows.append([column, value, len(group), *(m.measure(group) for m in metrics)])
    heads = ["column", "value", "records", *(metric.name for metric in metrics)]
    return pd.DataFrame(rows, columns=heads) if rows else None


def images(outcome: Outcome, kept: Kept) -> Figure | None:
    """The images of the worst records, and of some drawn at random."""
    places = {int(row): at for at, row in enumerate(outcome.rows.tolist())}
    worst = [row for row in kept.worst.get(outcome.name, ()) if row in places][:_IMAGES]
    rest = [row for row in kept.sample if row in places and row not in worst]
    random = rest[:: max(1, len(rest) // _IMAGES)][:_IMAGES]
    shown = [(row, image) for row in (*worst, *random) if (image := _image(kept.cells[row]))]
    if not shown:
        return None
    figure, panels = new_figure(len(shown), 1.7, 2.0, _IMAGES)
    for axes, (row, image) in zip(panels, shown, strict=True):
        axes.imshow(image, cmap="gray" if image.mode in ("L", "1") else None)
        axes.set_axis_off()
        true, answer = (outcome.truth[places[row]], outcome.answer[places[row]])
        words = f"{_value(outcome, true)}\n→ {_value(outcome, answer)}"
        color = "#c92a2a" if badness_of(outcome.take(np.array([places[row]])))[0] else "#374151"
        axes.set_title(words, fontsize=8, color=color, parse_math=False)
    return figure


def by_length(outcome: Outcome, kept: Kept) -> Figure | None:
    """How wrong answers are by the length of a text."""
    if len(outcome) < 5 * _PARTS:
        return None
    rows = [row for row in kept.sample if row in kept.cells]
    places = {int(row): at for at, row in enumerate(outcome.rows.tolist())}
    rows = [row for row in rows if row in places]
    texts = {
        name: [cells if isinstance(cells := kept.cells[row].get(name), str) else "" for row in rows]
        for name in (kept.cells[rows[0]] if rows else ())
    }
    long = {name: cells for name, cells in texts.items() if _is_prose(cells)}
    if not long:
        return None
    figure, panels = new_figure(len(long))
    some = outcome.take(np.array([places[row] for row in rows]))
    is_number = outcome.type in ("number", "series")
    wrong = badness_of(some) if is_number else (some.truth != some.answer).astype(float)
    for axes, (name, cells) in zip(panels, long.items(), strict=True):
        lengths = np.array([len(cell) for cell in cells])
        parts = np.array_split(np.argsort(lengths, kind="stable"), _PARTS)
        axes.bar(range(_PARTS), [wrong[part].mean() for part in parts], color=BLUE, width=0.7)
        ends = [str(lengths[part[-1]]) for part in parts]
        axes.set_xticks(range(_PARTS), ends)
        y = "mean |error|" if is_number else "share that is wrong"
        label_axes(axes, f"{outcome.name} by length of {name}", "characters, up to", y)
    return figure


def _image(record: Record) -> Image.Image | None:
    """The first column of a record that is an image, if one is."""
    for cell in record.values():
        if isinstance(cell, bytes):
            from PIL import Image, UnidentifiedImageError

            with suppress(UnidentifiedImageError, OSError):
                return Image.open(io.BytesIO(cell)).copy()
    return None


def _is_prose(cells: list[str]) -> bool:
    """Whether strings are texts, not names of something."""
    return bool(np.mean([" " in cell for cell in cells]) > 0.5 and np.mean([*map(len, cells)]) > 30)


def _value(outcome: Outcome, value: Any) -> str:
    """What is true or told of a record, to read."""
    if outcome.type in ("category", "truth"):
        return outcome.label(int(value))
    if outcome.type == "multi_category":
        return ", ".join(outcome.label(code) for code in np.flatnonzero(value).tolist())
    return ", ".join(show(float(number)) for number in np.atleast_1d(value))


def _plain(cell: Any) -> Any:
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes"
    return cell if isinstance(cell, bool | int | float | str) or cell is None else str(cell)
