"""Makes blocks: stretches of records that went through the pipeline and fit the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from barrage_mlflow.dataset.components.augmentors import augment
from barrage_mlflow.dataset.components.loader import columns_read
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.blocks import pick
from barrage_mlflow.dataset.feeding.conform import ArraySpec, conform_inputs, conform_targets
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Array, DataRecord
from barrage_mlflow.errors import RecordError

Part = tuple[int, int, int]

_SAMPLE = 256
"""Records that are loaded to learn which columns that reads."""


class BlockMaker:
    """Makes blocks of one set of records, here or in a worker process.

    A block is a pure function of the task, which names a method and its arguments.

    Args:
        records: the set.
        pipeline: loads, transforms and augments; made by ``load_pipeline`` if the maker is to
            go to another process.
        specs: what the network takes: input name → spec.
        seed: seeds the augmentors.
        counts: the column that says how often a window draws each record.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}])
        >>> maker = BlockMaker(records, pipeline, {"x": ArraySpec((), "float32")})
        >>> maker(("draw", np.array([1, 0]), 0, None))
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
        self._window: tuple[Sequence[Part], Records] | None = None
        self._columns: list[str] | None = None

    def __call__(self, task: tuple[Any, ...]) -> DataRecord:
        """Make the block of a task: a method's name and its arguments."""
        name, *arguments = task
        block: DataRecord = getattr(self, name)(*arguments)
        return block

    def keep(self, start: int, stop: int) -> DataRecord:
        """A stretch of the set as it is kept for all epochs: all that comes before augmentors."""
        return self.keep_records(self.records[start:stop])

    def keep_records(self, records: Records) -> DataRecord:
        """As :meth:`keep`, of records that are at hand."""
        data = self.pipeline.load_and_transform(records)
        return data if self.pipeline.augmentors else self._feed(data, records)

    def draw(self, rows: Array, first: int, epoch: int | None) -> DataRecord:
        """The records at these rows.

        Args:
            rows: ``(records,) int64``.
            first: which draw of the epoch the first of them is.
            epoch: seeds the augmentors; None where nothing is augmented.
        """
        records = self.records.take(rows)
        data = self.pipeline.load_and_transform(records)
        return self._finish(data, records, first, epoch)

    def vary(self, kept: DataRecord, rows: Array, first: int, epoch: int) -> DataRecord:
        """As :meth:`draw`, of what :meth:`keep` gave for these rows."""
        return self._finish(kept, self.records.take(rows), first, epoch)

    def window(self, parts: Sequence[Part], order: Array, first: int, epoch: int) -> DataRecord:
        """Some draws of a window, of a streamed set.

        Args:
            parts: what the window draws of which row groups, as ``Windows.parts`` gives them.
            order: ``(records,) int64``: the draws to give, as positions in the window.
            first: which draw of the epoch the first of them is.
            epoch: seeds the augmentors.
        """
        if self._window is None or self._window[0] != parts:
            self._window = None  # not two at once
            read = self.records.window(parts, self._counts, self.columns)
            self._window = (parts, read)
        window = self._window[1]
        records = window.take(order)
        if self.pipeline.is_columnar and len(order) == len(window):
            # In the order of the file, in which columns are views.
            data = pick(self.pipeline.load_and_transform(window), order)
        else:
            data = self.pipeline.load_and_transform(records)
        return self._finish(data, records, first, epoch)

    @property
    def columns(self) -> list[str]:
        """The columns that loading reads, which are read from a file together."""
        if self._columns is None:
            self._columns = list(columns_read(self.pipeline.loader, self.records[:_SAMPLE]))
        return self._columns

    def _finish(
        self, data: DataRecord, records: Records, first: int, epoch: int | None
    ) -> DataRecord:
        augmentors = self.pipeline.augmentors
        if epoch is None or not augmentors:
            return self._feed(data, records)
        positions = np.arange(first, first + len(records))
        varied = augment(
            data, augmentors, records, seed=self._seed, epoch=epoch, positions=positions
        )
        try:
            return self._feed(varied, records)
        except RecordError as error:
            names = ", ".join(augmentor.name for augmentor in augmentors)
            error.add_note(f"what was fed had come through the augmentors: {names}")
            raise

    def _feed(self, data: DataRecord, records: Records) -> DataRecord:
        x, y, *w = data
        loader, transformer = self.pipeline.loader, self.pipeline.transformer
        inputs = conform_inputs(x, self._specs, records, loader, transformer)
        targets, weights = conform_targets(y, w[0] if w else None, records, loader, transformer)
        return (inputs, targets) if weights is None else (inputs, targets, weights)
