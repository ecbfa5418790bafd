"""What every loader and transformer keeps to, as checks that any of them can be put through.

Batch form and record form give the same arrays; nothing that is given is changed; what ``save``
writes, ``load`` reads back into an equal transformer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.dataset import DataRecord, RecordLoader, RecordMode, Records, RecordTransformer
from barrage_mlflow.dataset.components.stacking import slice_record, stack_records, stack_scores

LoaderMaker = Callable[[RecordMode], RecordLoader]
TransformerMaker = Callable[[RecordMode, RecordLoader], RecordTransformer]


def check_loader(make: LoaderMaker, records: Records) -> None:
    """Put a loader through the contract, in every mode.

    Args:
        make: makes the loader for a mode.
        records: at least two; their lists have one shape in each column.
    """
    for mode in RecordMode:
        loader = make(mode)
        assert loader.mode is mode
        digest = records.digest()
        loaded = []
        for record in records:
            before = copy.deepcopy(record)
            loaded.append(loader.load(record))
            assert_equal(record, before, f"{mode}: load changed its record")
        lengths = {len(data) for data in loaded}
        assert lengths <= ({1} if mode is RecordMode.SCORE else {2, 3}), (mode, lengths)
        batch = loader.load_batch(records)
        stacked = stack_records(loaded, "load")
        assert_data_equal(batch, stacked, f"{mode}: load")
        assert_data_equal(loader.load_batch(records[1:]), _tail(batch), f"{mode}: part of a batch")
        assert records.digest() == digest, f"{mode}: loading changed the records"
        for part in batch:
            for name in part:
                assert set(loader.columns_of(name)) <= {name, *records.columns}, name


def check_transformer(
    make_loader: LoaderMaker,
    make: TransformerMaker,
    records: Records,
    folder: Path,
    scores: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Put a transformer through the contract, in every mode.

    Args:
        make_loader: makes the loader for a mode.
        make: makes the transformer, not yet fitted, for a mode and its loader.
        records: at least two, to fit on.
        folder: an empty folder, to save to.
        scores: output name → ``(batch, ...)``, to postprocess; None to leave that out.
    """
    digest = records.digest()
    fitted = make(RecordMode.TRAIN, make_loader(RecordMode.TRAIN))
    fitted.fit(records)
    assert records.digest() == digest, "fit changed the records"
    if type(fitted).network_param_names is not None:
        assert set(fitted.network_params) == set(type(fitted).network_param_names)
    fitted.save(folder)
    for mode in RecordMode:
        loader = make_loader(mode)
        loaded = make(mode, loader)
        loaded.load(folder)
        assert_equal(loaded.network_params, fitted.network_params, "network_params after load")
        batch = loader.load_batch(records)
        before = copy.deepcopy(batch)
        transformed = loaded.transform_batch(batch)
        assert_data_equal(batch, before, f"{mode}: transform_batch changed what it was given")
        each = []
        for index in range(len(records)):
            one = slice_record(batch, index)
            each.append(loaded.transform(one))
            assert_data_equal(one, slice_record(batch, index), f"{mode}: transform changed its own")
        stacked = stack_records(each, "transform")
        assert_data_equal(transformed, stacked, f"{mode}: transform")
        if mode is RecordMode.TRAIN:
            again = fitted.transform_batch(batch)
            assert_data_equal(transformed, again, "load after save")
    if scores is not None:
        _check_postprocess(loaded, fitted, scores)


def _check_postprocess(
    loaded: RecordTransformer, fitted: RecordTransformer, scores: Mapping[str, np.ndarray]
) -> None:
    given = {name: array.copy() for name, array in scores.items()}
    params = dict(loaded.score_params)
    batch = loaded.postprocess_batch(given, **params)
    assert_data_equal((given,), (dict(scores),), "postprocess_batch changed its scores")
    count = len(next(iter(given.values())))
    each = [
        loaded.postprocess(slice_record((given,), index)[0], **params) for index in range(count)
    ]
    assert_data_equal((batch,), (stack_scores(each, "postprocess"),), "postprocess")
    assert_data_equal(
        (batch,), (fitted.postprocess_batch(given, **params),), "postprocess after load"
    )


def _tail(data: DataRecord) -> DataRecord:
    return tuple({name: array[1:] for name, array in part.items()} for part in data)


def assert_data_equal(got: DataRecord, want: DataRecord, what: str) -> None:
    """Fail unless names, shapes, dtypes and every value are equal; NaN equals NaN."""
    assert len(got) == len(want), f"{what}: {len(got)} parts, not {len(want)}"
    for part, wanted in zip(got, want, strict=True):
        assert list(part) == list(wanted), f"{what}: {list(part)}, not {list(wanted)}"
        for name, array in wanted.items():
            other = np.asarray(part[name])
            assert other.dtype == array.dtype, f"{what}: '{name}' {other.dtype}, not {array.dtype}"
            assert other.shape == array.shape, f"{what}: '{name}' {other.shape}, not {array.shape}"
            # As lists, NaN equals NaN also among objects.
            if array.dtype == object:
                assert_equal(other.tolist(), array.tolist(), f"{what}: '{name}'")
            else:
                np.testing.assert_array_equal(other, array, f"{what}: '{name}'")


def assert_equal(got: Any, want: Any, what: str) -> None:
    """Fail unless two values of dicts, lists, arrays and scalars are equal; NaN equals NaN."""
    np.testing.assert_equal(got, want, what)
