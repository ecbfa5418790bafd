"""Loads records: a text, and the label that it was given."""

from __future__ import annotations

from typing import Any

import numpy as np
from barrage_mlflow.dataset import DataRecord, Record, RecordLoader, RecordMode, Records
from barrage_mlflow.errors import RecordError


class Loader(RecordLoader):
    """Loads a text and, but for scoring, its label.

    Input ``text`` () str, empty where missing. Output ``label`` () str.

    A text that is missing or empty is scored like any other, as a text without words; but a
    train or validation record must have both a text and a label.

    Change here: the names of your columns, or several of them joined to one text.
    """

    def load(self, record: Record) -> DataRecord:
        """Load one record; the class says what comes out.

        Raises:
            RecordError: the text is no text, or a record to learn from lacks it or its label.
        """
        x = {"text": np.array(self._text(record["text"]), object)}
        if self.mode is RecordMode.SCORE:
            return (x,)  # Read no target here: a record to score has none.
        return x, {"label": np.array(_label(record["label"]), object)}

    def load_batch(self, records: Records) -> DataRecord:
        """Load many records: the same arrays, with a leading axis ``batch``.

        Raises:
            RecordError: as ``load`` does.
        """
        x = {"text": np.array([self._text(value) for value in records["text"].tolist()], object)}
        if self.mode is RecordMode.SCORE:
            return (x,)
        labels = [_label(value) for value in records["label"].tolist()]
        return x, {"label": np.array(labels, object)}

    def columns_of(self, name: str) -> list[str]:
        """Name the columns that an input or output is made of, for error messages."""
        return [name]

    def _text(self, value: Any) -> str:
        if _is_missing(value):
            value = ""
        if not isinstance(value, str):
            raise RecordError(f"column 'text' holds {value!r}; expected a text")
        if not value.strip() and self.mode is not RecordMode.SCORE:
            raise RecordError("column 'text' is empty, which it may be for scoring alone")
        return value


def _label(value: Any) -> str:
    if _is_missing(value) or value == "":
        raise RecordError("column 'label' is empty, which it may be for scoring alone")
    return str(value)


def _is_missing(value: Any) -> bool:
    # NaN, which alone differs from itself, is what a column without any text holds.
    return value is None or (isinstance(value, float) and value != value)
