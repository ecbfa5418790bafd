"""What fits the network, and how a value that does not is named."""

from pathlib import Path

import numpy as np
import pytest
from golden_messages import messages

from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode, Records
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec, TargetRange, conform
from barrage_mlflow.dataset.feeding.sample_counts import sample_counts

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE


def conformed(rows, loader, shape=(), dtype="float32", transformer=IdentityTransformer, **ranges):
    """What a network that takes one input is fed."""
    records = rows if isinstance(rows, Records) else Records.read(rows, name="train.csv")
    pipeline = Pipeline(loader, transformer(loader.mode, loader))
    specs = {"x": ArraySpec(shape, dtype)}
    return conform(pipeline.load_and_transform(records), specs, records, pipeline, ranges)


def selector(keys="a"):
    return KeySelector(SCORE, {"x": keys}, {"y": "y"})


@pytest.mark.parametrize(
    ("cells", "shape", "want"),
    [
        ([1, 2], (), np.array([1, 2], np.float32)),
        ([1, 2], (1,), np.array([[1], [2]], np.float32)),
        ([[1], [2]], (), np.array([1, 2], np.int32)),
        ([True, False], (), np.array([1, 0], np.float32)),
        ([1, 0], (), np.array([True, False])),
        (["a", "b"], (1,), np.array([["a"], ["b"]], object)),
        ([[1, 2], [3, 4]], (None,), np.array([[1, 2], [3, 4]], np.int32)),
    ],
    ids=repr,
)
def test_inputs_become_what_the_network_takes(cells, shape, want):
    dtype = "string" if want.dtype == object else str(want.dtype)
    got = conformed([{"a": cell} for cell in cells], selector(), shape, dtype)[0]["x"]
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


def test_targets_and_weights_are_finite_numbers():
    rows = [{"a": 1, "y": 1, "z": 0.5, "k": True, "w": 1}]
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y", "z": "z", "k": "k"}, {"y": "w"})
    _, y, w = conformed(rows, loader)
    dtypes = {name: str(array.dtype) for name, array in y.items()}
    assert dtypes == {"y": "int64", "z": "float32", "k": "float32"}
    assert str(w["y"].dtype) == "float32"


def fed(cell, dtype="float32", shape=(), before=1):
    return lambda: conformed([{"a": before}, {"a": cell}], selector(), shape, dtype)


def fed_both(records, **way):
    return conformed(records, selector(["a", "b"]), (2,), **way)


def word(tmp_path, rows, read):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n3,many\n")
    return lambda: read(Records.read(path).take(rows))


class Own(KeySelector):
    """A loader of one's own."""


def target(value, kind=KeySelector, **allowed):
    """A value among targets of 0 and 1, or among weights."""
    weights = None if allowed else {"y": "w"}
    loader = kind(TRAIN, {"x": "a"}, {"y": "y"}, weights)
    usual = {"a": 1, "y": 0, "w": 1}
    if isinstance(value, dict):
        usual |= dict.fromkeys(value, "1")
    other = value if isinstance(value, dict) else {"y": value}
    ranges = {"y": TargetRange(**allowed)} if allowed else {}
    return lambda: conformed([usual, {**usual, **other}], loader, **ranges)


class Weigh(IdentityTransformer):
    def transform(self, data_record):
        x, y = data_record
        return (x, y, {"y": np.array(np.nan)})


class Log(IdentityTransformer):
    def transform_batch(self, data_record):
        return ({"x": np.array([[-np.inf, 0.0]])},)


def test_what_cannot_be_fed_is_named(tmp_path):
    labels = {"highest": 2, "whole": True}
    cases = {
        "a missing value": fed(None),
        "text": fed("abc", before="1"),
        "too large": fed(1e300),
        "a fraction": fed(1.5, "int32"),
        "too large for integers": fed(2**40, "int32"),
        "no truth value": fed(2, "bool"),
        "a number as a string": fed(3, "string"),
        "an object": fed({"k": 1}, before={}),
        "one of several columns": lambda: fed_both([{"a": 1, "b": 2}, {"a": 1, "b": None}]),
        "an item of a list": fed([1, None], shape=(2,), before=[1, 2]),
        "what the transformer spoilt": lambda: fed_both([{"a": 0, "b": 1}], transformer=Log),
        "a scalar": fed(1, shape=(2,)),
        "an axis too long": fed([1, 2, 3], shape=(None, 2), before=[1, 2, 3]),
        "an axis too many": fed([1, 2], before=[1, 2]),
        "another name": lambda: conformed([{"a": 1}], KeySelector(SCORE, {"z": "a"}, {"y": "y"})),
        "a target of text": target({"y": "b"}),
        "a target of text, by a loader of one's own": target({"y": "b"}, Own),
        "a weight of text": target({"w": "b"}),
        "a weight that the transformer adds": lambda: conformed(
            [{"a": 1, "y": 0}], KeySelector(TRAIN, {"x": "a"}, {"y": "y"}), transformer=Weigh
        ),
        **{f"a label of {value}": target(value, **labels) for value in (-1, 3, 0.5)},
        "not 0 or 1": target(1.5, highest=1, whole=False),
        # One word makes a whole column of a CSV file text.
        **{f"a word, rows {rows}": word(tmp_path, rows, fed_both) for rows in ([0, 1], [1], [0])},
        "a word as a count": word(tmp_path, [0, 1], lambda records: sample_counts(records, "b")),
    }
    golden = Path(__file__).with_name("golden_conform.txt")
    assert messages(cases).replace(f"{__name__}.", "") == golden.read_text("utf-8")
