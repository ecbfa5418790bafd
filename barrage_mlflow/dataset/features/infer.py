"""Which feature type a column is meant as, found by looking at train records."""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from barrage_mlflow.config.features import NEXT
from barrage_mlflow.dataset.features.loader import column_cells
from barrage_mlflow.dataset.records.cells import CONVERSIONS
from barrage_mlflow.dataset.records.column_kinds import Column
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Array

_LOOKED_AT = 100_000
"""Records that are looked at, evenly spread; of all, where there are not more."""
_TRIED = 1000
"""Different texts that are tried as dates."""
_DATE_FORMATS = (
    "", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y",
    "%Y/%m/%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M",
    "%Y-%m", "%Y/%m", "%b %Y", "%B %Y", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y",
)  # fmt: skip
"""How dates are written, ISO 8601 first."""
_ID = re.compile(r"(^|[_\W])(id|uuid|guid|index|key|nr|no)$|^unnamed|[a-z]I[dD]$", re.IGNORECASE)
_CLASSES = 20
"""Different numbers of a target, at most, that are classes."""
_LISTS = {"number": "series", "whole": "series", "text": "multi_category"}
"""What a list is meant as, by the kind of what stands in it."""
_NO_FEATURE = ("mixed", "object", "time", "duration")
"""Kinds of which there is no feature; of columns of several kinds none can be read."""
_CHANCE = 0.001
"""What is less likely is not put down to chance."""
_COMPARED = 10_000
"""Records, about, in which columns are compared with targets ..."""
_ENOUGH = 100
"""... which takes so many at least."""
_RARE = 10
"""So few records of a rare class, about, show nothing."""
_GROUPS = 50
"""Groups that many different numbers are put in."""
_LEFT = 0.02
"""Of the variance of a target, what is left where its column alone tells it."""


@dataclass(frozen=True)
class Guess:
    """What a column is meant as.

    Attributes:
        spec: a feature's or target's type, or an object of type and options; None: left out.
        reason: why, in some words.
        column: how the column is to be declared in ``dataset.columns``; None: not at all.
        classes: of a target of classes, how often each occurs.
    """

    spec: str | dict[str, Any] | None
    reason: str
    column: dict[str, Any] | None = None
    classes: Mapping[Any, int] | None = None


def infer_columns(records: Records, targets: Collection[str]) -> dict[str, Guess]:
    """What each column is meant as: as a target if it is one, else as a feature.

    Args:
        records: train records.
        targets: names of columns; one that is not there is passed over.

    Example:
        >>> diamonds = [{"id": 7, "cut": "Good", "y": 1.5}, {"id": 9, "cut": "Bad", "y": 2.5}]
        >>> guesses = infer_columns(Records.read(diamonds), ["y"])
        >>> {name: guess.spec for name, guess in guesses.items()}
        {'id': None, 'cut': 'category', 'y': 'number'}
    """
    columns, windows = [records.column(name) for name in records.columns], records.schema.windows
    parts: dict[str, list[Array]] = {c.name: [] for c in columns if c.kind not in _NO_FEATURE}
    step = max(1, len(records) // _LOOKED_AT)
    for piece in records.pieces(columns=[*parts]):
        some = piece.take(np.arange(0, len(piece), step))
        for name, part in parts.items():
            part.append(column_cells(some, name))
    guesses: dict[str, Guess] = {}
    groups: dict[str, Array] = {}
    cells: dict[str, pd.Series[Any]] = {}
    for column in columns:
        values = np.concatenate(parts.pop(column.name, [np.empty(0)])).tolist()
        known = [value for value in values if value is not None and value == value]
        sample = pd.Series(values[:: 1 + len(values) // _COMPARED], dtype=object).infer_objects()
        groups[column.name] = _groups(column.kind, sample)
        if column.name in targets:
            guesses[column.name], cells[column.name] = _guess_target(column, known), sample
        elif windows and column.name in windows.group:
            guesses[column.name] = Guess("category", "tells series apart")
        elif windows and column.name == windows.time:
            cycles = {"type": "datetime", "trend": False}
            is_date = column.kind in ("datetime", "date")
            guesses[column.name] = Guess(cycles if is_date else None, "the time of the window")
        elif windows and column.name.startswith(NEXT):
            guesses[column.name] = Guess(None, "comes after the window")
        else:
            guesses[column.name] = _guess_feature(column, known, len(known) == len(values))
    for target in [name for name in cells if guesses[name].spec]:
        is_gap = groups[target] < 0
        for name, guess in guesses.items():
            if not guess.spec or name in targets:
                continue
            if _is_missing_with(groups[name] < 0, is_gap):
                guesses[name] = _add(guess, f"missing where {target} is: known only after it?")
            elif _tells(groups[name][~is_gap], cells[target][~is_gap], guesses[target]):
                guesses[name] = _add(guess, f"alone tells {target}: known before it?")
        if is_gap.any():
            guesses[target] = _add(guesses[target], f"{is_gap.mean():.1%} missing")
    return guesses


def _add(guess: Guess, reason: str) -> Guess:
    return replace(guess, reason=f"{guess.reason}, {reason}")


def _groups(kind: str, cells: pd.Series[Any]) -> Array:
    """In which group of like values each cell ``(records,)`` is; -1 where it is missing."""
    if kind not in ("truth", "whole", "number", "text"):
        return np.where(cells.isna(), -1, 0)
    if kind in ("whole", "number") and cells.nunique() > _GROUPS:
        cells = pd.qcut(cells, _GROUPS, labels=False, duplicates="drop")
    return pd.factorize(cells)[0]


def _is_missing_with(column: Array, target: Array) -> bool:
    """Whether a column is missing in all records that have no target, and that not by chance."""
    return bool(column[target].all() and column.mean() ** target.sum() < _CHANCE)


def _tells(groups: Array, target: pd.Series[Any], guess: Guess) -> bool:
    """Whether the group that a column's cell is in tells a target ``(records,)``."""
    free = len(groups) - len(np.unique(groups))
    is_list, classes = guess.spec in _LISTS.values(), guess.classes or ()
    if len(groups) < _ENOUGH or not free or is_list or len(classes) > _GROUPS:
        return False
    truth = pd.get_dummies(target, dtype=float) if classes else target.rank().to_frame()
    left, total = (
        float(((truth - means) ** 2).to_numpy().sum())
        for means in (truth.groupby(groups).transform("mean"), truth.mean())
    )
    return total > _RARE and left / free <= _LEFT * total / (len(groups) - 1)


def _guess_target(column: Column, known: list[Any]) -> Guess:
    if column.kind == "list" and known:
        return Guess(_LISTS.get(column.of, "multi_category"), column.reason)
    if not known or column.kind not in ("truth", "whole", "number", "text"):
        return Guess(None, f"{column.reason}: no target type for them")
    counts = Counter(known)
    if len(counts) == 1:
        return Guess(None, "one value in all records: nothing to foretell")
    if column.kind == "truth" or (column.kind == "whole" and {*counts} == {0, 1}):
        return Guess("truth", "two values, yes and no", classes=counts)
    is_few = len(counts) <= min(_CLASSES, len(known) / 10)
    if column.kind == "text" or (is_few and all(float(value).is_integer() for value in counts)):
        return Guess("category", f"{len(counts)} different values", classes=counts)
    numbers = np.array(known, float)
    is_skew = numbers.min() >= 0 and _skew(numbers) > 2 > abs(2 * _skew(np.log1p(numbers)))
    log = {"type": "number", "log": True}
    return Guess(log if is_skew else "number", f"{len(counts)} different numbers")


def _guess_feature(column: Column, known: list[Any], is_full: bool) -> Guess:
    kind = column.kind
    if kind in _NO_FEATURE:
        return Guess(None, f"{column.reason}: no feature type for them")
    if not known:
        return Guess(None, "no value at all")
    if kind == "list":
        return Guess(_LISTS.get(column.of), column.reason)
    if kind == "bytes":
        return Guess("image", "images") if _is_image(known[0]) else Guess(None, "bytes, no images")
    different = len({*known})
    if different == 1:
        return Guess(None, "one value in all records" if is_full else "one value")
    if kind in ("datetime", "date", "truth"):
        return Guess("truth" if kind == "truth" else "datetime", column.reason)
    if kind == "text":
        return _guess_text(column.name, known, different)
    is_named_so = kind == "whole" and _ID.search(column.name)
    # So many numbers of so small a range would not all be different by chance.
    span = max(known) - min(known) if kind == "whole" else math.inf
    is_drawn = math.exp(-(different**2) / (2 * span)) < _CHANCE
    if different == len(known) and (is_named_so or is_drawn):
        return Guess(None, "another in every record: an id")
    if is_named_so:
        return Guess("category", f"{different} different ids")
    return Guess("number", column.reason)


def _guess_text(name: str, known: list[str], different: int) -> Guess:
    texts = list(dict.fromkeys(known))
    if formats := date_formats(texts[:_TRIED]):
        written, *others = formats
        if not written:
            return Guess("datetime", "dates in letters")
        how = " or ".join([f"dates written {written}", *others])
        return Guess("datetime", how, {"kind": "datetime", "format": written})
    words = np.mean([len(text.split()) for text in texts[:_TRIED]])
    if words >= 4 and different > 20:
        return Guess("text", f"{words:.0f} words on average")
    if different > 20 and different > len(known) / 2:
        if words >= 1.5:
            return Guess("text", f"{different} different texts")
        return Guess(None, f"{different} different values in {len(known)} records: an id")
    common = Counter(known).most_common(1)[0][1]
    return Guess("category", f"{different} levels, the most frequent {common / len(known):.0%}")


def date_formats(texts: Sequence[Any]) -> list[str]:
    """How all texts are written as dates: empty for ISO 8601; several where days come first or not.

    Args:
        texts: what else is among them is no date.

    Example:
        >>> date_formats(["1/2/2026"]), date_formats(["1/2/2026", "1/13/2026"])
        (['%d/%m/%Y', '%m/%d/%Y'], ['%m/%d/%Y'])
    """
    return [written for written in _DATE_FORMATS if _are_dates(texts, written)]


def _are_dates(texts: Sequence[Any], written: str) -> bool:
    convert, column = CONVERSIONS["datetime"], Column("", "datetime", format=written)
    with suppress(ValueError, TypeError, OverflowError):
        return all(convert(text, column) for text in texts)
    return False


def _is_image(encoded: bytes) -> bool:
    import PIL.Image

    with suppress(OSError, PIL.Image.DecompressionBombError):
        PIL.Image.open(io.BytesIO(encoded)).close()
        return True
    return False


def _skew(values: Array) -> float:
    spread = values.std()
    return float(((values - values.mean()) ** 3).mean() / spread**3) if spread else 0.0
