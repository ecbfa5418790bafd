"""Batches for training and validation, in the form that the network is fed with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from barrage_mlflow.dataset.conform import ArraySpec, conform_inputs, conform_targets
from barrage_mlflow.dataset.order import epoch_rows, epoch_steps, sample_counts
from barrage_mlflow.dataset.pipeline import Pipeline
from barrage_mlflow.dataset.records import Records
from barrage_mlflow.dataset.types import Array, DataRecord
from barrage_mlflow.errors import RecordError


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

    Attributes:
        steps: batches in an epoch.

    Raises:
        RecordError: there are no records, or the sample counts are not usable.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": ["a"]}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": i, "b": i} for i in range(5)])
        >>> specs = {"x": ArraySpec((1,), "float32")}
        >>> batches = TrainBatches(records, pipeline, specs, batch_size=2, seed=0)
        >>> [x["x"].shape for x, y in batches.epoch(0)]
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
    ) -> None:
        _check_not_empty(records, "train")
        self.records = records
        self.pipeline = pipeline
        self.specs = dict(specs)
        self.batch_size = batch_size
        self.seed = seed
        self._given_steps = steps
        self._counts: int | Array = (
            len(records) if sample_count is None else sample_counts(records, sample_count)
        )
        self.steps = epoch_steps(self._counts, steps, batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[DataRecord]:
        """The batches of one epoch: ``(x, y)`` or ``(x, y, w)`` of arrays ``(batch, ...)``.

        Args:
            epoch: from 0.
            start: the first batch to give, from 0, where an epoch is resumed.

        Raises:
            RecordError: a record cannot be fed to the network.
            ComponentError: a component broke its contract.
        """
        rows = epoch_rows(self._counts, self.seed, epoch, self._given_steps, self.batch_size)
        for first in range(start * self.batch_size, len(rows), self.batch_size):
            chosen = rows[first : first + self.batch_size]
            records = self.records.take(chosen)
            positions = np.arange(first, first + len(chosen))
            data = self.pipeline.batch(records, positions, epoch, self.seed)
            try:
                fed = _fed(data, self.specs, records, self.pipeline)
            except RecordError as error:
                if self.pipeline.augmentors:
                    names = ", ".join(augmentor.name for augmentor in self.pipeline.augmentors)
                    error.add_note(f"what was fed had come through the augmentors: {names}")
                raise
            yield fed


class ValidationBatches:
    """The validation batches, in the order of the records; the last one may be short.

    The first is made at once, so that a set which does not fit the network (a column that it
    lacks, a shape that differs) is found before an epoch is trained.

    Args:
        records: the validation records.
        pipeline: loads and transforms them.
        specs: what the network takes: input name → spec.
        batch_size: records in a batch, at least 1.

    Raises:
        RecordError: there are no records, or one of the first batch cannot be fed.
        ComponentError: a component broke its contract.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.VALIDATION, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.VALIDATION, loader))
        >>> records = Records.read([{"a": 1, "b": 0}, {"a": 2, "b": 1}, {"a": 3, "b": 0}])
        >>> batches = ValidationBatches(records, pipeline, {"x": ArraySpec((1,), "float32")}, 2)
        >>> len(batches), [y["y"].tolist() for x, y in batches]
        (2, [[0, 1], [0]])
    """

    def __init__(
        self,
        records: Records,
        pipeline: Pipeline,
        specs: Mapping[str, ArraySpec],
        batch_size: int,
    ) -> None:
        _check_not_empty(records, "validation")
        self.records = records
        self.pipeline = pipeline
        self.specs = dict(specs)
        self.batch_size = batch_size
        next(iter(self))

    def __len__(self) -> int:
        return epoch_steps(len(self.records), None, self.batch_size)

    def __iter__(self) -> Iterator[DataRecord]:
        for first in range(0, len(self.records), self.batch_size):
            records = self.records[first : first + self.batch_size]
            data = self.pipeline.load_and_transform(records)
            yield _fed(data, self.specs, records, self.pipeline)


def _check_not_empty(records: Records, role: str) -> None:
    if not len(records):
        owner = records.name or f"the {role} set"
        raise RecordError(f"{owner} holds no records to {_PURPOSE[role]}; give at least one")


_PURPOSE = {"train": "train on", "validation": "validate on"}


def _fed(
    data: DataRecord, specs: Mapping[str, ArraySpec], records: Records, pipeline: Pipeline
) -> DataRecord:
    x, y, *w = data
    loader, transformer = pipeline.loader, pipeline.transformer
    inputs = conform_inputs(x, specs, records, loader, transformer)
    targets, weights = conform_targets(y, w[0] if w else None, records, loader, transformer)
    return (inputs, targets) if weights is None else (inputs, targets, weights)
