"""Where blocks are made: on this thread, or in worker processes."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from barrage_mlflow.dataset.feeding.maker import BlockMaker
from barrage_mlflow.dataset.feeding.workers import Workers
from barrage_mlflow.dataset.types import DataRecord
from barrage_mlflow.errors import ComponentError

logger = logging.getLogger(__name__)

Task = tuple[Any, ...]

_SLOW_SECONDS = 5.0
"""Spent on making blocks here, after which processes are worth what they cost to start."""
_MOST_WORKERS = 8
_MOST_BYTES = 1 << 28
"""Of a job that processes are sent without being asked for: its records, if they are in memory."""


class Feeder(AbstractContextManager["Feeder"]):
    """Makes the blocks of one or more sets, and says what is kept of them.

    What comes out does not depend on how: neither on workers nor on the cache.

    Args:
        workers: how many processes load and transform by the record; 0 for none. Left out:
            none, until that has taken this thread 5 seconds; then one for each core, if components
            and records can go there and take less than 256 MiB.
        cache: keep transformed records ``"memory"`` or on ``"disk"``; left out, only those of
            components that work by the batch are kept, in memory.
        shuffle_window: how many draws of a Parquet source to shuffle and hold at once; left out,
            the whole set.
        folder: where a cache on disk goes.

    Attributes:
        workers: as given, like ``cache``, ``shuffle_window`` and ``folder``.

    Example:
        >>> with Feeder(workers=2) as feeder:
        ...     feeder.cache is None
        True
    """

    def __init__(
        self,
        workers: int | None = 0,
        cache: Literal["memory", "disk"] | None = None,
        shuffle_window: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self.cache = cache
        self.shuffle_window = shuffle_window
        self.folder = folder
        self.workers = workers
        self._makers: list[BlockMaker] = []
        self._pool: Workers | None = None
        self._spent = 0.0

    def add(self, maker: BlockMaker) -> Callable[[Iterable[Task]], Iterator[DataRecord]]:
        """Take on a set; returned is what makes its blocks of tasks, in their order."""
        place = len(self._makers)
        self._makers.append(maker)
        self._end_processes()  # they know the sets that there were when they started
        return lambda tasks: self._make(place, tasks)

    @property
    def is_parallel(self) -> bool:
        """Whether blocks are made in processes from the start."""
        return bool(self.workers)

    def _make(self, place: int, tasks: Iterable[Task]) -> Iterator[DataRecord]:
        rest = iter(tasks)
        if self._pool is None and not self.workers:
            for task in rest:
                began = time.perf_counter()
                block = self._makers[place](task)
                self._spent += time.perf_counter() - began
                yield block
                if self.workers is None and self._spent > _SLOW_SECONDS:
                    self._start_if_possible()
                if self._pool is not None:
                    break
            else:
                return
        if self._pool is None:
            self._pool = self._start(self.workers or 0)
        yield from self._pool.map((place, task) for task in rest)

    def _start(self, count: int) -> Workers:
        return Workers(count, _Job(self._makers), self._describe)

    def _start_if_possible(self) -> None:
        """Start processes that nobody asked for; what they cannot do goes on here."""
        cores = min(_cores(), _MOST_WORKERS)
        if cores > 1 and _is_small(_Job(self._makers)):
            pool = self._start(cores)
            try:
                pool.wait()
            except ComponentError as error:
                logger.info("records are made on the training thread: %s", error)
            else:
                self._pool = pool
                return
        self.workers = 0

    def close(self) -> None:
        """End the processes, and remove a cache on disk."""
        self._end_processes()
        if self.cache == "disk" and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _describe(self, task: tuple[int, Task]) -> str:
        place, (method, *arguments) = task
        owner = self._makers[place].records.owner
        if method == "keep":
            start, stop = arguments
            return f"records {start} to {stop - 1} of {owner}"
        *_, drawn, first, epoch = arguments
        return f"{len(drawn)} records of {owner}, from draw {first} of epoch {epoch + 1} on"


class _Job:
    """What a worker process holds: the makers of all sets."""

    def __init__(self, makers: list[BlockMaker]) -> None:
        self._makers = makers

    def __call__(self, task: tuple[int, Task]) -> DataRecord:
        place, rest = task
        return self._makers[place](rest)


class _Count:
    """A file that only counts what is written to it, up to a limit."""

    def __init__(self) -> None:
        self._size = 0

    def write(self, data: bytes) -> None:
        self._size += memoryview(data).nbytes
        if self._size > _MOST_BYTES:
            raise OverflowError


def _is_small(job: _Job) -> bool:
    """Whether a job can be sent to processes, and leaves memory enough if each holds it."""
    try:
        pickle.Pickler(_Count(), pickle.HIGHEST_PROTOCOL).dump(job)
    except Exception:  # whatever a component raises that cannot be pickled
        return False
    return True


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
