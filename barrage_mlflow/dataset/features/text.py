"""Texts, as rows of codes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.sketches import Counts, Sample
from barrage_mlflow.dataset.types import Array

_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
_PADDING, _UNKNOWN = 0, 1
_LONGEST = 256


@dataclass(eq=False)
class Text(Feature):
    """The words or characters of a text as codes: 1 for one that is not known, 0 after the end.

    Texts are compared in small letters and Unicode's compatible form (NFKC); marks are words of
    their own. A missing text is one without words.

    Args:
        unit: what a code stands for.
        length: how many codes of a text the network gets. By default as many as 95 of 100 train
            texts have, at most 256.
        size: as many words or characters get a code of their own, at most: the most frequent.
        rare: one that the train texts have less often gets none.

    Example:
        >>> feature = Text(length=4, rare=1)
        >>> feature.learn(np.array(["a good day", "A day!", None], object))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(np.array(["Good day to you, sir", None], object)).tolist()
        [[5, 3, 1, 1], [0, 0, 0, 0]]
    """

    unit: Literal["word", "character"] = "word"
    length: int | None = None
    size: int = 20_000
    rare: int = 2

    type: ClassVar[str] = "text"
    kind: ClassVar[str] = "text"

    def __post_init__(self) -> None:
        self._counts, self._lengths = Counts(), Sample()

    def learn(self, column: Array) -> None:
        """Count the units of texts ``(records,) object``, None where missing."""
        texts = [self._units(text) for text in column.tolist() if text is not None]
        self._lengths.add(np.array([len(units) for units in texts], float))
        self._counts.add(unit for units in texts for unit in units)

    def learnt(self) -> dict[str, Any]:
        """The vocabulary, and how many codes a text has."""
        ranked, lengths = self._counts.ranked(self.rare), self._lengths.values
        usual = np.quantile(lengths, 0.95, method="higher") if len(lengths) else 1
        return {
            "vocabulary": [unit for unit, _ in ranked[: self.size]],
            "length": self.length or int(np.clip(usual, 1, _LONGEST)),
        }

    def restore(self, learnt: Mapping[str, Any]) -> None:
        """Take what :meth:`learnt` gave."""
        self._length = learnt["length"]
        self._codes = {unit: code for code, unit in enumerate(learnt["vocabulary"], _UNKNOWN + 1)}

    def encode(self, column: Array) -> Array:
        """``(records, length) int32`` of texts ``(records,) object``."""
        rows = np.full((len(column), self._length), _PADDING, np.int32)
        for row, text in zip(rows, column.tolist(), strict=True):
            units = self._units(text or "")[: self._length]
            row[: len(units)] = [self._codes.get(unit, _UNKNOWN) for unit in units]
        return rows

    def description(self) -> dict[str, Any]:
        """How many codes a text has, and how many different ones there are."""
        return {"length": self._length, "size": _UNKNOWN + 1 + len(self._codes)}

    def _units(self, text: str) -> list[str]:
        text = unicodedata.normalize("NFKC", text).casefold()
        return list(text) if self.unit == "character" else _WORD.findall(text)
