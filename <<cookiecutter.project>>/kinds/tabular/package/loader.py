"""The loader: the columns of a record, and those that are made of them."""

from typing import ClassVar

import numpy as np
from barrage_mlflow.dataset import FeatureLoader


class Loader(FeatureLoader):
    """Loads what the config names as features and targets; makes ``bill_ratio``, in no file."""

    # change here: the columns that `derive` needs, and their kinds
    reads: ClassVar = {"bill_length_mm": "number", "bill_depth_mm": "number"}

    def derive(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make columns of others: arrays (records,), of numbers with NaN where one is missing."""
        # change here: a column that is made here can be a feature, as any other
        return {**columns, "bill_ratio": columns["bill_length_mm"] / columns["bill_depth_mm"]}
