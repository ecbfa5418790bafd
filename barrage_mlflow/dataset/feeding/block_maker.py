"""Makes blocks: records that went through the pipeline and fit the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from barrage_mlflow.dataset.components.augmentors import augment
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.reading import SAMPLE, columns_read
from barrage_mlflow.dataset.feeding.conform import ArraySpec, conform_inputs, conform_targets
from barrage_mlflow.dataset.feeding.order import Window
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import DataRecord, pick
from barrage_mlflow.errors import RecordError


@dataclass(frozen=True, eq=False)
class Task:
    """A block to be made, of some draws of an epoch or of some records as they follow each other.

    Attributes:
        role: of the set, ``"train"`` or ``"validation"``.
        window: the draws; without an epoch, consecutive records of the set.
        epoch: from 0; None for records in the order of the set, which are not augmented.
        cached: what the cache has of the draws, if they were loaded and transformed before.
    """

    role: str
    window: Window
    epoch: int | None = None
    cached: DataRecord | None = None

    def __str__(self) -> str:
        first = self.window.first
        last = first + len(self.window.rows) - 1
        if self.epoch is None:
            return f"records {first} to {last} of the {self.role} set"
        return f"draws {first} to {last} of epoch {self.epoch + 1}"


class BlockMaker:
    """Makes blocks of one set of records, here or in a worker process.

    A block is a pure function of its task.

    Args:
        records: the set.
        pipeline: loads, transforms and augments; made by ``load_pipeline`` if the maker is to
            go to another process.
        specs: what the network takes: input name → spec.
        seed: seeds the augmentors.
        sample_count: the column of how often a pass draws each record of a row group.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}])
        >>> maker = BlockMaker(records, pipeline, {"x": ArraySpec((), "float32")})
        >>> maker.make(Task("train", Window(np.array([1, 0]), first=0), epoch=0))
        ({'x': array([2., 1.], dtype=float32)}, {'y': array([1, 0])})
    """

    def __init__(
        self,
        records: Records,
        pipeline: Pipeline,
        specs: Mapping[str, ArraySpec],
        seed: int = 0,
        sample_count: str | None = None,
    ) -> None:
        self.records = records
        self.pipeline = pipeline
        self._specs = dict(specs)
        self._seed = seed
        self._sample_count = sample_count
        self._read: tuple[tuple[tuple[int, int], ...], Records] | None = None
        self._columns: list[str] | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that loading reads, which are read from a file together."""
        if self._columns is None:
            self._columns = list(columns_read(self.pipeline.loader, self.records[:SAMPLE]))
        return self._columns

    def make(self, task: Task) -> DataRecord:
        """The block of a task."""
        window = task.window
        if task.epoch is None:
            return self.make_plain(self.records[window.first : window.first + len(window.rows)])
        source = self._source(window)
        records = source.take(window.rows)
        if task.cached is not None:
            data = task.cached
        elif window.groups and len(window.rows) == len(source):
            # In the order of the file, in which columns are views.
            data = pick(self.pipeline.load_and_transform(source), window.rows)
        else:
            data = self.pipeline.load_and_transform(records)
        augmentors = self.pipeline.augmentors
        if not augmentors:
            return self._conform(data, records)
        positions = np.arange(window.first, window.first + len(window.rows))
        varied = augment(
            data, augmentors, records, seed=self._seed, epoch=task.epoch, positions=positions
        )
        try:
            return self._conform(varied, records)
        except RecordError as error:
            names = ", ".join(augmentor.name for augmentor in augmentors)
            error.add_note(f"what was fed had come through the augmentors: {names}")
            raise

    def make_plain(self, records: Records) -> DataRecord:
        """Records up to what comes before augmentors, which is the same in every epoch."""
        data = self.pipeline.load_and_transform(records)
        return data if self.pipeline.augmentors else self._conform(data, records)

    def _source(self, window: Window) -> Records:
        """What the rows of a window count: the set, or the row groups that it draws from."""
        if not window.groups:
            return self.records
        if self._read is None or self._read[0] != window.groups:
            self._read = None  # not two at once
            parts = [(group, 0, draws) for group, draws in window.groups]
            read = self.records.window(parts, self._sample_count, self.columns)
            self._read = (window.groups, read)
        return self._read[1]

    def _conform(self, data: DataRecord, records: Records) -> DataRecord:
        x, y, *w = data
        loader, transformer = self.pipeline.loader, self.pipeline.transformer
        inputs = conform_inputs(x, self._specs, records, loader, transformer)
        targets, weights = conform_targets(y, w[0] if w else None, records, loader, transformer)
        return (inputs, targets) if weights is None else (inputs, targets, weights)
