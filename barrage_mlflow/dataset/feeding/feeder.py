"""What the sets of a training share: worker processes, and the folder of a cache on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Literal

from barrage_mlflow.dataset.feeding.block_maker import BlockMaker
from barrage_mlflow.dataset.feeding.order import Window
from barrage_mlflow.dataset.feeding.workers import Workers
from barrage_mlflow.dataset.types import DataRecord, pick

Cache = Literal["memory", "disk"]


class Feeder(AbstractContextManager["Feeder"]):
    """Feeds the sets of a training as the config's ``dataset`` section has it.

    What comes out does not depend on how: neither on workers nor on the cache.

    Args:
        workers: how many processes make records where a component works by the record; 0 for
            none.
        cache: keep transformed records in ``"memory"`` or on ``"disk"``; left out, only those of
            components that work by the batch are kept, in memory.
        shuffle_window: how many draws of a Parquet source to shuffle at once, unless a single row
            group has more; left out, the whole set.
        folder: where a cache on disk goes; removed at the end.

    Attributes:
        workers: as given, like ``cache`` and ``shuffle_window``.
        folder: where a cache on disk goes; None where there is none.

    Example:
        >>> with Feeder(workers=2) as feeder:
        ...     feeder.workers
        2
    """

    def __init__(
        self,
        workers: int = 0,
        cache: Cache | None = None,
        shuffle_window: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self.workers = workers
        self.cache = cache
        self.shuffle_window = shuffle_window
        self.folder = folder if cache == "disk" else None
        self._makers: dict[str, BlockMaker] = {}
        self._pool: Workers | None = None

    def add(self, role: str, maker: BlockMaker) -> None:
        """Take on the set of a role."""
        self._makers[role] = maker
        self._end_processes()  # they know the sets that there were when they started

    def make(
        self,
        role: str,
        windows: Iterable[Window],
        in_processes: bool,
        cached: DataRecord | None = None,
    ) -> Iterator[DataRecord]:
        """The blocks of windows of the set of a role, in their order.

        Args:
            role: of the set.
            windows: each makes a block.
            in_processes: whether the processes make them, or this thread.
            cached: the cached set, if they are to be made of that.
        """
        tasks = ((role, window, cached and pick(cached, window.rows)) for window in windows)
        job = partial(_make_block, self._makers)
        if not in_processes:
            yield from map(job, tasks)
            return
        if self._pool is None:
            self._pool = Workers(self.workers, job)
        yield from self._pool.map(tasks, lambda task: f"{task[1]} of the {role} set")

    def close(self) -> None:
        """End the processes, and remove the folder of a cache on disk."""
        self._end_processes()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def __exit__(self, *raised: object) -> None:
        self.close()


def _make_block(
    makers: Mapping[str, BlockMaker], task: tuple[str, Window, DataRecord | None]
) -> DataRecord:
    """The job of a worker process."""
    role, window, cached = task
    return makers[role].make(window, cached)
