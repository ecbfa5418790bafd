"""Keeps a whole set as arrays, in memory or on disk, so that an epoch is an order over them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from barrage_mlflow.dataset.types import PARTS, Array, DataRecord, length
from barrage_mlflow.errors import RecordError


def keep_arrays(blocks: Iterable[DataRecord], count: int, folder: Path | None = None) -> DataRecord:
    """The transformed arrays of a whole set.

    Args:
        blocks: the set in its order, data records of arrays ``(records, ...)``.
        count: how many records they have in all.
        folder: where to keep the arrays on disk; in memory if left out.

    Returns:
        Arrays ``(count, ...)``; not to be changed.

    Raises:
        RecordError: records differ in shape or dtype, or there are strings to be kept on disk.

    Example:
        >>> keep_arrays([({"x": np.arange(2)},), ({"x": np.arange(2, 3)},)], 3)
        ({'x': array([0, 1, 2])},)
    """
    kept: DataRecord = ()
    start = 0
    for block in blocks:
        if not start:
            kept = _empty_arrays(block, count, folder)
        for part, wholes, name_of_part in zip(block, kept, PARTS, strict=False):
            for name, array in part.items():
                _check_alike(array, wholes[name], f"{name_of_part} '{name}'")
                wholes[name][start : start + len(array)] = array
        start += length(block)
    return kept


def _empty_arrays(block: DataRecord, count: int, folder: Path | None) -> DataRecord:
    """Arrays with room for the set of which this is the first block."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return tuple(
        {
            name: _empty((count, *array.shape[1:]), array, folder and folder / f"{place}-{n}.npy")
            for n, (name, array) in enumerate(part.items())
        }
        for place, part in enumerate(block)
    )


def _empty(shape: tuple[int, ...], like: Array, path: Path | None) -> Array:
    if path is not None and like.dtype.hasobject:
        raise RecordError(
            'dataset.cache: expected numbers to keep on disk, got strings; use "memory"'
        )
    if path is None or not all(shape):
        return np.empty(shape, like.dtype)
    on_disk: Array = np.lib.format.open_memmap(path, "w+", like.dtype, shape)
    return on_disk


def _check_alike(array: Array, whole: Array, what: str) -> None:
    if array.shape[1:] != whole.shape[1:] or array.dtype != whole.dtype:
        raise RecordError(
            "expected every record to have one shape and dtype, so that the set can be kept as "
            f"arrays, got {what} {array.shape[1:]} {array.dtype} after {whole.shape[1:]} "
            f"{whole.dtype}; give all records one shape, or leave dataset.cache out"
        )
