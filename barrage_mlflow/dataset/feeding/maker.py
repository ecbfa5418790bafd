"""Makes blocks: records that went through the pipeline and fit the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from barrage_mlflow.dataset.components.augmentors import augment
from barrage_mlflow.dataset.components.columns import SAMPLE, columns_read
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec, conform_inputs, conform_targets
from barrage_mlflow.dataset.feeding.order import Window
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import DataRecord, pick
from barrage_mlflow.errors import RecordError


@dataclass(frozen=True)
class KeepTask:
    """Make some records of a set as they are kept for all epochs: before augmentors.

    Attributes:
        role: of the set, ``"train"`` or ``"validation"``.
        start: the first of the records.
        stop: the one behind the last.
    """

    role: str
    start: int
    stop: int

    def make(self, maker: BlockMaker) -> DataRecord:
        """The block."""
        return maker.keep(maker.records[self.start : self.stop])

    def __str__(self) -> str:
        return f"records {self.start} to {self.stop - 1} of the {self.role} set"


@dataclass(frozen=True, eq=False)
class DrawTask:
    """Make some draws of an epoch, augmented.

    Attributes:
        role: of the set, ``"train"``.
        window: the draws.
        epoch: of which they are, from 0.
        kept: what is kept for them, if they were loaded and transformed before.
    """

    role: str
    window: Window
    epoch: int
    kept: DataRecord | None = None

    def make(self, maker: BlockMaker) -> DataRecord:
        """The block."""
        return maker.draw(self.window, self.epoch, self.kept)

    def __str__(self) -> str:
        first, count = self.window.first, len(self.window.rows)
        return f"draws {first} to {first + count - 1} of epoch {self.epoch + 1}"


Task = KeepTask | DrawTask


class BlockMaker:
    """Makes blocks of one set of records, here or in a worker process.

    A block is a pure function of its task.

    Args:
        records: the set.
        pipeline: loads, transforms and augments; made by ``load_pipeline`` if the maker is to
            go to another process.
        specs: what the network takes: input name → spec.
        seed: seeds the augmentors.
        counts: the column of how often a pass draws each record of a row group.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}])
        >>> maker = BlockMaker(records, pipeline, {"x": ArraySpec((), "float32")})
        >>> DrawTask("train", Window(np.array([1, 0]), first=0), epoch=0).make(maker)
        ({'x': array([2., 1.], dtype=float32)}, {'y': array([1, 0])})
    """

    def __init__(
        self,
        records: Records,
        pipeline: Pipeline,
        specs: Mapping[str, ArraySpec],
        seed: int = 0,
        counts: str | None = None,
    ) -> None:
        self.records = records
        self.pipeline = pipeline
        self._specs = dict(specs)
        self._seed = seed
        self._counts = counts
        self._read: tuple[tuple[tuple[int, int], ...], Records] | None = None
        self._columns: list[str] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that loading reads, which are read from a file together."""
        if self._columns is None:
            self._columns = list(columns_read(self.pipeline.loader, self.records[:SAMPLE]))
        return self._columns

    def keep(self, records: Records) -> DataRecord:
        """Records as they are kept for all epochs: all that comes before augmentors."""
        data = self.pipeline.load_and_transform(records)
        return data if self.pipeline.augmentors else self._feed(data, records)

    def draw(self, window: Window, epoch: int, kept: DataRecord | None = None) -> DataRecord:
        """The records that some draws of an epoch give; see :class:`DrawTask`."""
        source = self._source(window)
        records = source.take(window.rows)
        if kept is None and window.groups and len(window.rows) == len(source):
            # In the order of the file, in which columns are views.
            data = pick(self.pipeline.load_and_transform(source), window.rows)
        else:
            data = self.pipeline.load_and_transform(records) if kept is None else kept
        augmentors = self.pipeline.augmentors
        if not augmentors:
            return self._feed(data, records)
        positions = np.arange(window.first, window.first + len(window.rows))
        varied = augment(
            data, augmentors, records, seed=self._seed, epoch=epoch, positions=positions
        )
        try:
            return self._feed(varied, records)
        except RecordError as error:
            names = ", ".join(augmentor.name for augmentor in augmentors)
            error.add_note(f"what was fed had come through the augmentors: {names}")
            raise

    def _source(self, window: Window) -> Records:
        """What the rows of a window count: the set, or the row groups that it draws from."""
        if not window.groups:
            return self.records
        if self._read is None or self._read[0] != window.groups:
            self._read = None  # not two at once
            parts = [(group, 0, draws) for group, draws in window.groups]
            read = self.records.window(parts, self._counts, self.columns)
            self._read = (window.groups, read)
        return self._read[1]

    def _feed(self, data: DataRecord, records: Records) -> DataRecord:
        x, y, *w = data
        loader, transformer = self.pipeline.loader, self.pipeline.transformer
        inputs = conform_inputs(x, self._specs, records, loader, transformer)
        targets, weights = conform_targets(y, w[0] if w else None, records, loader, transformer)
        return (inputs, targets) if weights is None else (inputs, targets, weights)
