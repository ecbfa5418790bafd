"""The record form in bulk: stacked as NumPy would, and its errors as if one by one."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from barrage_mlflow.dataset import (
    RecordMode,
)
from barrage_mlflow.dataset.components.stacking import data_records, stack_records
from barrage_mlflow.dataset.types import as_array
from barrage_mlflow.errors import RecordError

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
            stack_records(data_records([({"x": value},) for value in values], "f"), "f")
        return
    (x,) = stack_records(data_records([({"x": value},) for value in values], "f"), "f")
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
