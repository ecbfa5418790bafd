"""The loader: the columns of a record, and those that are made of them."""

from typing import ClassVar

import numpy as np
from barrage_mlflow.dataset import FeatureLoader


class Loader(FeatureLoader):
    """Loads what the config names as features and targets; of a path, the bytes of its file."""

    # change here: columns that only `derive` needs, and their kinds, such as {"camera": "text"}
    reads: ClassVar = {}

    def derive(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make columns of others: arrays (records,), of bytes with None where one is missing."""
        # change here: cut an image out of a larger one, or read a format that Pillow does not
        return columns
