"""Which records of each batch one of the processes of a training takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from barrage_mlflow.dataset.types import Array


@dataclass(frozen=True)
class Share:
    """The part of each batch that is one process's: its records follow each other.

    All processes draw in one order, so that a batch is the same however many share it. Of a batch
    with fewer records than there are processes each takes all, since networks are not made for
    none; those of the first process count.

    Attributes:
        index: of the process, from 0.
        count: how many processes there are.

    Example:
        >>> share = Share(1, 2)
        >>> [bound.tolist() for bound in share.bounds(np.array([4, 5, 1]))]
        [[2, 2, 0], [4, 5, 1]]
        >>> share.weights(np.array([4, 5, 1])).tolist()
        [0.5, 0.6000000238418579, 0.0]
        >>> Share(0, 2).of(np.arange(7), total=7, batch_size=4)
        array([ True,  True, False, False,  True, False, False])
    """

    index: int = 0
    count: int = 1

    def bounds(self, records: Array) -> tuple[Array, Array]:
        """From which of a batch's records to which; of each of ``(batches,) int64`` sizes."""
        few = records < self.count
        first, stop = records * self.index // self.count, records * (self.index + 1) // self.count
        return np.where(few, 0, first), np.where(few, records, stop)

    def weights(self, records: Array) -> Array:
        """What the mean over this process's records counts in that of the batch: float32."""
        first, stop = self.bounds(records)
        own = np.where(records < self.count, records * (self.index == 0), stop - first)
        return (own / records).astype(np.float32)

    def of(self, draws: Array, total: int, batch_size: int) -> NDArray[np.bool_]:
        """Which of the draws of a pass are this process's.

        Args:
            draws: ``(draws,) int64``, each by its place in the pass.
            total: how many draws the pass makes.
            batch_size: records in a batch, of which the last may be short.

        Returns:
            ``(draws,) bool``.
        """
        place = draws % batch_size
        first, stop = self.bounds(np.minimum(batch_size, total - draws + place))
        mine: NDArray[np.bool_] = (first <= place) & (place < stop)
        return mine


def batch_sizes(total: int, batch_size: int) -> Array:
    """The records of each batch, of which the last may be short: ``(batches,) int64``.

    Example:
        >>> batch_sizes(7, 3)
        array([3, 3, 1])
    """
    return np.minimum(batch_size, total - np.arange(0, total, batch_size))


WHOLE = Share()
"""That of a training in one process."""
