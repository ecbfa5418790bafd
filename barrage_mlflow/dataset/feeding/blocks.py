"""Blocks: stretches of fed records, of any number, from which the steps of a training are cut."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np

from barrage_mlflow.dataset.types import DataRecord

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
        return join_blocks(parts) if parts else None

    def close(self) -> None:
        """Close the generator that the blocks come from, for what it holds open."""
        close: Callable[[], None] | None = getattr(self._blocks, "close", None)
        if close is not None:
            close()


def length(data: DataRecord) -> int:
    """How many records a block holds.

    Example:
        >>> length(({"x": np.zeros((3, 2))},))
        3
    """
    return len(next(iter(data[0].values())))


def cut(data: DataRecord, start: int, stop: int) -> DataRecord:
    """Some records of a block, as views.

    Example:
        >>> cut(({"x": np.arange(4)},), 1, 3)
        ({'x': array([1, 2])},)
    """
    return tuple({name: array[start:stop] for name, array in part.items()} for part in data)


def pick(data: DataRecord, rows: Any) -> DataRecord:
    """The records of a block at these positions, copied.

    Example:
        >>> pick(({"x": np.arange(4)},), np.array([3, 0]))
        ({'x': array([3, 0])},)
    """
    return tuple({name: array.take(rows, axis=0) for name, array in part.items()} for part in data)


def join_blocks(blocks: list[DataRecord]) -> DataRecord:
    """Blocks end to end.

    Example:
        >>> join_blocks([({"x": np.arange(2)},), ({"x": np.arange(1)},)])
        ({'x': array([0, 1, 0])},)
    """
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


def read_ahead(blocks: Iterator[_T], depth: int = 1) -> Generator[_T, None, None]:
    """The same blocks, made by a thread while those before them are in use.

    Args:
        blocks: blocks, or whatever else takes long to make; used by that thread alone from now on.
        depth: how many to hold ready at most.

    Raises:
        Exception: whatever making one raises, in its place in the order.

    Example:
        >>> list(read_ahead(iter([({"x": 1},), ({"x": 2},)])))
        [({'x': 1},), ({'x': 2},)]
    """
    ready: queue.Queue[tuple[_T | None, BaseException | None]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(block: _T | None, error: BaseException | None = None) -> None:
        while not stopped.is_set():
            with suppress(queue.Full):
                ready.put((block, error), timeout=0.1)
                return

    def work() -> None:
        try:
            for block in blocks:
                put(block)
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(None, error)
        finally:
            close: Callable[[], None] | None = getattr(blocks, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="blocks", daemon=True)
    thread.start()
    try:
        while True:
            block, error = ready.get()
            if error is not None:
                raise error
            if block is None:
                return
            yield block
    finally:
        stopped.set()
        thread.join()
