"""Batches for training and validation, in the form that the network is fed with.

They come as blocks: many records at once where the components work on columns, so that neither
the engine nor TensorFlow is called for each batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from barrage_mlflow.dataset.components.augmentors import seeds_globals
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.blocks import read_ahead
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.counts import group_draws, sample_counts
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.feeding.kept import keep_arrays
from barrage_mlflow.dataset.feeding.maker import BlockMaker, DrawTask, KeepTask
from barrage_mlflow.dataset.feeding.order import Order, Window
from barrage_mlflow.dataset.feeding.plan import Plan, make_plan
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import DataRecord, pick
from barrage_mlflow.errors import RecordError

_PICKED_BYTES = 1 << 22
"""About what is picked at once from a set that is kept."""


class _Set:
    """A set of records on its way to the network, as its plan has it.

    Attributes:
        plan: how it is made and kept.
        batch_size: records in a batch.
    """

    def __init__(
        self, maker: BlockMaker, plan: Plan, batch_size: int, feeder: Feeder, role: str
    ) -> None:
        if not len(maker.records):
            owner = maker.records.name or f"the {role} set"
            purpose = {"train": "train on", "validation": "validate on"}[role]
            raise RecordError(f"{owner} holds no records to {purpose}; give at least one")
        self.plan = plan
        self.batch_size = batch_size
        self._maker = maker
        self._role = role
        self._feeder = feeder
        feeder.add(role, maker)
        self._kept: DataRecord | None = None

    def _keep(self) -> DataRecord | None:
        """What is kept of the set, made at the first call; None where nothing is."""
        if self._kept is None and self.plan.kept != "nowhere":
            folder = self._feeder.folder if self.plan.kept == "disk" else None
            self._kept = keep_arrays(
                self._made(), len(self._maker.records), folder and folder / self._role
            )
        return self._kept

    def _made(self) -> Iterator[DataRecord]:
        """The set in its own order, up to what comes before augmentors."""
        records, maker = self._maker.records, self._maker
        if self.plan.form == "record":
            size, count = self.plan.block, len(records)
            yield from self._feeder.make(
                (KeepTask(self._role, at, min(at + size, count)) for at in range(0, count, size)),
                self.plan.workers > 0,
            )
            return
        columns = None if records.row_groups is None else maker.columns
        blocks = (maker.keep(some) for some in records.pieces(columns=columns))
        yield from read_ahead(blocks) if self.plan.is_streamed else blocks

    def _drawn(self, windows: Iterator[Window], epoch: int) -> Iterator[DataRecord]:
        """The draws of an epoch, augmented."""
        kept, maker = self._keep(), self._maker
        if kept is not None and not self.plan.is_varied:
            size = sum(array.nbytes for part in kept for array in part.values())
            count = _PICKED_BYTES * len(maker.records) // max(size, 1)
            # In whole batches, so that few are joined of two blocks.
            for window in _cut(windows, max(1, count // self.batch_size) * self.batch_size):
                yield pick(kept, window.rows)
        elif kept is None and self.plan.form == "batch" and not self.plan.workers:
            blocks = (maker.draw(window, epoch) for window in windows)
            # NumPy's and Python's global generators are seeded for an augmentor on no other thread.
            ahead = not seeds_globals(maker.pipeline.augmentors)
            yield from read_ahead(blocks) if ahead else blocks
        else:
            cut = _cut if self.plan.form == "batch" else _in_batches
            tasks = (
                DrawTask(self._role, window, epoch, kept and pick(kept, window.rows))
                for window in cut(windows, self.plan.block)
            )
            yield from self._feeder.make(tasks, self.plan.workers > 0)


class TrainBatches(_Set):
    """The train batches of every epoch, each a pure function of seed and epoch.

    Args:
        records: the train records.
        pipeline: loads, transforms and augments them.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch, at least 1.
        seed: seeds order and augmentation, at least 0.
        steps: batches in an epoch; left out, an epoch is one pass over the data, whose last
            batch may be short.
        sample_count: the column of how often a pass draws each record; left out, once.
        feeder: what the sets of a training share; left out, blocks are made on this thread.

    Attributes:
        plan: how the set is made and kept; print it.
        steps: batches in an epoch.
        batch_size: records in a batch.

    Raises:
        RecordError: there are no records, or the sample counts are not usable.

    Example:
        >>> from barrage_mlflow.dataset import Blocks, IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": ["a"]}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": i, "b": i} for i in range(5)])
        >>> specs = {"x": ArraySpec((1,), "float32")}
        >>> batches = TrainBatches(records, pipeline, specs, batch_size=2, seed=0)
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
        seed: int,
        steps: int | None = None,
        sample_count: str | None = None,
        feeder: Feeder | None = None,
    ) -> None:
        feeder = feeder or Feeder()
        maker = BlockMaker(records, pipeline, specs, seed, sample_count)
        plan = make_plan(pipeline, specs, records, batch_size, feeder)
        super().__init__(maker, plan, batch_size, feeder, "train")
        of_epoch = None if steps is None else steps * batch_size
        self._order = _order(records, plan, seed, sample_count, of_epoch)
        self.steps = math.ceil(self._order.epoch_draws / batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """The blocks of one epoch: ``(x, y)`` or ``(x, y, w)`` of arrays ``(records, ...)``.

        Args:
            epoch: from 0.
            start: the first batch to give, from 0, where an epoch is resumed.

        Raises:
            RecordError: a record cannot be fed to the network.
            ComponentError: a component broke its contract.
        """
        yield from self._drawn(self._order.epoch(epoch, start * self.batch_size), epoch)


class ValidationBatches(_Set):
    """The validation batches, in the order of the records; the last one may be short.

    The first is made at once, so that a set which does not fit the network (a column that it
    lacks, a shape that differs) is found before an epoch is trained.

    Args:
        records: the validation records.
        pipeline: loads and transforms them.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch.
        feeder: what the sets of a training share; left out, blocks are made on this thread.

    Attributes:
        plan: how the set is made and kept.
        batch_size: records in a batch.

    Raises:
        RecordError: there are no records, or one of the first batch (of all, where the whole set
            is kept) cannot be fed.
        ComponentError: a component broke its contract.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.VALIDATION, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.VALIDATION, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}, {"a": 3, "b": 0}])
        >>> batches = ValidationBatches(records, pipeline, {"x": ArraySpec((1,), "float32")}, 2)
        >>> [y["y"].tolist() for x, y in batches]
        [[0, 1, 0]]
    """

    def __init__(
        self,
        records: Records,
        pipeline: Pipeline,
        specs: Mapping[str, ArraySpec],
        batch_size: int,
        feeder: Feeder | None = None,
    ) -> None:
        feeder = feeder or Feeder()
        maker = BlockMaker(records, pipeline, specs)
        plan = make_plan(pipeline, specs, records, batch_size, feeder)
        super().__init__(maker, plan, batch_size, feeder, "validation")
        if self._keep() is None:
            maker.keep(records[:batch_size])

    def __iter__(self) -> Iterator[DataRecord]:
        """The blocks: ``(x, y)`` or ``(x, y, w)`` of arrays ``(records, ...)``."""
        kept = self._keep()
        return self._made() if kept is None else iter([kept])


def _order(
    records: Records, plan: Plan, seed: int, sample_count: str | None, epoch_draws: int | None
) -> Order:
    """In which order a train set is drawn."""
    if plan.is_streamed:
        # A count for each record would be memory for nothing.
        return Order(group_draws(records, sample_count), seed, plan.window, None, epoch_draws)
    rows = None
    if sample_count is not None:
        rows = np.repeat(np.arange(len(records)), sample_counts(records, sample_count))
    if plan.window is None:
        draws = [len(records) if rows is None else len(rows)]
        return Order(draws, seed, None, rows, epoch_draws)
    rows = np.arange(len(records)) if rows is None else rows
    return Order(group_draws(records, sample_count), seed, plan.window, rows, epoch_draws)


def _cut(windows: Iterable[Window], size: int) -> Iterator[Window]:
    """The same draws in windows of ``size`` draws at most."""
    for window in windows:
        for start in range(0, len(window.rows), size):
            yield window.cut(start, start + size)


def _in_batches(windows: Iterable[Window], size: int) -> Iterator[Window]:
    """The same draws in windows of ``size`` draws each, but for the last of all.

    What is made of components that fit the arrays to the batch must not be joined with others.
    """
    rest: Window | None = None
    for window in windows:
        begin = 0
        if rest is not None:
            begin = size - len(rest.rows)
            rest = rest.join(window.cut(0, begin))
            if len(rest.rows) < size:
                continue
            yield rest
        whole = begin + (len(window.rows) - begin) // size * size
        yield from _cut([window.cut(begin, whole)], size)
        rest = window.cut(whole, len(window.rows)) if whole < len(window.rows) else None
    if rest is not None:
        yield rest
