"""The loader: the columns of a record, and those that are made of them."""

import numpy as np
import pandas as pd
from barrage_mlflow.dataset import FeatureLoader


class Loader(FeatureLoader):
    """Loads what the config names as features and targets; fills the gaps in features."""

    def derive(self, columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Make columns of others: arrays (records,), of lists with NaN for a gap, or of None."""
        # change here: what the network gets to see; `reads` may name columns that are no features
        return columns | {name: _filled(columns[name]) for name in self.features}


def _filled(column: np.ndarray) -> np.ndarray:
    filled = column.copy()
    for at, series in enumerate(column):
        # The value before a gap; at the start, the first one after it.
        values = pd.Series(series or [], dtype=float).ffill().bfill()
        if values.isna().all():
            raise ValueError("expected a series with at least one number, got none")
        filled[at] = values.tolist()
    return filled
