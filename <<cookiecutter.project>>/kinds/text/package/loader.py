"""The loader: the columns of a record, and those that are made of them."""

from typing import ClassVar

import numpy as np
from barrage_mlflow.dataset import FeatureLoader


class Loader(FeatureLoader):
    """Loads what the config names as features and targets."""

    # change here: columns that only `derive` needs, and their kinds, such as {"title": "text"}
    reads: ClassVar = {}

    def derive(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make columns of others: arrays (records,), of strings with None where one is missing."""
        # change here: join columns to one text, or cut off what says nothing
        return columns
