"""Turns texts into rows of numbers for the network, and its scores back into labels."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
from barrage_mlflow.dataset import (
    DataRecord,
    RecordLoader,
    RecordMode,
    Records,
    RecordScore,
    RecordTransformer,
)

PADDING = 0
"""Fills the row of a text with fewer words than ``length``."""

UNKNOWN = 1
"""Stands for a word that is not in the vocabulary."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words_of(text: str) -> list[str]:
    """Split a text into its words, in small letters and without punctuation.

    Letters that only look different (``ﬁ``, full-width forms, an accent written as a character
    of its own) become the same. Change here: what a word is in your language and subject.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


class Transformer(RecordTransformer):
    """Numbers the words of a text, and its label; names the most probable label.

    ``fit`` counts the words of the train texts and keeps the most frequent ones as vocabulary.
    ``transform`` gives ``text`` (length,) int32, the number of each word in the order of the
    text, and ``label`` () int32, the label's place among the labels in alphabetical order.
    Words past ``length`` are left out.

    The network takes the vocabulary's size (padding and the unknown word included), the length
    and the number of labels from the placeholders ``{{vocabulary_size}}``, ``{{text_length}}``
    and ``{{label_count}}`` in the config.

    Args:
        mode: what records are transformed for.
        loader: the loader in the same mode.
        words: how many words the vocabulary holds at most.
        min_count: how often the train texts must hold a word for it to enter the vocabulary.
        length: how many words of a text the network sees.
    """

    network_param_names = ("vocabulary_size", "text_length", "label_count")

    def __init__(
        self,
        mode: RecordMode,
        loader: RecordLoader,
        words: int = 5000,
        min_count: int = 2,
        length: int = 30,
    ) -> None:
        super().__init__(mode, loader)
        if min(words, min_count, length) < 1:
            raise ValueError("words, min_count and length must each be 1 or more")
        self._max_words, self._min_count, self._length = words, min_count, length

    def fit(self, records: Records) -> None:
        """Learn vocabulary and labels from the train records."""
        x, y = self.loader.load_batch(records)
        counts = Counter(word for text in x["text"].tolist() for word in words_of(text))
        # By falling frequency, then by alphabet, so that the same texts give the same numbers.
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        vocabulary = [word for word in ranked if counts[word] >= self._min_count]
        self._set(vocabulary[: self._max_words], sorted(set(y["label"].tolist())))

    def _set(self, vocabulary: list[str], labels: list[str]) -> None:
        self._learnt = {"labels": labels, "vocabulary": vocabulary}
        self._word_codes = {word: code for code, word in enumerate(vocabulary, UNKNOWN + 1)}
        self._label_codes = {label: code for code, label in enumerate(labels)}
        self._labels = np.array(labels, object)
        self.network_params = {
            "vocabulary_size": UNKNOWN + 1 + len(vocabulary),
            "text_length": self._length,
            "label_count": len(labels),
        }

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record.

        Raises:
            ValueError: no train record has this label.
        """
        x, *targets = data_record
        transformed = {"text": self._number(x["text"].item())}
        if not targets:
            return (transformed,)
        code = self._label_code(targets[0]["label"].item())
        return transformed, {"label": np.array(code, np.int32)}

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Transform many records: the same arrays, with a leading axis ``batch``."""
        x, *targets = data_record
        transformed = {"text": np.stack([self._number(text) for text in x["text"].tolist()])}
        if not targets:
            return (transformed,)
        codes = [self._label_code(label) for label in targets[0]["label"].tolist()]
        return transformed, {"label": np.array(codes, np.int32)}

    def _number(self, text: str) -> np.ndarray:
        codes = [self._word_codes.get(word, UNKNOWN) for word in words_of(text)[: self._length]]
        row = np.full(self._length, PADDING, np.int32)
        row[: len(codes)] = codes
        return row

    def _label_code(self, label: str) -> int:
        if label not in self._label_codes:
            known = ", ".join(self._label_codes)
            raise ValueError(f"no train record has label {label!r}; the train records hold {known}")
        return self._label_codes[label]

    def postprocess(self, score: RecordScore) -> RecordScore:
        """Give the most probable label, and its probability.

        Args:
            score: ``label`` (labels,) float32 of one record.
        """
        code = int(np.argmax(score["label"]))
        return {"label": self._labels[code], "probability": float(score["label"][code])}

    def postprocess_batch(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Do the same for many records, in arrays (batch,)."""
        return {
            "label": self._labels[np.argmax(scores["label"], axis=1)],
            "probability": scores["label"].max(axis=1).astype(float),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what ``fit`` learnt to ``transformer.json`` in the folder."""
        text = json.dumps(self._learnt, indent=2, ensure_ascii=False)
        Path(path, "transformer.json").write_text(text + "\n", "utf-8")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote."""
        self._set(**json.loads(Path(path, "transformer.json").read_text("utf-8")))
