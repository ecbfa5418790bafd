"""Augmentors: they vary the train records, anew in each epoch."""

from __future__ import annotations

import numpy as np
from barrage_mlflow.dataset import DataRecord


def add_noise(data_record: DataRecord, rng: np.random.Generator, scale: float = 0.1) -> DataRecord:
    """Add noise to the past values; those to forecast stay as they are.

    Args:
        data_record: as transformed.
        rng: given by the engine; with the same seed it draws the same.
        scale: standard deviation of the noise, in usual steps of the series.
    """
    x, *targets = data_record
    # change here: how a record may vary and still be true; return new arrays, keep the given ones
    noise = rng.normal(0.0, scale, x["series"].shape)
    return ({**x, "series": (x["series"] + noise).astype(np.float32)}, *targets)
