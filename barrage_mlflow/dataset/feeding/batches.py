"""Batches for training and validation, in the form that the network is fed with.

They come as blocks: many records at once where the components work on columns, so that neither
the engine nor TensorFlow is called for each batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.blocks import read_ahead
from barrage_mlflow.dataset.feeding.cache import cache_arrays
from barrage_mlflow.dataset.feeding.conform import ArraySpec, TargetRange
from barrage_mlflow.dataset.feeding.feeder import BlockMaker, Feeder
from barrage_mlflow.dataset.feeding.order import Order, Window
from barrage_mlflow.dataset.feeding.plan import FeedPlan, make_feed_plan
from barrage_mlflow.dataset.feeding.sample_counts import group_draws, sample_counts
from barrage_mlflow.dataset.feeding.share import WHOLE, Share
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.tables import PIECE
from barrage_mlflow.dataset.types import Array, DataRecord, pick
from barrage_mlflow.errors import RecordError


class Batches:
    """A set as batches: in its own order, or as epochs draw it.

    Each epoch is a pure function of seed and epoch.

    Args:
        records: the set.
        pipeline: loads and transforms them, and augments those that epochs draw.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch, at least 1; those of all processes of a training.
        feeder: what the sets of a training share; left out, blocks are made on this thread.
        seed: seeds order and augmentation, at least 0.
        steps: batches in an epoch; left out, an epoch is one pass over the data, whose last
            batch may be short.
        sample_count: the column of how often a pass draws each record; left out, once.
        ranges: the outputs whose loss does not take every number as a target.
        share: the part of each batch that this process takes; no others are given.

    Attributes:
        plan: how the set is made and cached; print it.
        batch_size: records in a batch.
        draws: records in an epoch, those of all processes.
        steps: batches in an epoch.

    Raises:
        RecordError: there are no records, or the sample counts are not usable.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> from barrage_mlflow.dataset.feeding.blocks import Blocks
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": ["a"]}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": i, "b": i} for i in range(5)])
        >>> batches = Batches(records, pipeline, {"x": ArraySpec((1,), "float32")}, batch_size=2)
        >>> [y["y"].tolist() for x, y in batches]
        [[0, 1, 2, 3, 4]]
        >>> blocks = Blocks(batches.epoch(0))
        >>> [blocks.take(2)[0]["x"].shape for _ in range(batches.steps)]
        [(2, 1), (2, 1), (1, 1)]
        >>> print(batches.plan)
        by columns; made once and kept in memory
    """

    def __init__(
        self,
        records: Records,
        pipeline: Pipeline,
        specs: Mapping[str, ArraySpec],
        batch_size: int,
        feeder: Feeder | None = None,
        seed: int = 0,
        steps: int | None = None,
        sample_count: str | None = None,
        ranges: Mapping[str, TargetRange] | None = None,
        share: Share = WHOLE,
    ) -> None:
        if not len(records):
            raise RecordError(f"{records.owner} holds no records; give at least one")
        self._feeder = feeder or Feeder()
        self.plan = make_feed_plan(pipeline, specs, records, batch_size, self._feeder)
        self.batch_size = batch_size
        self._maker = BlockMaker(records, pipeline, specs, seed, sample_count, ranges)
        self._role = pipeline.loader.mode.value
        self._feeder.add(self._role, self._maker)
        self._cached: dict[Share, DataRecord] = {}
        self._share = share
        drawn = None if steps is None else steps * batch_size
        self._order = _order(records, self.plan, seed, sample_count, drawn)
        self.draws = self._order.epoch_draws
        self.steps = math.ceil(self.draws / batch_size)

    def __iter__(self) -> Iterator[DataRecord]:
        """The blocks of the set in its own order, without augmentors; as :meth:`epoch` has them."""
        return self._through(self._share)

    def __len__(self) -> int:
        """How many records the set has, those of all processes."""
        return len(self._maker.records)

    def _through(self, share: Share) -> Iterator[DataRecord]:
        cached = self._cache(share)
        return self._made(share) if cached is None else iter([cached])

    def _cache(self, share: Share) -> DataRecord | None:
        """The cached share of the set, made at the first call; None where it is not cached."""
        if self.plan.cache is None:
            return None
        if share not in self._cached:
            folder = self._feeder.folder if self.plan.cache == "disk" else None
            count = share.of(np.arange(len(self)), len(self), self.batch_size).sum()
            self._cached[share] = cache_arrays(self._made(share), int(count), folder)
        return self._cached[share]

    def _made(self, share: Share) -> Iterator[DataRecord]:
        """A share of the set in its own order, up to what comes before augmentors."""
        records, count = self._maker.records, len(self)
        if self.plan.form == "record":
            size = self.plan.block
            rows = (np.arange(at, min(at + size, count)) for at in range(0, count, size))
            windows = self._shared((Window(each, each) for each in rows), count, share)
            return self._feeder.make(self._role, windows, self.plan.workers > 0)
        columns = None if records.row_groups() is None else self._maker.columns
        # Not in a loop, whose name would hold on to a row group while the next one is read.
        size = self.plan.block if records.has_files else PIECE
        pieces = records.pieces(size, columns)
        if share.count > 1:
            pieces = filter(len, map(_Taker(share, count, self.batch_size), pieces))
        blocks = map(self._maker.make_plain, pieces)
        return read_ahead(blocks) if self.plan.is_streamed else blocks

    def _shared(
        self, windows: Iterable[Window], total: int, share: Share | None = None
    ) -> Iterator[Window]:
        """Of the draws of a pass of so many, a share; windows that have none of it are left out."""
        share = share or self._share
        if share.count == 1:
            yield from windows
            return
        for window in windows:
            mine = window.take(share.of(window.draws, total, self.batch_size))
            if len(mine.rows):
                yield mine

    def targets(self) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        """The targets of the set, in parts, and by output how often a pass draws each of them.

        A record of weight 0, whose target may be missing, counts as never drawn.
        """
        records, key = self._maker.records, self._maker.sample_count
        draws = np.ones(len(records), np.int64) if key is None else sample_counts(records, key)
        for _, y, *w in self._through(WHOLE):
            size = len(next(iter(y.values())))
            there = {
                name: weights.reshape(size, -1).any(axis=1)
                for part in w
                for name, weights in part.items()
            }
            yield y, {name: draws[:size] * there.get(name, True) for name in y}
            draws = draws[size:]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """The blocks of one epoch: ``(x, y)`` or ``(x, y, w)`` of arrays ``(records, ...)``.

        Args:
            epoch: from 0.
            start: the first batch to give, from 0, where an epoch is resumed.

        Raises:
            RecordError: a record cannot be fed to the network.
            ComponentError: a component broke its contract.
        """
        windows = self._order.epoch(epoch, start * self.batch_size)
        cached, plan = self._cache(WHOLE), self.plan
        if plan.form == "record" and (cached is None or plan.is_varied):
            windows = _in_batches(windows, plan.block)
        elif cached is not None or not plan.reads_windows:
            windows = _cut(windows, plan.block)
        windows = self._shared(windows, self.draws)
        if cached is not None and not plan.is_varied:
            return (pick(cached, window.rows) for window in windows)
        blocks = self._feeder.make(self._role, windows, plan.workers > 0, cached)
        # NumPy's and Python's global generators are seeded for an augmentor on no other thread.
        seeds = any(augmentor.seeds_globals for augmentor in self._maker.pipeline.augmentors)
        return read_ahead(blocks) if plan.reads_windows and not seeds else blocks


@dataclass
class _Taker:
    """Takes a share of the records of pieces that follow each other."""

    share: Share
    total: int
    batch_size: int
    done: int = 0

    def __call__(self, piece: Records) -> Records:
        draws = np.arange(self.done, self.done + len(piece))
        self.done += len(piece)
        return piece.take(np.flatnonzero(self.share.of(draws, self.total, self.batch_size)))


def _order(
    records: Records, plan: FeedPlan, seed: int, sample_count: str | None, epoch_draws: int | None
) -> Order:
    """In which order a train set is drawn."""
    rows = None
    if not plan.is_streamed and (sample_count is not None or plan.window is not None):
        counts = 1 if sample_count is None else sample_counts(records, sample_count)
        rows = np.repeat(np.arange(len(records)), counts)
    if plan.window is not None:
        draws = group_draws(records, sample_count)
    else:
        draws = [len(records) if rows is None else len(rows)]
    return Order(draws, seed, plan.window, rows, epoch_draws)


def _cut(windows: Iterable[Window], size: int) -> Iterator[Window]:
    """The same draws in windows of ``size`` draws at most."""
    for window in windows:
        for start in range(0, len(window.rows), size):
            yield window.take(slice(start, start + size))


def _in_batches(windows: Iterable[Window], size: int) -> Iterator[Window]:
    """The same draws in windows of ``size`` draws each, but for the last of all.

    What is made of components that fit the arrays to the batch must not be joined with others.
    """
    front: Window | None = None
    for window in windows:
        start = 0
        while start < len(window.rows):
            stop = start + size - (0 if front is None else len(front.rows))
            piece = window.take(slice(start, stop))
            front = piece if front is None else front.join(piece)
            start = stop
            if len(front.rows) == size:
                yield front
                front = None
    if front is not None:
        yield front
