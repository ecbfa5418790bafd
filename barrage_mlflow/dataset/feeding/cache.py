"""Caches a whole set as arrays, in memory or on disk, so that an epoch is an order over them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from barrage_mlflow.dataset.types import PARTS, Array, DataRecord, length
from barrage_mlflow.errors import RecordError


def cache_arrays(
    blocks: Iterable[DataRecord], count: int, folder: Path | None = None
) -> DataRecord:
    """The transformed arrays of a whole set.

    Args:
        blocks: the set in its order, data records of arrays ``(records, ...)``.
        count: how many records they have in all.
        folder: where to keep the arrays on disk, in files that have no name and go with them; in
            memory if left out.

    Returns:
        Arrays ``(count, ...)``; not to be changed.

    Raises:
        RecordError: records differ in shape or dtype, or there are strings to be kept on disk.

    Example:
        >>> cache_arrays([({"x": np.arange(2)},), ({"x": np.arange(2, 3)},)], 3)
        ({'x': array([0, 1, 2])},)
    """
    cached: DataRecord = ()
    start = 0
    for block in blocks:
        if not start:
            cached = tuple(
                {name: _empty(array, count, folder) for name, array in part.items()}
                for part in block
            )
        stop = start + length(block)
        for part, wholes, what in zip(block, cached, PARTS, strict=False):
            for name, array in part.items():
                whole = wholes[name]
                if array.shape[1:] != whole.shape[1:] or array.dtype != whole.dtype:
                    raise RecordError(
                        "expected every record to have one shape and dtype, so that the set can "
                        f"be kept as arrays, got {what} '{name}' {array.shape[1:]} {array.dtype} "
                        f"after {whole.shape[1:]} {whole.dtype}; give all records one shape, or "
                        "leave dataset.cache out"
                    )
                whole[start:stop] = array
        start = stop
    return cached


def _empty(like: Array, count: int, folder: Path | None) -> Array:
    """An array with room for the set, of whose first records this one is."""
    shape = (count, *like.shape[1:])
    if folder is None or 0 in shape:
        return np.empty(shape, like.dtype)
    if like.dtype.hasobject:
        raise RecordError(
            'dataset.cache: expected numbers to keep on disk, got strings; use "memory"'
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, like.dtype, "w+", shape=shape)
