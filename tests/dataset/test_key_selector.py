"""The loader that selects columns by their keys."""

from pathlib import Path

import numpy as np
from component_parts import RECORDS, SCORE, TRAIN, selector
from contract import check_loader
from golden_messages import messages
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import KeySelector, RecordMode, Records


def test_key_selector_gives_each_part_by_name():
    x, y, w = selector(TRAIN).load_batch(RECORDS)
    np.testing.assert_array_equal(x["many"], [[1, 0.5], [2, np.nan]])
    assert x["mixed"].tolist() == [[1, "x"], [2, "yy"]]
    assert x["lists"].shape == (2, 2, 2)
    assert (y["y"].tolist(), y["z"].tolist(), w["y"].tolist()) == ([0, 1], [[0], [1]], [1.0, 0.5])
    assert [len(selector(mode).load_batch(RECORDS)) for mode in RecordMode] == [3, 3, 1]


def test_key_selector_says_what_it_cannot_select():
    one = Records.read([{"a": 1, "b": 2}], name="t.csv")

    def selector(*keys):
        return KeySelector(SCORE, {"x": [*keys] if keys[1:] else keys[0]}, {"y": "y"})

    cases = {
        "a missing column": lambda: selector("a", "c").load_batch(one),
        "a missing key": lambda: selector("a", "c").load(one[0]),
        "columns of differing shapes": lambda: selector("a", "t").load_batch(RECORDS),
        "lists that differ within a record": lambda: selector("t").load({"t": [[1], [2, 3]]}),
    }
    assert messages(cases) == Path(__file__).with_name("golden_key_selector.txt").read_text("utf-8")


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
