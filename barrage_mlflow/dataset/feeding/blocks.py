"""Blocks: fed records, of any number, from which the batches of a training are cut."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

import numpy as np

from barrage_mlflow.dataset.types import DataRecord, cut, length

_T = TypeVar("_T")


class Blocks:
    """Records at the front of blocks, taken in any number.

    Args:
        blocks: data records of arrays ``(records, ...)``, in the order of the draws. Blocks that
            differ in more than their number of records must be whole batches.

    Example:
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
            if block is None or (parts and not _is_alike(parts[0], block)):
                break
            size = length(block)
            self._rest = cut(block, wanted, size) if size > wanted else None
            parts.append(cut(block, 0, wanted) if size > wanted else block)
            wanted -= min(size, wanted)
        return _join(parts) if parts else None

    def close(self) -> None:
        """Close the generator that the blocks come from, for what it keeps open."""
        _close(self._blocks)


def _join(blocks: list[DataRecord]) -> DataRecord:
    """Blocks end to end."""
    if len(blocks) == 1:
        return blocks[0]
    return tuple(
        {name: np.concatenate([block[place][name] for block in blocks]) for name in part}
        for place, part in enumerate(blocks[0])
    )


def _is_alike(left: DataRecord, right: DataRecord) -> bool:
    return len(left) == len(right) and all(
        ours.keys() == theirs.keys()
        and all(
            array.dtype == theirs[name].dtype and array.shape[1:] == theirs[name].shape[1:]
            for name, array in ours.items()
        )
        for ours, theirs in zip(left, right, strict=True)
    )


def read_ahead(blocks: Iterator[_T]) -> Generator[_T, None, None]:
    """The same blocks, each made by a thread while the one before it is in use.

    Args:
        blocks: blocks, or whatever else takes long to make.

    Raises:
        Exception: whatever making one raises, in its place in the order.

    Example:
        >>> list(read_ahead(iter([({"x": 1},), ({"x": 2},)])))
        [({'x': 1},), ({'x': 2},)]
    """
    # Queues of this kind are the ones that Ctrl-C cannot leave locked.
    wanted: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[tuple[_T | None, BaseException | None]] = SimpleQueue()

    def work() -> None:
        while wanted.get():
            try:
                made.put((next(blocks, None), None))
            except BaseException as error:
                made.put((None, error))

    thread = threading.Thread(target=work, name="blocks", daemon=True)
    thread.start()
    try:
        wanted.put(True)
        while True:
            block, error = made.get()
            if error is not None:
                raise error
            if block is None:
                return
            wanted.put(True)
            yield block
    finally:
        wanted.put(False)
        thread.join()
        _close(blocks)


def _close(blocks: Iterator[object]) -> None:
    close: Callable[[], None] | None = getattr(blocks, "close", None)
    if close is not None:
        close()
