"""Batches in the form that the network takes: order, counts, resuming, faults."""

import threading

import numpy as np
import pandas as pd
import pytest

from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode, Records
from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import place_of
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks, read_ahead
from barrage_mlflow.dataset.feeding.cache import cache_arrays
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.feeding.feeder import Feeder
from barrage_mlflow.errors import RecordError

TRAIN = RecordMode.TRAIN
FLOAT = {"x": ArraySpec((2,), "float32")}

RECORDS = Records.read(
    [{"a": i, "b": i / 2, "y": i, "w": 1.0, "n": i % 3} for i in range(10)], name="train.csv"
)


def noise(data_record, rng):
    x, *rest = data_record
    return ({"x": x["x"] + rng.normal(size=2)}, *rest)


def batches(weights=None, augmentors=(), mode=TRAIN, records=RECORDS, **options):
    loader = KeySelector(mode, {"x": ["a", "b"]}, {"y": "y"}, weights)
    made = Pipeline(loader, IdentityTransformer(mode, loader), augmentors)
    if mode is TRAIN:
        return Batches(records, made, FLOAT, **{"batch_size": 4, "seed": 1, **options})
    return Batches(records, made, FLOAT, 4)


def cut_batches(blocks, size=4):
    """The batches that a training cuts from blocks."""
    front = Blocks(blocks)
    return list(iter(lambda: front.take(size), None))


def drawn(epoch):
    return [row for data in epoch for row in data[1]["y"].tolist()]


def test_an_epoch_gives_every_record_once_conformed():
    train = batches({"y": "w"})
    assert train.steps == 3
    data = cut_batches(train.epoch(0))
    assert [len(x["x"]) for x, _, _ in data] == [4, 4, 2]
    assert sorted(drawn(data)) == list(range(10))
    x, y, w = data[0]
    assert (x["x"].dtype, y["y"].dtype, w["y"].dtype) == (np.float32, np.int64, np.float32)
    np.testing.assert_array_equal(x["x"][:, 0], y["y"])
    assert drawn(train.epoch(0)) == drawn(data) != drawn(train.epoch(1))


def test_a_validation_set_that_does_not_fit_is_found_before_training():
    lacking = Records.read([{"a": 1, "y": 0}], name="validation.csv")
    with pytest.raises(RecordError, match="no column") as error:
        next(iter(batches(mode=RecordMode.VALIDATION, records=lacking)))
    assert str(error.value) == "validation.csv: no column 'b'; the columns are 'a', 'y'"
    assert error.value.__notes__ == [
        "in validation.csv, record 0, stage load, component KeySelector"
    ]


def test_sample_counts_are_how_often_a_pass_draws_a_record():
    train = batches(sample_count="n")
    assert train.steps == 3
    assert sorted(drawn(train.epoch(0))) == [1, 2, 2, 4, 5, 5, 7, 8, 8]


@pytest.mark.parametrize("start", [0, 1, 3])
def test_an_epoch_resumes_at_any_batch_and_whatever_the_batch_size(start):
    train = batches(augmentors=[Augmentor(noise)])
    whole = cut_batches(train.epoch(3))
    resumed = cut_batches(batches(augmentors=[Augmentor(noise)]).epoch(3, start))
    assert len(resumed) == 3 - start
    for (x, y), (other_x, other_y) in zip(whole[start:], resumed, strict=True):
        np.testing.assert_array_equal(x["x"], other_x["x"])
        np.testing.assert_array_equal(y["y"], other_y["y"])
    other = batches(augmentors=[Augmentor(noise)], batch_size=3)
    in_threes = np.concatenate([x["x"] for x, _ in other.epoch(3)])
    np.testing.assert_array_equal(np.concatenate([x["x"] for x, _ in whole]), in_threes)


def test_an_empty_set_is_refused():
    empty = Records.read([{"a": 1}], name="train.csv")[:0]
    for mode in (TRAIN, RecordMode.VALIDATION):
        with pytest.raises(RecordError, match=r"^train\.csv holds no records; give at least one$"):
            batches(mode=mode, records=empty)


def test_a_record_that_cannot_be_fed_has_a_place():
    records = Records.read([{"a": 1, "b": None, "y": 1}], name="train.csv")
    with pytest.raises(RecordError, match="stage feed") as error:
        list(batches(records=records).epoch(0))
    assert place_of(error.value) == "in train.csv, record 0, stage feed, component KeySelector"


def test_a_set_that_cannot_be_cached_is_refused(tmp_path):
    blocks = [({"x": np.zeros(1)}, {"y": np.zeros((1, size))}) for size in (1, 2)]
    with pytest.raises(RecordError, match=r"one shape .* got outputs 'y' \(2,\)"):
        cache_arrays(blocks, 2)
    with pytest.raises(RecordError, match=r'numbers to keep on disk, got strings; use "memory"$'):
        cache_arrays([({"x": np.array(["a"], object)},)], 1, tmp_path)


class Pads(KeySelector):
    """Pads each batch to its longest list."""

    def load_batch(self, records):
        lists = records.values("t")
        longest = max(map(len, lists))
        x = {"x": np.array([cells + [0] * (longest - len(cells)) for cells in lists], np.float32)}
        return x, {"y": records["y"]}


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("steps", [None, 4])
def test_inputs_of_any_length_are_made_batch_by_batch(tmp_path, window, steps):
    frame = pd.DataFrame({"t": [[1.0] * (1 + i % 5) for i in range(10)], "y": range(10)})
    frame.to_parquet(tmp_path / "train.parquet", row_group_size=3)
    loader = Pads(TRAIN, {"x": "t"}, {"y": "y"})
    made = Pipeline(loader, IdentityTransformer(TRAIN, loader))
    records = Records.read(tmp_path / "train.parquet")
    feeder = Feeder(shuffle_window=window)
    specs = {"x": ArraySpec((None,), "float32")}
    train = Batches(records, made, specs, 4, feeder, seed=1, steps=steps)
    for epoch in range(3):
        data = cut_batches(train.epoch(epoch))
        assert [len(y["y"]) for _, y in data] == ([4, 4, 2] if steps is None else [4] * 4)
        for x, y in data:
            assert x["x"].shape[1] == max(1 + row % 5 for row in y["y"].tolist())
            np.testing.assert_array_equal(x["x"].sum(axis=1), 1 + y["y"] % 5)
        resumed = cut_batches(train.epoch(epoch, start=1))
        assert [y["y"].tolist() for _, y in resumed] == [y["y"].tolist() for _, y in data[1:]]


def test_what_is_made_ahead_comes_in_order_and_is_closed():
    closed = []

    def blocks():
        try:
            yield from "ab"
            raise ValueError("broken")
        finally:
            closed.append(threading.current_thread().name)

    ahead = read_ahead(blocks())
    assert [next(ahead), next(ahead)] == ["a", "b"]
    with pytest.raises(ValueError, match=r"^broken$"):
        next(ahead)
    ahead = read_ahead(blocks())
    assert next(ahead) == "a"
    ahead.close()
    assert len(closed) == 2
    assert "blocks" not in {thread.name for thread in threading.enumerate()}
