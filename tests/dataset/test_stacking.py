"""The record form in bulk: stacked as NumPy would, and its errors as if one by one."""

import re
from collections import OrderedDict

import numpy as np
import pytest
from contract import assert_data_equal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from barrage_mlflow.dataset import (
    IdentityTransformer,
    Pipeline,
    RecordLoader,
    RecordMode,
    Records,
)
from barrage_mlflow.dataset.components.stacking import stack_records
from barrage_mlflow.dataset.types import as_array
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN = RecordMode.TRAIN
DTYPES = ["?", "i1", "u8", ">i4", "f2", "f4", "f8", ">f8", "c8", "M8[s]", "U3", "O"]


@settings(deadline=None, max_examples=150)
@given(
    st.data(),
    arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    st.lists(st.sampled_from(DTYPES), min_size=1, max_size=2),
    st.integers(1, 5),
)
def test_arrays_are_stacked_as_numpy_does(data, shape, dtypes, count):
    values = []
    for index in range(count):
        dtype = dtypes[index % len(dtypes)]
        if dtype == "O":
            words = data.draw(st.lists(st.text(max_size=2), min_size=27, max_size=27))
            value = np.array(words, object)[: int(np.prod(shape))].reshape(shape)
        else:
            value = data.draw(arrays_of.arrays(dtype, shape))
        values.append(value)
    try:
        wanted = np.stack([as_array(value) for value in values])
    except TypeError as error:  # dates do not go with numbers
        with pytest.raises(type(error), match="promote"):
            stack_records([({"x": value},) for value in values], "f")
        return
    (x,) = stack_records([({"x": value},) for value in values], "f")
    assert (x["x"].dtype, x["x"].shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype == object:
        assert repr(x["x"].tolist()) == repr(wanted.tolist())  # NaN is not equal to itself
    else:
        assert x["x"].tobytes() == wanted.tobytes()


@pytest.mark.parametrize("dtype", ["f4", "O"])
@pytest.mark.parametrize("shapes", [[(2,), (2,), (2, 1)], [(), (), (1,)], [(1, 2), (1, 2), (2,)]])
def test_the_first_array_of_another_shape_is_named(shapes, dtype):
    fault = f"f gives 'x' the shape {shapes[2]}, where the records before it have {shapes[0]}"
    with pytest.raises(RecordError, match=f"^{re.escape(fault)}$") as error:
        stack_records([({"x": np.zeros(shape, dtype)},) for shape in shapes], "f")
    assert error.value.barrage_index == 2


class Gives(RecordLoader):
    """Gives what it is told to for each record, or raises it."""

    def __init__(self, given):
        super().__init__(TRAIN)
        self.given = given

    def load(self, record):
        what = self.given[record["n"]]
        if isinstance(what, Exception):
            raise what
        return what


class Notes(IdentityTransformer):
    """Notes what it is given, in the record form alone."""

    def __init__(self, mode, loader):
        super().__init__(mode, loader)
        self.given = []

    def transform(self, data_record):
        self.given.append(data_record)
        return data_record


def made(given):
    loader = Gives(given)
    records = Records.read([{"n": index} for index in range(len(given))], name="train.csv")
    pipeline = Pipeline(loader, Notes(TRAIN, loader))
    return pipeline, records


def test_dicts_of_any_kind_and_in_any_order_are_taken():
    given = [
        ({"a": 1.0, "b": "x"}, OrderedDict(y=0)),
        ({"b": "y", "a": 2.0}, {"y": 1}),
    ]
    pipeline, records = made(given)
    assert_data_equal(
        pipeline.load_and_transform(records),
        ({"a": np.array([1.0, 2.0]), "b": np.array(["x", "y"], object)}, {"y": np.array([0, 1])}),
        "batch",
    )


@pytest.mark.parametrize("last", [np.array(3), 3], ids=["arrays", "a number among arrays"])
def test_the_transformer_is_given_arrays_with_strings_of_python(last):
    given = [
        ({"n": np.array(1), "s": np.array("a")}, {"y": np.array(0)}),
        ({"n": last, "s": "bc"}, {"y": np.array(0)}),
    ]
    pipeline, records = made(given)
    pipeline.load_and_transform(records)
    came = [value for x, y in pipeline.transformer.given for value in (*x.values(), *y.values())]
    assert [type(value) for value in came] == [np.ndarray] * 6
    assert [value.dtype.kind for value in came] == list("iOiiOi")


GOOD = ({"x": np.zeros(1)}, {"y": np.array(0)})


@pytest.mark.parametrize(
    ("given", "kind", "text", "record"),
    [
        ([GOOD, ValueError("odd"), GOOD], ValueError, "odd", 1),
        ([GOOD, [GOOD], ValueError("odd")], ValueError, "odd", 2),
        ([GOOD, [GOOD], GOOD], ComponentError, "expected a tuple of dicts", 1),
        ([GOOD, GOOD, ({}, {})], ComponentError, "it gives no inputs", 2),
        ([(*GOOD, {}, {})] * 2, ComponentError, "got a tuple of length 4", 0),
        ([ValueError("odd"), [GOOD]], ValueError, "odd", 0),
    ],
)
def test_a_record_at_fault_is_named_whatever_its_fault(given, kind, text, record):
    pipeline, records = made(given)
    with pytest.raises(kind, match=text) as error:
        pipeline.load_and_transform(records)
    place = f"in train.csv, record {record}, stage load, component {__name__}.Gives"
    last = ["column 'n' was read last"] if kind is ValueError else []
    assert error.value.__notes__ == [place, *last]
    assert pipeline.transformer.given == []


def test_names_may_differ_until_they_are_stacked():
    class Renames(IdentityTransformer):
        def transform(self, data_record):
            x, y = data_record
            return {"x": next(iter(x.values()))}, y

    loader = Gives([({"a": 1.0}, {"y": 0}), ({"b": 2.0}, {"y": 1})])
    records = Records.read([{"n": 0}, {"n": 1}])
    x, _ = Pipeline(loader, Renames(TRAIN, loader)).load_and_transform(records)
    assert x["x"].tolist() == [1.0, 2.0]
    pipeline = Pipeline(loader, IdentityTransformer(TRAIN, loader))
    with pytest.raises(RecordError, match=r"gives the inputs b, where .* have a\nin record 1, "):
        pipeline.load_and_transform(records)
