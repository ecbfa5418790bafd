"""The loader that selects columns by their keys."""

import re

import numpy as np
import pytest
from component_parts import RECORDS, SCORE, TRAIN, selector
from contract import check_loader
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import KeySelector, RecordMode, Records
from barrage_mlflow.errors import RecordError


def test_key_selector_gives_each_part_by_name():
    x, y, w = selector(TRAIN).load_batch(RECORDS)
    np.testing.assert_array_equal(x["many"], [[1, 0.5], [2, np.nan]])
    assert x["mixed"].tolist() == [[1, "x"], [2, "yy"]]
    assert x["lists"].shape == (2, 2, 2)
    assert (y["y"].tolist(), y["z"].tolist(), w["y"].tolist()) == ([0, 1], [[0], [1]], [1.0, 0.5])
    assert [len(selector(mode).load_batch(RECORDS)) for mode in RecordMode] == [3, 3, 1]


def test_key_selector_names_a_missing_key():
    loader = KeySelector(SCORE, {"x": ["a", "c"]}, {"y": "y"})
    records = Records.read([{"a": 1, "b": 2}], name="t.csv")
    with pytest.raises(RecordError, match="no column") as error:
        loader.load_batch(records)
    assert str(error.value) == "t.csv: no column 'c'; the columns are 'a', 'b'"
    with pytest.raises(RecordError, match=r"^the record: no column 'c'; the columns are 'a', 'b'$"):
        loader.load(records[0])


def test_key_selector_refuses_columns_of_differing_shapes_side_by_side():
    loader = KeySelector(SCORE, {"x": ["a", "t"]}, {"y": "y"})
    fault = re.escape("columns of differing shapes cannot stand in one list of keys: (2,), (2, 2)")
    with pytest.raises(RecordError, match=f"^{fault}$"):
        loader.load_batch(RECORDS)


def test_key_selector_refuses_lists_that_differ_within_a_record():
    loader = KeySelector(SCORE, {"x": "t"}, {"y": "y"})
    fault = "^column 't' holds a list of lists of differing lengths$"
    with pytest.raises(RecordError, match=fault):
        loader.load({"t": [[1], [2, 3]]})


def test_a_string_keeps_its_last_character_whatever_it_is():
    loader = KeySelector(RecordMode.SCORE, {"s": "s", "t": "t"}, {"y": "s"})
    check_loader(
        lambda mode: KeySelector(mode, {"s": "s", "t": "t"}, {"y": "s"}),
        Records.read([{"s": "a\x00", "t": ["b\x00", ""]}, {"s": "", "t": ["", "c"]}]),
    )
    (x,) = loader.load({"s": "a\x00", "t": ["b\x00", ""]})
    assert (x["s"].item(), x["t"].tolist()) == ("a\x00", ["b\x00", ""])


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "a": st.integers(-100, 100),
                "b": st.floats(allow_infinity=False, width=32),
                "s": st.text(max_size=3),
                "t": st.lists(st.integers(0, 9), min_size=2, max_size=2),
            }
        ),
        min_size=2,
        max_size=5,
    )
)
def test_key_selector_keeps_the_contract_on_any_records(rows):
    inputs = {"x": ["a", "b"], "s": "s", "t": "t", "m": ["s", "b"]}
    check_loader(lambda mode: KeySelector(mode, inputs, {"y": "a"}), Records.read(rows))
