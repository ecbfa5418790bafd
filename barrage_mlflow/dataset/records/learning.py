"""Learns the kinds of columns from all train records, once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from barrage_mlflow.dataset.records.column_kinds import KINDS, WORDS, Column
from barrage_mlflow.dataset.records.values import NUMBER, WHOLE, lacking, lacks
from barrage_mlflow.dataset.types import Array

_OF_DTYPE = {"i": "whole", "u": "whole", "f": "number", "b": "truth"}
_OF_DTYPE |= {"M": "datetime", "m": "duration"}
_OF_TYPE: list[tuple[Any, str]] = [
    ((timedelta, np.timedelta64), "duration"),  # the second is an integer, too
    ((bool, np.bool_), "truth"),
    ((int, np.integer), "whole"),
    ((float, np.floating, Decimal), "number"),
    (str, "text"),
    ((bytes, bytearray, memoryview), "bytes"),
    ((datetime, np.datetime64), "datetime"),
    (date, "date"),
    (time, "time"),
    ((list, tuple, np.ndarray), "list"),
]
"""The first that a type derives from; else it is an object."""
_LEADING_ZERO = re.compile(r"[+-]?0\d")


class Learner:
    """Finds what is in one column, chunk by chunk.

    Args:
        name: of the column.
        missing: words that mean a missing value.
        in_letters: whether numbers and truth values are spelt, as in CSV.

    Example:
        >>> learner = Learner("a")
        >>> learner.add(np.array([1, 2]))
        >>> learner.add(np.array([3, None], dtype=object))
        >>> learner.column().kind, learner.column().reason
        ('number', 'whole numbers, some missing')
    """

    def __init__(self, name: str, missing: tuple[str, ...] = (), in_letters: bool = False) -> None:
        self._name = name
        self.missing = missing
        self._in_letters = in_letters
        self._seen: set[str] = set()
        self._lacks = self._lacks_words = False
        self._zeros = ""
        self._words: set[str] = set()
        self._of: set[str] = set()
        self._shape: tuple[int, ...] | None = None
        self._uneven = ""
        self._rows = 0
        self._arrays = True

    def add(self, cells: Array) -> None:
        """Look at the next cells ``(rows, ...)``, as they were read."""
        if not len(cells):
            return
        if cells.ndim > 1:
            self._add_lists(cells[:1], cells.shape[1:], self._rows)
            self._arrays = False
        elif cells.dtype == object:
            self._add_objects(cells.tolist())
        else:
            gone = lacking(cells, self.missing)
            self._lacks = self._lacks or bool(gone.any())
            if not gone.all():
                self._seen.add(_OF_DTYPE[cells.dtype.kind])
        self._rows += len(cells)

    def add_found(self, kinds: set[str], is_lacking: bool) -> None:
        """Take over what a file says of its next cells: what is in them, and whether one lacks."""
        self._seen |= kinds
        self._lacks = self._lacks or is_lacking

    def _add_objects(self, cells: list[Any]) -> None:
        for type_ in set(map(type, cells)):
            some: list[Any] = [cell for cell in cells if type(cell) is type_]
            if type_ is str:
                self._add_strings(some)
                continue
            there = [cell for cell in some if not lacks(cell, self.missing)]
            self._lacks = self._lacks or len(there) < len(some)
            if there:
                self._seen.add(next((k for t, k in _OF_TYPE if issubclass(type_, t)), "object"))
        if "list" in self._seen:
            for row, cell in enumerate(cells, start=self._rows):
                if isinstance(cell, (list, tuple, np.ndarray)):
                    self._arrays = self._arrays and isinstance(cell, np.ndarray)
                    self._add_lists([cell], _shape(cell), row)

    def _add_strings(self, cells: list[str]) -> None:
        self._lacks = self._lacks or any(word in cells for word in ("", *self.missing))
        if self._in_letters and "text" not in self._seen:
            self._add_letters(cells)
        elif not self._in_letters and any(cell not in self.missing for cell in cells):
            self._seen.add("text")
        if "text" in self._seen:
            self._words |= WORDS.intersection(cells)

    def _add_letters(self, cells: Iterable[str]) -> None:
        """What is spelt, up to the first cell that is neither a number nor a truth value."""
        for cell in cells:
            if lacks(cell, self.missing):
                self._lacks_words = True
                continue
            text = cell.strip()
            if _LEADING_ZERO.match(text):
                self._zeros = text
            if WHOLE.fullmatch(text):
                self._seen.add("whole")
            elif NUMBER.fullmatch(text):
                self._seen.add("number")
            elif text.lower() in ("true", "false"):
                self._seen.add("truth")
            else:
                self._seen.add("text")
                return

    def _add_lists(self, cells: Any, shape: tuple[int, ...] | None, row: int) -> None:
        self._seen.add("list")
        before, self._shape = self._shape, shape
        if shape is None:
            self._uneven = self._uneven or f"record {row} holds lists of differing lengths"
        elif before not in (None, shape):
            self._uneven = self._uneven or (f"record {row} has {shape}, those before {before}")
        for cell in cells:
            array = np.array(cell) if shape is not None else None
            if array is not None and (array.dtype.kind in _OF_DTYPE or not array.size):
                # Of nothing, NumPy makes numbers.
                self._of |= {_OF_DTYPE[array.dtype.kind]} if array.size else set()
                continue
            inner = Learner("")
            inner.add(_flat(cell))
            self._of |= inner._seen
            if inner._lacks:
                self._of.add("none")

    def column(self) -> Column:
        """What was found."""
        seen = set(self._seen)
        if self._in_letters and ("text" in seen or {"truth"} < seen):
            seen = {"text"}
        is_lacking = self._lacks or (self._lacks_words and seen != {"text"})
        kind = _common(seen, is_lacking)
        column = Column(
            self._name,
            kind,
            is_lacking or not seen,
            missing=self.missing,
            reason=self._reason(is_lacking),
            only_whole=kind == "number" and seen == {"whole"},
            word=min(self._words, default=""),
        )
        return self._with_lists(column) if kind == "list" else column

    def _with_lists(self, column: Column) -> Column:
        kind = _common(self._of - {"none"}, "none" in self._of)
        shape = None if self._uneven or column.optional else self._shape
        of_kind = kind if kind in KINDS and kind != "list" else "object"
        return replace(column, of=of_kind, shape=shape, arrays=self._arrays)

    def _reason(self, is_lacking: bool) -> str:
        """What was found, for people."""
        names = [KINDS[kind].plural for kind in KINDS if kind in self._seen]
        if not names:
            return "no value at all"
        reason = " and ".join(names)
        if self._in_letters and "text" in self._seen:
            reason = KINDS["text"].plural
        if self._zeros and "text" in self._seen:
            return f"leading zeros, as in {self._zeros!r}"
        if self._uneven:
            return f"{reason} of several shapes: {self._uneven}"
        return f"{reason}, some missing" if is_lacking else reason


def _common(seen: set[str], is_lacking: bool) -> str:
    """The kind that holds all that was seen: of whole numbers with gaps, numbers."""
    if seen <= {"whole", "number"}:
        return "whole" if seen == {"whole"} and not is_lacking else "number"
    return next(iter(seen)) if len(seen) == 1 else "mixed"


def _shape(cell: Any) -> tuple[int, ...] | None:
    """The shape of a list; None where lists in it differ."""
    try:
        shape: tuple[int, ...] = np.shape(cell)
        return shape
    except ValueError:
        return None


def _flat(cell: Any) -> Array:
    """What is in a list, at any depth."""
    items = []
    for item in cell:
        if isinstance(item, (list, tuple, np.ndarray)):
            items += _flat(item).tolist()
        else:
            items.append(item)
    return np.fromiter(items, dtype=object, count=len(items))
