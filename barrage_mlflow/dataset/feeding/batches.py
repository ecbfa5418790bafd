"""Batches for training and validation, in the form that the network is fed with.

They come as blocks: many records at once where the components work on columns, so that neither
the engine nor TensorFlow is called for each batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from barrage_mlflow.dataset.components.augmentors import seeds_globals
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.blocks import read_ahead
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.dataset.feeding.maker import BlockMaker, Part
from barrage_mlflow.dataset.feeding.order import epoch_rows, epoch_steps, group_draws, sample_counts
from barrage_mlflow.dataset.feeding.resident import MixedRecordsError, ResidentRecords
from barrage_mlflow.dataset.feeding.windows import Windows
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Array, DataRecord
from barrage_mlflow.errors import RecordError

Stretch = tuple[list[Part], NDArray[np.int64], int]
"""The parts of a window, the draws to take of it, and which draw of the epoch is the first."""

_BLOCK_BYTES = 1 << 20
_BLOCK_RECORDS = 1024
"""What is made by the record at once, at most."""


class TrainBatches:
    """The train batches of every epoch, each a pure function of seed and epoch.

    Args:
        records: the train records.
        pipeline: loads, transforms and augments them.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch, at least 1.
        seed: seeds order and augmentation, at least 0.
        steps: batches in an epoch; left out, an epoch is one pass over the data, whose last
            batch may be short.
        sample_count: the column that says how often a pass draws each record; left out, once.
        feeder: where blocks are made and what is kept; left out, on this thread.

    Attributes:
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
        _check_not_empty(records, "train")
        feeder = feeder or Feeder()
        self.batch_size = batch_size
        self._seed = seed
        self._given_steps = steps
        self._counts: int | Array = len(records)
        self._windows, self._groups = None, records.row_groups
        if self._groups is not None and feeder.shuffle_window is not None:
            draws = group_draws(records, sample_count)
            self._windows = Windows(draws, feeder.shuffle_window, seed)
        # A count for each record of a set that is streamed is memory for nothing.
        if sample_count is not None and (self._windows is None or feeder.cache is not None):
            self._counts = sample_counts(records, sample_count)
        drawn = self._counts if self._windows is None else self._windows.draws
        self.steps = epoch_steps(drawn, steps, batch_size)
        maker = BlockMaker(records, pipeline, specs, seed, sample_count)
        self._set = _Set(maker, specs, batch_size, feeder, "train")

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """The blocks of one epoch: ``(x, y)`` or ``(x, y, w)`` of arrays ``(records, ...)``.

        Args:
            epoch: from 0.
            start: the first batch to give, from 0, where an epoch is resumed.

        Raises:
            RecordError: a record cannot be fed to the network.
            ComponentError: a component broke its contract.
        """
        self._set.prepare()
        first = start * self.batch_size
        if self._windows is None:
            rows = epoch_rows(self._counts, self._seed, epoch, self._given_steps, self.batch_size)
            yield from self._set.draw(rows, first, epoch)
            return
        stretches = self._stretches(self._windows, epoch, first)
        if self._set.kept is None:
            yield from self._set.windows(stretches, epoch)
            return
        for parts, order, draw in stretches:
            yield from self._set.draw(self._window_rows(parts)[order], 0, epoch, draw)

    def _stretches(self, windows: Windows, epoch: int, first: int) -> Iterator[Stretch]:
        total = windows.draws
        if self._given_steps is not None:
            total = self._given_steps * self.batch_size
        draw = first
        for number, index, skip in windows.from_draw(epoch * total + first):
            if draw >= total:
                return
            stop = min(windows.size(index), skip + total - draw)
            order = windows.permutation(number, index)[skip:stop]
            yield windows.parts(number, index), order, draw
            draw += stop - skip

    def _window_rows(self, parts: list[Part]) -> NDArray[np.int64]:
        """The rows of the set that the parts of a window draw."""
        starts = np.cumsum([0, *(self._groups or [])])
        rows = []
        for group, begin, end in parts:
            of_group = np.arange(starts[group], starts[group + 1])
            if not isinstance(self._counts, int):
                of_group = np.repeat(of_group, self._counts[of_group])
            rows.append(of_group[begin:end])
        return np.concatenate(rows)


class ValidationBatches:
    """The validation batches, in the order of the records; the last one may be short.

    The first is made at once, so that a set which does not fit the network (a column that it
    lacks, a shape that differs) is found before an epoch is trained.

    Args:
        records: the validation records.
        pipeline: loads and transforms them.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch.
        feeder: where blocks are made and what is kept; left out, on this thread.

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
        _check_not_empty(records, "validation")
        self._maker = BlockMaker(records, pipeline, specs)
        self._set = _Set(self._maker, specs, batch_size, feeder or Feeder(), "validation")
        self._set.prepare()
        if self._set.kept is None:
            self._maker.keep(0, batch_size)

    def __iter__(self) -> Iterator[DataRecord]:
        """The blocks: ``(x, y)`` or ``(x, y, w)`` of arrays ``(records, ...)``."""
        return self._set.in_order()


class _Set:
    """One set of records on its way to the network: kept whole, or made anew each time.

    Attributes:
        kept: the whole set, if it is kept.
    """

    def __init__(
        self,
        maker: BlockMaker,
        specs: Mapping[str, ArraySpec],
        batch_size: int,
        feeder: Feeder,
        role: str,
    ) -> None:
        self._maker = maker
        self._make = feeder.add(maker)
        self._batch_size = batch_size
        records, pipeline = maker.records, maker.pipeline
        is_uniform = all(None not in spec.shape for spec in specs.values())
        self._block = batch_size
        if is_uniform and feeder.is_parallel:
            most = min(_BLOCK_RECORDS, _BLOCK_BYTES // _record_bytes(specs))
            self._block = max(1, most // batch_size) * batch_size
        self._streams = feeder.shuffle_window is not None and records.row_groups is not None
        self._by_columns = pipeline.is_columnar and is_uniform
        self._keeps = feeder.cache is not None or (self._by_columns and not self._streams)
        self._insists = feeder.cache is not None
        self._folder = feeder.folder / role if feeder.cache == "disk" and feeder.folder else None
        self.kept: ResidentRecords | None = None

    def prepare(self) -> None:
        """Make the set, if it is to be kept and is not yet."""
        if not self._keeps or self.kept is not None:
            return
        try:
            count = len(self._maker.records)
            self.kept = ResidentRecords(self.in_order(), count, self._folder)
        except MixedRecordsError:
            if self._insists:
                raise
            self._keeps = False

    def in_order(self) -> Iterator[DataRecord]:
        """The set in its own order, up to what comes before augmentors."""
        records, maker = self._maker.records, self._maker
        if self.kept is not None:
            yield self.kept.data
        elif self._by_columns:
            columns = None if records.row_groups is None else maker.columns
            pieces = (maker.keep_records(piece) for piece in records.pieces(columns=columns))
            yield from read_ahead(pieces) if self._streams else pieces
        else:
            yield from self._make(("keep", a, b) for a, b in self._cut(0, len(records)))

    def draw(self, rows: Array, first: int, epoch: int, offset: int = 0) -> Iterator[DataRecord]:
        """The records at these rows, augmented.

        Args:
            rows: ``(draws,) int64``.
            first: the first of them to give.
            epoch: seeds the augmentors.
            offset: which draw of the epoch row 0 is.
        """
        kept = self.kept
        if kept is None:
            yield from self._make(
                ("draw", rows[a:b], offset + a, epoch) for a, b in self._cut(first, len(rows))
            )
        elif self._maker.pipeline.augmentors:
            yield from self._make(
                ("vary", kept.pick(rows[a:b]), rows[a:b], offset + a, epoch)
                for a, b in self._cut(first, len(rows))
            )
        else:
            size = max(1, kept.stretch // self._batch_size) * self._batch_size
            for start in range(first, len(rows), size):
                yield kept.pick(rows[start : start + size])

    def windows(self, stretches: Iterable[Stretch], epoch: int) -> Iterator[DataRecord]:
        """The windows of a streamed set.

        Those of columns are made by a thread while the ones before them are trained on.
        """
        if not self._by_columns:
            yield from self._make(
                ("window", parts, order[a:b], draw + a, epoch)
                for parts, order, draw in stretches
                for a, b in self._cut(0, len(order))
            )
            return
        window = self._maker.window
        blocks = (window(parts, order, draw, epoch) for parts, order, draw in stretches)
        # NumPy's and Python's global generators are seeded for an augmentor on no other thread.
        ahead = not seeds_globals(self._maker.pipeline.augmentors)
        yield from read_ahead(blocks) if ahead else blocks

    def _cut(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        for first in range(start, stop, self._block):
            yield first, min(first + self._block, stop)


def _record_bytes(specs: Mapping[str, ArraySpec]) -> int:
    sizes = [math.prod(n or 1 for n in spec.shape) for spec in specs.values()]
    return 4 * sum(sizes) or 1


def _check_not_empty(records: Records, role: str) -> None:
    if not len(records):
        owner = records.name or f"the {role} set"
        raise RecordError(f"{owner} holds no records to {_PURPOSE[role]}; give at least one")


_PURPOSE = {"train": "train on", "validation": "validate on"}
