"""Augmentors: functions that vary the train records, each time anew.

The config lists which ones run, in which order and with which params; they see records as the
transformer left them, and only in training.
"""

from __future__ import annotations

import numpy as np
from barrage_mlflow.dataset import DataRecord


def shift(data_record: DataRecord, rng: np.random.Generator, pixels: int = 1) -> DataRecord:
    """Move the image by up to some pixels, up or down and left or right.

    What comes in at the side has the shade of the darkest pixel, the background.

    Change here: turn, mirror or scale instead, where that leaves what an image shows as it was
    (a mirrored digit is none). Return new arrays and leave the given ones alone.

    Args:
        data_record: as transformed; ``image`` is (height, width, 1) float32.
        rng: given by the engine, keyed by seed, epoch and draw, so that a run can be repeated.
        pixels: the farthest that an image is moved.
    """
    x, *targets = data_record
    image = x["image"]
    height, width = image.shape[:2]
    down, right = rng.integers(0, 2 * pixels + 1, 2)
    room = np.full((height + 2 * pixels, width + 2 * pixels, 1), image.min(), image.dtype)
    room[pixels : pixels + height, pixels : pixels + width] = image
    return ({**x, "image": room[down : down + height, right : right + width]}, *targets)
