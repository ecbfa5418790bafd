"""What fits the network, and how a value that does not is named."""

import re

import numpy as np
import pytest

from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode, Records
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.feeding.conform import ArraySpec, TargetRange, conform
from barrage_mlflow.dataset.feeding.sample_counts import sample_counts
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
BY = "(stage feed, component KeySelector)"


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


@pytest.mark.parametrize(
    ("cell", "dtype", "fault"),
    [
        (None, "float32", "expected a number, got a missing value (NaN)"),
        ("abc", "float32", "expected a number, got 'abc' (str)"),
        (1e300, "float32", "expected a number within float32, got 1e+300"),
        (1.5, "int32", "expected a whole number within int32, got 1.5"),
        (2**40, "int32", "expected a whole number within int32, got 1099511627776"),
        (2, "bool", "expected a whole number within bool, got 2"),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_fed_is_named(cell, dtype, fault):
    good = "1" if cell == "abc" else 1
    with pytest.raises(RecordError, match="stage feed") as error:
        conformed([{"a": good}, {"a": cell}], selector(), dtype=dtype)
    assert str(error.value) == f"train.csv, record 1: input 'x', column 'a': {fault} {BY}"


@pytest.mark.parametrize(
    ("cell", "dtype", "fault"),
    [
        (3, "string", "expected a string, got np.int64(3) (int64)"),
        ({"k": 1}, "float32", "expected a number, got {'k': 1} (dict)"),
    ],
)
def test_a_column_that_cannot_be_fed_is_named(cell, dtype, fault):
    with pytest.raises(RecordError, match=re.escape(f"record 0: input 'x', column 'a': {fault}")):
        conformed([{"a": cell}], selector(), dtype=dtype)


def test_of_several_columns_the_one_at_fault_is_named():
    rows = [{"a": 1, "b": 2, "t": [1, 2]}, {"a": 1, "b": None, "t": [1, None]}]
    with pytest.raises(RecordError, match="column 'b': expected a number"):
        conformed(rows, selector(["a", "b"]), (2,))
    with pytest.raises(RecordError, match="column 't': expected a number"):
        conformed(rows, selector("t"), (2,))


@pytest.mark.parametrize("rows", [[0, 1], [1, 0], [0]])
def test_the_one_word_that_made_a_csv_column_text_is_named(tmp_path, rows):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n3,many\n")
    records = Records.read(path).take(rows)
    with pytest.raises(RecordError, match="many") as error:
        conformed(records, selector(["a", "b"]), (2,))
    where = "train.csv, record 1 (line 3)"
    fault = "input 'x', column 'b': expected a number, got 'many' (str)"
    assert str(error.value) == f"{where}: {fault} {BY}"
    with pytest.raises(RecordError, match=r"record 1 \(line 3\): .* got 'many'$"):
        sample_counts(records, "b")


def test_a_value_that_the_transformer_spoilt_is_laid_at_its_door():
    class Log(IdentityTransformer):
        def transform_batch(self, data_record):
            return ({"x": np.array([[-np.inf, 0.0]])},)

    with pytest.raises(RecordError, match="stage feed") as error:
        conformed([{"a": 0, "b": 1}], selector(["a", "b"]), (2,), transformer=Log)
    assert str(error.value) == (
        "train.csv, record 0: input 'x', columns 'a', 'b': expected a number, got -inf "
        f"(stage feed, component {component_name(Log)})"
    )


@pytest.mark.parametrize(
    ("cell", "shape", "fault"),
    [
        (1, (2,), "expected the shape (batch, 2), got (batch)"),
        ([1, 2, 3], (None, 2), "expected the shape (batch, any, 2), got (batch, 3)"),
        ([1, 2], (), "expected the shape (batch), got (batch, 2)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(cell, shape, fault):
    with pytest.raises(RecordError, match="expected the shape") as error:
        conformed([{"a": cell}], selector(), shape)
    assert str(error.value) == f"train.csv, record 0: input 'x', column 'a': {fault} {BY}"


def test_names_must_be_those_of_the_network():
    fault = r"the inputs do not match: KeySelector gives 'z'; the network takes 'x' \(stage feed\)$"
    with pytest.raises(ComponentError, match=fault):
        conformed([{"a": 1}], KeySelector(SCORE, {"z": "a"}, {"y": "y"}))


def test_targets_and_weights_are_finite_numbers():
    rows = [{"a": 1, "y": 1, "z": 0.5, "k": True, "w": 1}]
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y", "z": "z", "k": "k"}, {"y": "w"})
    _, y, w = conformed(rows, loader)
    dtypes = {name: str(array.dtype) for name, array in y.items()}
    assert dtypes == {"y": "int64", "z": "float32", "k": "float32"}
    assert str(w["y"].dtype) == "float32"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"y": "b"}, "output 'y', column 'y': expected a number, got 'b' (str)"),
        ({"w": "b"}, "sample weight 'y', column 'w': expected a number, got 'b' (str)"),
    ],
)
def test_a_target_or_weight_that_cannot_be_fed_is_named(row, fault):
    usual = {"a": 1, "y": 1, "w": 1} | dict.fromkeys(row, "1")
    rows = [usual, {**usual, **row}]
    with pytest.raises(RecordError, match="stage feed") as error:
        conformed(rows, KeySelector(TRAIN, {"x": "a"}, {"y": "y"}, {"y": "w"}))
    assert str(error.value) == f"train.csv, record 1: {fault} {BY}"


@pytest.mark.parametrize("target", [-1, 3, 0.5, 1.5])
def test_a_target_that_the_loss_does_not_take_is_named(target):
    wanted, remedy = "a number from 0 to 1", "encode the two classes as 0 and 1"
    if is_label := target != 1.5:
        wanted = "a class label, a whole number from 0 to 2"
        remedy = "encode labels in the transformer, or give the output a unit for each class"
    rows = [{"a": 1, "y": 0}, {"a": 1, "y": 1}, {"a": 1, "y": target}]
    allowed = TargetRange(2 if is_label else 1, whole=is_label)
    with pytest.raises(RecordError, match="stage feed") as error:
        conformed(rows, KeySelector(TRAIN, {"x": "a"}, {"y": "y"}), y=allowed)
    fault = f"expected {wanted}, got {target}; {remedy} {BY}"
    assert str(error.value) == f"train.csv, record 2: output 'y', column 'y': {fault}"
