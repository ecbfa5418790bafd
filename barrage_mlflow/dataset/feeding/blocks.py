"""Blocks: fed records, of any number, from which the batches of a training are cut."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from barrage_mlflow.dataset.types import DataRecord, cut, join, length

_T = TypeVar("_T")


class Blocks:
    """Records at the front of blocks, taken in any number.

    Args:
        blocks: data records of arrays ``(records, ...)``, in the order of the draws. Blocks that
            differ in more than their number of records must be whole batches.

    Example:
        >>> import numpy as np
        >>> blocks = Blocks([({"x": np.arange(3)},), ({"x": np.arange(3, 5)},)])
        >>> blocks.take(2), blocks.take(2), blocks.take(2), blocks.take(2)
        (({'x': array([0, 1])},), ({'x': array([2, 3])},), ({'x': array([4])},), None)
    """

    def __init__(self, blocks: Iterable[DataRecord]) -> None:
        self._blocks = iter(blocks)
        self._rest: DataRecord | None = None

    def take(self, count: int) -> DataRecord | None:
        """The next ``count`` records: arrays ``(count, ...)``; not to be changed.

        Fewer at the end, and where the next block has other shapes or dtypes. None at the end.
        """
        parts: list[DataRecord] = []
        wanted = count
        while wanted:
            block = next(self._blocks, None) if self._rest is None else self._rest
            self._rest = block
            if block is None or (parts and _form(parts[0]) != _form(block)):
                break
            size = length(block)
            self._rest = cut(block, wanted, size) if size > wanted else None
            parts.append(cut(block, 0, wanted) if size > wanted else block)
            wanted -= min(size, wanted)
        return join(parts) if len(parts) > 1 else next(iter(parts), None)

    def close(self) -> None:
        """Close the generator that the blocks come from, for what it keeps open."""
        _close(self._blocks)


def _form(block: DataRecord) -> list[tuple[object, ...]]:
    """What blocks must have in common to be joined."""
    return [
        (place, name, array.dtype, array.shape[1:])
        for place, part in enumerate(block)
        for name, array in part.items()
    ]


def _close(blocks: Iterator[object]) -> None:
    if isinstance(blocks, Generator):
        blocks.close()


def read_ahead(blocks: Iterator[_T]) -> Generator[_T, None, None]:
    """The same blocks, each made by a thread while the one before it is in use.

    Args:
        blocks: blocks, or whatever else takes long to make.

    Raises:
        Exception: whatever making one raises, in its place in the order.

    Example:
        >>> list(read_ahead(({"x": number} for number in (1, 2))))
        [{'x': 1}, {'x': 2}]
    """
    try:
        with ThreadPoolExecutor(1, "blocks") as thread:
            coming = thread.submit(next, blocks, None)
            while (block := coming.result()) is not None:
                coming = thread.submit(next, blocks, None)
                yield block
    finally:
        _close(blocks)
