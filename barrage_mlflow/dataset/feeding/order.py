"""The order in which records are drawn: a pure function of the seed and of where it is asked for.

So an epoch can be repeated, or resumed in its middle, from two integers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Window:
    """Draws of an epoch, in their order.

    Attributes:
        rows: ``(draws,) int64``: which record each draws, as its position in the set; or, with
            ``groups``, as a position among the draws of those.
        draws: ``(draws,) int64``: which draw of the epoch each is.
        groups: the row groups to read, and how many draws a pass makes of each.
        epoch: from 0; None where the draws are records of the set as they follow each other.

    Example:
        >>> window = Window(np.array([4, 2, 7]), np.array([10, 11, 12]))
        >>> window.take(slice(1, 3)).rows, window.take(slice(1, 3)).draws
        (array([2, 7]), array([11, 12]))
    """

    rows: NDArray[np.int64]
    draws: NDArray[np.int64]
    groups: tuple[tuple[int, int], ...] = ()
    epoch: int | None = None

    def __str__(self) -> str:
        what, of = (
            ("records", "") if self.epoch is None else ("draws", f" of epoch {self.epoch + 1}")
        )
        return f"{what} {self.draws[0]} to {self.draws[-1]}{of}"

    def take(self, which: slice | NDArray[np.bool_]) -> Window:
        """Some of the draws."""
        return replace(self, rows=self.rows[which], draws=self.draws[which])

    def join(self, other: Window) -> Window:
        """These draws and those of the window that follows."""
        offset = sum(draws for _, draws in self.groups)
        rows = np.concatenate([self.rows, other.rows + offset])
        draws = np.concatenate([self.draws, other.draws])
        return replace(self, rows=rows, draws=draws, groups=self.groups + other.groups)


class Order:
    """Passes over a set without end, each a new permutation, cut into epochs.

    A set of row groups is drawn in windows: in each pass the groups come in a new order, as many
    of them as make no more than ``window`` draws are a window, at least one, and the draws of a
    window are put in an order of their own. Without ``window`` the whole set is one.

    Args:
        draws: how many draws a pass makes of each row group; of a set in memory, of the whole;
            at least one.
        seed: at least 0.
        window: draws in a window, at most, unless a single row group has more.
        rows: ``(draws,) int64``: the position in the set of each draw of a pass, in the set's
            order; left out where a set in memory has each record drawn once, and where windows
            are read as row groups.
        epoch_draws: how many draws an epoch makes; left out, epoch e is pass e. Given, each epoch
            goes on where the one before it ended, so that no record is starved.

    Attributes:
        epoch_draws: how many draws an epoch makes.

    Example:
        >>> [window.rows.tolist() for window in Order([4], seed=7).epoch(0)]
        [[0, 2, 1, 3]]
        >>> [window.groups for window in Order([3, 2, 4], seed=7, window=6).epoch(0)]
        [((0, 3),), ((2, 4), (1, 2))]
    """

    def __init__(
        self,
        draws: Sequence[int],
        seed: int,
        window: int | None = None,
        rows: NDArray[np.int64] | None = None,
        epoch_draws: int | None = None,
    ) -> None:
        self._draws = list(draws)
        self._seed = seed
        self._window = window
        self._rows = rows
        self._starts = np.cumsum([0, *draws]).tolist()
        self._pass_draws = self._starts[-1]
        self.epoch_draws = self._pass_draws if epoch_draws is None else epoch_draws

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Window]:
        """The windows of an epoch.

        Args:
            epoch: from 0.
            start: the first draw to give, from 0, where an epoch is resumed.
        """
        first = start
        number, skipped = divmod(epoch * self.epoch_draws + start, self._pass_draws)
        while first < self.epoch_draws:
            for index, groups in enumerate(self._windows(number)):
                size = sum(self._draws[group] for group in groups)
                if skipped >= size:
                    skipped -= size
                    continue
                stop = min(size, skipped + self.epoch_draws - first)
                rows, read = self._drawn(number, index, groups)
                after = first + stop - skipped
                yield Window(rows[skipped:stop], np.arange(first, after), read, epoch)
                first = after
                skipped = 0
                if first == self.epoch_draws:
                    return
            number += 1

    def _windows(self, number: int) -> list[list[int]]:
        """The row groups of each window of a pass; those without a draw are left out."""
        if self._window is None:
            return [list(range(len(self._draws)))]
        windows: list[list[int]] = []
        room = 0
        for group in self._generator(number).permutation(len(self._draws)).tolist():
            draws = self._draws[group]
            if draws > room or not windows:
                windows.append([])
                room = self._window
            if draws:
                windows[-1].append(group)
                room -= draws
        return windows

    def _drawn(
        self, number: int, index: int, groups: Sequence[int]
    ) -> tuple[NDArray[np.int64], tuple[tuple[int, int], ...]]:
        """The rows of a window of a pass in the order of the draws, and the groups to read."""
        generator = self._generator(number, *([] if self._window is None else [index]))
        order = generator.permutation(sum(self._draws[group] for group in groups))
        if self._window is None:
            return order if self._rows is None else self._rows[order], ()
        if self._rows is None:
            return order, tuple((group, self._draws[group]) for group in groups)
        ends = [(self._starts[group], self._starts[group + 1]) for group in groups]
        return np.concatenate([self._rows[start:stop] for start, stop in ends])[order], ()

    def _generator(self, number: int, *index: int) -> np.random.Generator:
        # A window's index is its spawn key: behind the others, 0 would change nothing.
        seeds = np.random.SeedSequence([self._seed, number], spawn_key=index)
        return np.random.Generator(np.random.PCG64(seeds))
