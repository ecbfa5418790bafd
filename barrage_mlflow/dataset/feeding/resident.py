"""Keeps a whole set as arrays, in memory or on disk, so that an epoch is an order over them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from barrage_mlflow.dataset.feeding.blocks import length, pick
from barrage_mlflow.dataset.types import PARTS, Array, DataRecord
from barrage_mlflow.errors import RecordError

_STRETCH_BYTES = 1 << 22


class MixedRecordsError(RecordError):
    """Records differ in shape or dtype, so that they cannot stand in one array."""


class ResidentRecords:
    """The transformed arrays of a whole set.

    Attributes:
        data: arrays ``(records, ...)``; not to be changed.
        stretch: how many records make a few MiB.

    Args:
        blocks: the set in its order, data records of arrays ``(records, ...)``.
        count: how many records they hold in all.
        folder: where to keep the arrays on disk; in memory if left out.

    Raises:
        MixedRecordsError: records differ in shape or dtype.
        RecordError: there are strings to be kept on disk.

    Example:
        >>> kept = ResidentRecords(iter([({"x": np.arange(2)},), ({"x": np.arange(2, 3)},)]), 3)
        >>> kept.pick(np.array([2, 0]))
        ({'x': array([2, 0])},)
    """

    def __init__(
        self, blocks: Iterable[DataRecord], count: int, folder: Path | None = None
    ) -> None:
        self._count = count
        self._folder = folder
        self.data: DataRecord = ()
        start = 0
        for block in blocks:
            if not start:
                self.data = self._make(block)
            self._fill(block, start)
            start += length(block)
        size = sum(array.nbytes for part in self.data for array in part.values())
        self.stretch = max(1, _STRETCH_BYTES * count // max(size, 1))

    def _make(self, block: DataRecord) -> DataRecord:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
        return tuple(
            {
                name: self._empty(array, f"{place}-{n}")
                for n, (name, array) in enumerate(part.items())
            }
            for place, part in enumerate(block)
        )

    def _empty(self, array: Array, file: str) -> Array:
        shape = (self._count, *array.shape[1:])
        if self._folder is None:
            return np.empty(shape, array.dtype)
        if array.dtype.hasobject:
            raise RecordError(
                'dataset.cache: expected numbers to keep on disk, got strings; use "memory"'
            )
        if not all(shape):
            return np.empty(shape, array.dtype)
        path = self._folder / f"{file}.npy"
        kept: Array = np.lib.format.open_memmap(path, "w+", array.dtype, shape)
        return kept

    def _fill(self, block: DataRecord, start: int) -> None:
        for part, held, name_of_part in zip(block, self.data, PARTS, strict=False):
            for name, array in part.items():
                whole = held[name]
                if array.shape[1:] != whole.shape[1:] or array.dtype != whole.dtype:
                    raise MixedRecordsError(
                        f"dataset.cache: expected every record to have one shape and dtype, got "
                        f"{name_of_part} '{name}' {array.shape[1:]} {array.dtype} after "
                        f"{whole.shape[1:]} {whole.dtype}; leave dataset.cache out"
                    )
                whole[start : start + len(array)] = array

    def pick(self, rows: Array) -> DataRecord:
        """The records at these rows, copied: arrays ``(rows, ...)``."""
        return pick(self.data, rows)
