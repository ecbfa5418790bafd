"""Which records of each batch one of the processes of a training takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Share:
    """The part of each batch that is one process's: its records follow each other.

    All processes draw in one order, so that a batch is the same however many share it.

    Attributes:
        index: of the process, from 0.
        count: how many processes there are.

    Example:
        >>> Share(1, 2).bounds(5), Share(1, 2).size(12, batch_size=5)
        ((2, 5), 7)
        >>> Share(0, 2).of(np.arange(7), total=7, batch_size=4)
        array([ True,  True, False, False,  True, False, False])
    """

    index: int = 0
    count: int = 1

    def bounds(self, records: Any) -> tuple[Any, Any]:
        """From which of a batch's records to which: of a number, an array, or a tensor of them."""
        return records * self.index // self.count, records * (self.index + 1) // self.count

    def size(self, total: int, batch_size: int) -> int:
        """How many of so many records, in batches of which the last may be short."""
        full, last = divmod(total, batch_size)
        (first, stop), (first_last, stop_last) = self.bounds(batch_size), self.bounds(last)
        return int(full * (stop - first) + stop_last - first_last)

    def of(self, draws: NDArray[np.int64], total: int, batch_size: int) -> NDArray[np.bool_]:
        """Which of the draws of a pass are this process's.

        Args:
            draws: ``(draws,) int64``, each by its place in the pass.
            total: how many draws the pass makes.
            batch_size: records in a batch.

        Returns:
            ``(draws,) bool``.
        """
        place = draws % batch_size
        first, stop = self.bounds(np.minimum(batch_size, total - draws + place))
        mine: NDArray[np.bool_] = (first <= place) & (place < stop)
        return mine


WHOLE = Share()
"""That of a training in one process."""
