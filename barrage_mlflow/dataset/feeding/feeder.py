"""Makes blocks of records that went through the pipeline and fit the network, here or elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np

from barrage_mlflow.dataset.components.augmentors import augment
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.reading import SAMPLE, columns_read
from barrage_mlflow.dataset.feeding.conform import ArraySpec, TargetRange, conform
from barrage_mlflow.dataset.feeding.order import Window
from barrage_mlflow.dataset.feeding.workers import Workers
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import DataRecord, pick
from barrage_mlflow.errors import RecordError

Cache = Literal["memory", "disk"]


@dataclass(eq=False)
class BlockMaker:
    """Makes blocks of one set of records, here or in a worker process.

    A block is a pure function of what :meth:`make` is given.

    Attributes:
        records: the set.
        pipeline: loads, transforms and augments; made by ``load_pipeline`` if the maker is to
            go to another process.
        specs: what the network takes: input name → spec.
        seed: seeds the augmentors.
        sample_count: the column of how often a pass draws each record of a row group.
        ranges: the outputs whose loss does not take every number as a target.

    Example:
        >>> import numpy as np
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}])
        >>> maker = BlockMaker(records, pipeline, {"x": ArraySpec((), "float32")})
        >>> maker.make(Window(np.array([1, 0]), np.array([0, 1]), epoch=0))
        ({'x': array([2., 1.], dtype=float32)}, {'y': array([1, 0])})
    """

    records: Records
    pipeline: Pipeline
    specs: Mapping[str, ArraySpec]
    seed: int = 0
    sample_count: str | None = None
    ranges: Mapping[str, TargetRange] | None = None
    _read: tuple[tuple[tuple[int, int], ...], Records] | None = None

    @cached_property
    def columns(self) -> list[str]:
        """The columns that loading reads, which are read from a file together."""
        return list(columns_read(self.pipeline.loader, self.records[:SAMPLE]))

    def make(self, window: Window, cached: DataRecord | None = None) -> DataRecord:
        """The block of a window.

        Args:
            window: the draws of an epoch, which are augmented; or records of the set.
            cached: what the cache has of draws that are to be augmented.
        """
        if window.epoch is None:
            first, last = window.rows[[0, -1]]
            piece = self.records[first : last + 1]  # as they follow each other they are read once
            return self.make_plain(
                piece if len(piece) == len(window.rows) else piece.take(window.rows - first)
            )
        records = self._source(window).take(window.rows)
        augmentors = self.pipeline.augmentors
        if not augmentors:
            return self.make_plain(records)
        data = self.make_plain(records) if cached is None else cached
        varied = augment(
            data, augmentors, records, seed=self.seed, epoch=window.epoch, draws=window.draws
        )
        try:
            return conform(varied, self.specs, records, self.pipeline, self.ranges)
        except RecordError as error:
            names = ", ".join(augmentor.name for augmentor in augmentors)
            error.add_note(f"what was fed had come through the augmentors: {names}")
            raise

    def make_plain(self, records: Records) -> DataRecord:
        """Records up to what comes before augmentors, which is the same in every epoch."""
        data = self.pipeline.load_and_transform(records)
        if self.pipeline.augmentors:
            return data
        return conform(data, self.specs, records, self.pipeline, self.ranges)

    def _source(self, window: Window) -> Records:
        """What the rows of a window count: the set, or the row groups that it draws from."""
        if not window.groups:
            return self.records
        if self._read is None or self._read[0] != window.groups:
            self._read = None  # not two at once
            groups = [group for group, _ in window.groups]
            key = self.sample_count
            read = self.records.read_groups(groups, [*self.columns, *([key] if key else [])])
            if key:
                counts = read[key].astype(np.int64)
                read = read.take(np.repeat(np.arange(len(read)), counts))
            self._read = (window.groups, read)
        return self._read[1]


@dataclass(eq=False)
class Feeder(AbstractContextManager["Feeder"]):
    """Feeds the sets of a training as the config's ``dataset`` section has it.

    What comes out does not depend on how: neither on workers nor on the cache.

    Attributes:
        workers: how many processes make records where a component works by the record; 0 for
            none.
        cache: keep transformed records in ``"memory"`` or on ``"disk"``; left out, only those of
            components that work by the batch are kept, in memory.
        shuffle_window: how many draws of a Parquet source to shuffle at once, unless a single row
            group has more; left out, the whole set.
        folder: where a cache on disk goes; removed at the end.

    Example:
        >>> with Feeder(workers=2) as feeder:
        ...     feeder.workers
        2
    """

    workers: int = 0
    cache: Cache | None = None
    shuffle_window: int | None = None
    folder: Path | None = None
    _makers: dict[str, BlockMaker] = field(default_factory=dict, init=False)
    _pool: Workers | None = field(default=None, init=False)

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

    def __exit__(self, *raised: object) -> None:
        """End the processes, and remove the folder of a cache on disk."""
        self._end_processes()
        if self.cache == "disk" and self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _end_processes(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _make_block(
    makers: Mapping[str, BlockMaker], task: tuple[str, Window, DataRecord | None]
) -> DataRecord:
    """The job of a worker process."""
    role, window, cached = task
    return makers[role].make(window, cached)
