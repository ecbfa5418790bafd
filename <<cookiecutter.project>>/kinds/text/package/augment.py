"""Augmentors: functions that vary the train records, each time anew.

The config lists which ones run, in which order and with which params; they see records as the
transformer left them, and only in training.
"""

from __future__ import annotations

import numpy as np
from barrage_mlflow.dataset import DataRecord


def drop_words(data_record: DataRecord, rng: np.random.Generator, share: float = 0.1) -> DataRecord:
    """Leave words out at random, so that the network does not lean on any single one.

    The words that stay close ranks; a text keeps at least one of its words.

    Change here: swap or replace words instead. Return new arrays and leave the given ones alone.

    Args:
        data_record: as transformed; ``text`` is (length,) int32, its words and then zeros.
        rng: given by the engine, keyed by seed, epoch and draw, so that a run can be repeated.
        share: the probability that a word is left out.
    """
    x, *targets = data_record
    text = x["text"]
    words = text[text > 0]
    kept = words[rng.random(len(words)) >= share]
    if not len(kept):
        kept = words[:1]
    fewer = np.zeros_like(text)
    fewer[: len(kept)] = kept
    return ({**x, "text": fewer}, *targets)
