"""Augmentors: functions that vary the train records, each time anew."""

from __future__ import annotations

import numpy as np
from barrage_mlflow.dataset import DataRecord


def shift(
    data_record: DataRecord, rng: np.random.Generator, image: str, pixels: int = 1
) -> DataRecord:
    """Move an image by up to some pixels, up or down and left or right.

    Args:
        data_record: as transformed; the image is (height, width, channels) uint8.
        rng: given by the engine, keyed by seed, epoch and draw, so that a run can be repeated.
        image: the feature's name.
        pixels: the farthest that it is moved; what comes in at the side is black.
    """
    x, *targets = data_record
    # change here: turn, mirror or scale, where that leaves what an image shows as it was; return
    # new arrays, keep the given ones
    room = np.pad(x[image], [(pixels, pixels), (pixels, pixels), (0, 0)])
    height, width = x[image].shape[:2]
    down, right = rng.integers(0, 2 * pixels + 1, 2)
    return ({**x, image: room[down : down + height, right : right + width]}, *targets)
