"""What fits the network, and how a value that does not is named."""

import math

import numpy as np
import pytest

from barrage_mlflow.dataset import (
    ArraySpec,
    IdentityTransformer,
    KeySelector,
    Pipeline,
    RecordMode,
    Records,
    conform,
)
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.feeding.sample_counts import sample_counts
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
FLOAT = {"x": ArraySpec((2,), "float32")}


def pipeline(loader, transformer=IdentityTransformer):
    return Pipeline(loader, transformer(loader.mode, loader))


def fed(rows, keys="a", spec=None, **names):
    """The input that rows make for a network that takes ``spec``."""
    records = Records.read(rows, name="train.csv")
    loader = KeySelector(SCORE, {"x": keys}, {"y": "y"})
    specs = {"x": spec or ArraySpec((), "float32")}
    return conform(loader.load_batch(records), specs, records, pipeline(loader))[0]["x"]


@pytest.mark.parametrize(
    ("cells", "spec", "want"),
    [
        ([1, 2], ArraySpec((), "float32"), np.array([1, 2], np.float32)),
        ([1, 2], ArraySpec((1,), "float32"), np.array([[1], [2]], np.float32)),
        ([[1], [2]], ArraySpec((), "int32"), np.array([1, 2], np.int32)),
        ([1.0, 2.0], ArraySpec((), "int64"), np.array([1, 2])),
        ([0.5, 1], ArraySpec((None,), "float64"), None),
        ([True, False], ArraySpec((), "float32"), np.array([1, 0], np.float32)),
        ([True, False], ArraySpec((), "bool"), np.array([True, False])),
        ([1, 0], ArraySpec((), "bool"), np.array([True, False])),
        ([1, 2], ArraySpec((), "float16"), np.array([1, 2], np.float16)),
        (["a", "b"], ArraySpec((1,), "string"), np.array([["a"], ["b"]], object)),
        ([[1, 2], [3, 4]], ArraySpec((None,), "int32"), np.array([[1, 2], [3, 4]], np.int32)),
        ([True, 2], ArraySpec((), "float32"), np.array([1, 2], np.float32)),
    ],
    ids=repr,
)
def test_inputs_become_what_the_network_takes(cells, spec, want):
    rows = [{"a": cell} for cell in cells]
    if want is None:
        want = np.array([[0.5], [1.0]])
        spec = ArraySpec((1,), "float64")
    got = fed(rows, spec=spec)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("cells", "spec", "fault"),
    [
        ([1, None], "float32", "expected a number, got a missing value (NaN)"),
        ([1, math.inf], "float32", "expected a number, got inf"),
        ([1, "abc"], "float32", "expected a number, got 'abc' (str)"),
        (["1", None], "float32", "expected a number, got '1' (str)"),
        ([1.0, 1e300], "float32", "expected a number within float32, got 1e+300"),
        ([1, 10**30], "float32", None),
        ([1, 1.5], "int32", "expected a whole number within int32, got 1.5"),
        ([1, 2**40], "int32", "expected a whole number within int32, got 1099511627776"),
        ([1, None], "int32", "expected a number, got a missing value (NaN)"),
        ([1, 2], "bool", "expected a whole number within bool, got 2"),
        (["a", None], "string", "expected a string, got a missing value"),
        (["a", 3], "string", "expected a string, got 3 (int)"),
        ([True, None], "float32", "expected a number, got a missing value"),
        ([{"k": 1}, 1], "float32", "expected a number, got {'k': 1} (dict)"),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_fed_is_named(cells, spec, fault):
    rows = [{"a": cell} for cell in cells]
    if fault is None:
        assert fed(rows, spec=ArraySpec((), spec)).tolist() == [1.0, np.float32(1e30)]
        return
    with pytest.raises(RecordError, match="stage feed") as error:
        fed(rows, spec=ArraySpec((), spec))
    index = 0 if cells[0] in ("1", {"k": 1}) else 1
    assert str(error.value) == (
        f"train.csv, record {index}: input 'x', column 'a': {fault} "
        "(stage feed, component KeySelector)"
    )


def test_of_several_columns_the_one_at_fault_is_named():
    rows = [{"a": 1, "b": 2, "t": [1, 2]}, {"a": 1, "b": None, "t": [1, None]}]
    with pytest.raises(RecordError, match="column 'b': expected a number"):
        fed(rows, ["a", "b"], ArraySpec((2,), "float32"))
    with pytest.raises(RecordError, match="column 't': expected a number"):
        fed(rows, "t", ArraySpec((2,), "float32"))


@pytest.mark.parametrize("rows", [[0, 1], [1, 0], [0]])
def test_the_one_word_that_made_a_csv_column_text_is_named(tmp_path, rows):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n3,many\n")
    records = Records.read(path).take(rows)
    loader = KeySelector(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    with pytest.raises(RecordError, match="many") as error:
        conform(loader.load_batch(records), FLOAT, records, pipeline(loader))
    assert str(error.value) == (
        "train.csv, record 1 (line 3): input 'x', column 'b': expected a number, got 'many' (str) "
        "(stage feed, component KeySelector)"
    )
    with pytest.raises(RecordError, match=r"record 1 \(line 3\): .* got 'many'$"):
        sample_counts(records, "b")


def test_a_value_that_the_transformer_spoilt_is_laid_at_its_door():
    class Log(IdentityTransformer):
        pass

    records = Records.read([{"a": 0, "b": 1}])
    loader = KeySelector(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    x = {"x": np.array([[-np.inf, 0.0]])}
    with pytest.raises(RecordError, match="stage feed") as error:
        conform((x,), FLOAT, records, pipeline(loader, Log))
    assert str(error.value) == (
        "record 0: input 'x', columns 'a', 'b': expected a number, got -inf "
        f"(stage feed, component {component_name(Log)})"
    )


@pytest.mark.parametrize(
    ("cells", "spec", "fault"),
    [
        ([1], (2,), "expected the shape (batch, 2), got (batch)"),
        ([[1, 2, 3]], (2,), "expected the shape (batch, 2), got (batch, 3)"),
        ([[1, 2]], (None, 3), "expected the shape (batch, any, 3), got (batch, 2)"),
        ([[1, 2]], (), "expected the shape (batch), got (batch, 2)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(cells, spec, fault):
    with pytest.raises(RecordError, match="expected the shape") as error:
        fed([{"a": cell} for cell in cells], spec=ArraySpec(spec, "float32"))
    assert str(error.value) == (
        f"train.csv, record 0: input 'x', column 'a': {fault} (stage feed, component KeySelector)"
    )


def test_without_known_columns_the_input_alone_is_named():
    class Silent(KeySelector):
        def columns_of(self, name):
            return []

    records = Records.read([{"a": None, "b": 1}])
    loader = Silent(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    with pytest.raises(
        RecordError, match=r"^record 0: input 'x': expected a number, got a missing"
    ):
        conform(loader.load_batch(records), FLOAT, records, pipeline(loader))


def test_names_must_be_those_of_the_network():
    records = Records.read([{"a": 1}])
    loader = KeySelector(SCORE, {"x": "a"}, {"y": "y"})
    with pytest.raises(ComponentError, match="do not match") as error:
        conform(
            ({"x": records["a"]},), {"z": FLOAT["x"], "q": FLOAT["x"]}, records, pipeline(loader)
        )
    assert str(error.value) == (
        "the inputs do not match: KeySelector gives x; the network takes q, z (stage feed)"
    )


def test_targets_and_weights_are_finite_numbers():
    rows = [{"a": 1, "y": 1, "z": 0.5, "k": True, "w": 1}]
    records = Records.read(rows)
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y", "z": "z", "k": "k"}, {"y": "w"})
    specs = {"x": ArraySpec((), "float32")}
    _, targets, weights = conform(loader.load_batch(records), specs, records, pipeline(loader))
    assert {n: str(a.dtype) for n, a in targets.items()} == {
        "y": "int64",
        "z": "float32",
        "k": "float32",
    }
    assert str(weights["y"].dtype) == "float32"


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"y": None}, "output 'y', column 'y': expected a number, got a missing value (NaN)"),
        ({"y": "b"}, "output 'y', column 'y': expected a number, got 'b' (str)"),
        (
            {"w": None},
            "sample weight 'y', column 'w': expected a number, got a missing value (NaN)",
        ),
    ],
)
def test_a_target_or_weight_that_cannot_be_fed_is_named(row, fault):
    rows = [{"a": 1, "y": 1, "w": 1}, {"a": 1, "y": 1, "w": 1, **row}]
    records = Records.read(rows, name="train.csv")
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y"}, {"y": "w"})
    with pytest.raises(RecordError, match="stage feed") as error:
        conform(
            loader.load_batch(records), {"x": ArraySpec((), "float32")}, records, pipeline(loader)
        )
    assert str(error.value) == (f"train.csv, record 1: {fault} (stage feed, component KeySelector)")
