"""The order of records that are streamed: row groups shuffled, then the records in a window.

Like the order of an epoch it is a pure function of the seed and of where in it one stands, so
that training goes on from any draw without what lies before being read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from barrage_mlflow.errors import RecordError


class Windows:
    """Passes over row groups, each cut into windows that are shuffled for themselves.

    In each pass the row groups stand in a new order. Their draws, laid end to end, are cut into
    windows of ``window`` draws, of which the last may be short, and those of each window are put
    in an order of its own. With a window as long as a pass, every order is possible.

    Args:
        sizes: how many draws a pass makes of each row group: its records, or the sum of their
            sample counts.
        window: draws in a window, at least 1.
        seed: at least 0.

    Attributes:
        draws: how many a pass makes.
        count: how many windows a pass has.

    Raises:
        RecordError: there is nothing to draw.

    Example:
        >>> windows = Windows([2, 3], window=4, seed=7)
        >>> windows.draws, windows.count
        (5, 2)
        >>> windows.parts(0, 0), windows.parts(0, 1)
        ([(0, 0, 2), (1, 0, 2)], [(1, 2, 3)])
    """

    def __init__(self, sizes: Sequence[int], window: int, seed: int) -> None:
        self._sizes = np.asarray(sizes, dtype=np.int64)
        self._window = window
        self._seed = seed
        self.draws = int(self._sizes.sum())
        self.count = -(-self.draws // window)
        if not self.draws:
            raise RecordError("there is no record to draw; give at least one, drawn at least once")
        self._groups = lru_cache(maxsize=2)(self._order_groups)

    def size(self, index: int) -> int:
        """How many draws a window of a pass has."""
        return min(self._window, self.draws - index * self._window)

    def parts(self, pass_number: int, index: int) -> list[tuple[int, int, int]]:
        """What a window draws, in the order in which it is to be read.

        Args:
            pass_number: from 0.
            index: of the window in the pass, from 0.

        Returns:
            Row group, first draw and the draw behind the last, both counted within the group.
        """
        order, ends = self._groups(pass_number)
        start = index * self._window
        stop = start + self.size(index)
        parts = []
        place = int(np.searchsorted(ends, start, side="right"))
        while start < stop:
            group = int(order[place])
            begin = int(ends[place] - self._sizes[group])
            last = min(stop, int(ends[place]))
            if start < last:  # a row group may have no draws
                parts.append((group, start - begin, last - begin))
            start = max(start, last)
            place += 1
        return parts

    def permutation(self, pass_number: int, index: int) -> NDArray[np.int64]:
        """The order of a window's draws: positions ``(draws,) int64`` in what its parts make.

        Example:
            >>> sorted(Windows([5], window=3, seed=0).permutation(0, 1).tolist())
            [0, 1]
        """
        return self._generator(pass_number, index).permutation(self.size(index))

    def from_draw(self, draw: int) -> Iterator[tuple[int, int, int]]:
        """The windows from a draw on, without end.

        Args:
            draw: counted from 0 over all passes.

        Yields:
            The pass, the window's index in it, and how many of its draws, in its own order, lie
            before ``draw``: 0 for all but the first.

        Example:
            >>> from itertools import islice
            >>> list(islice(Windows([5], window=3, seed=0).from_draw(9), 3))
            [(1, 1, 1), (2, 0, 0), (2, 1, 0)]
        """
        pass_number, within = divmod(draw, self.draws)
        index, skip = divmod(within, self._window)
        while True:
            yield pass_number, index, skip
            skip = 0
            index += 1
            if index == self.count:
                pass_number, index = pass_number + 1, 0

    def _order_groups(self, pass_number: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The row groups in the order of a pass, and at which draw each ends."""
        order = self._generator(pass_number).permutation(len(self._sizes))
        return order, np.cumsum(self._sizes[order])

    def _generator(self, pass_number: int, *index: int) -> np.random.Generator:
        # A window's number is its spawn key: behind the others, 0 would change nothing.
        seeds = np.random.SeedSequence([self._seed, pass_number], spawn_key=index)
        return np.random.Generator(np.random.PCG64(seeds))
