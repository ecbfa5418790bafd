"""Loader and transformer keep to what the engine relies on.

Each has a form for one record and one for many; both must give the same arrays. What `save`
writes, `load` must read back.
"""

import numpy as np
import pytest
from barrage_mlflow.dataset import RecordMode, build_loader, build_transformer
from barrage_mlflow.model import build_network


def assert_equal(one, other):
    """Compare tuples of dicts of arrays: names, dtypes, shapes and every value."""
    assert [list(part) for part in one] == [list(part) for part in other]
    for part, same in zip(one, other, strict=True):
        for name, values in part.items():
            left, right = np.asarray(values), np.asarray(same[name])
            assert (left.dtype, left.shape) == (right.dtype, right.shape), name
            np.testing.assert_array_equal(left, right, name)


def take(batch, index):
    # The dots keep a single value an array, of the same dtype.
    return tuple({name: values[index, ...] for name, values in part.items()} for part in batch)


@pytest.mark.parametrize("mode", RecordMode)
def test_loader_gives_the_same_for_one_record_and_for_many(mode, config, records):
    loader = build_loader(config, mode)
    batch = loader.load_batch(records)
    assert len(batch) == 1 if mode is RecordMode.SCORE else len(batch) in (2, 3)
    for index, record in enumerate(records):
        assert_equal(take(batch, index), loader.load(record))


@pytest.mark.parametrize("mode", RecordMode)
def test_transformer_comes_back_and_gives_the_same_for_one_and_for_many(
    mode, config, records, fitted, tmp_path
):
    fitted.save(tmp_path)
    loader = build_loader(config, mode)
    loaded = build_transformer(config, mode, loader)
    loaded.load(tmp_path)
    assert loaded.network_params == fitted.network_params
    assert set(loaded.network_params) == set(loaded.network_param_names)
    batch = loader.load_batch(records)
    transformed = loaded.transform_batch(batch)
    for index in range(len(records)):
        assert_equal(take(transformed, index), loaded.transform(take(batch, index)))
    if mode is RecordMode.TRAIN:
        assert_equal(transformed, fitted.transform_batch(batch))


def test_postprocess_gives_the_same_for_one_record_and_for_many(config, records, fitted):
    x, *_ = transformed = fitted.transform_batch(fitted.loader.load_batch(records[:20]))
    network = build_network(config, fitted.network_params, transformed)
    scores = {name: np.asarray(score) for name, score in network(x).items()}
    batch = fitted.postprocess_batch(scores)
    for index in range(20):
        one = fitted.postprocess(take((scores,), index)[0])
        assert list(one) == list(batch)
        for name, value in one.items():
            np.testing.assert_array_equal(batch[name][index], value, name)
