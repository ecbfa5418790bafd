"""Names that do not depend on what the process built before."""

import inspect

import keras
from hypothesis import given
from hypothesis import strategies as st

from barrage_mlflow.model.names import (
    automatic_number,
    listed,
    snake_case,
    stable_names,
    unique_names,
)


def test_snake_case_is_keras_own():
    namespaces = {**vars(keras.layers), **vars(keras.losses), **vars(keras.metrics)}
    class_names = [name for name, found in namespaces.items() if inspect.isclass(found)]
    assert len(class_names) > 150
    for class_name in [*class_names, "MyNet2", "HTTPLayer", "my_Layer"]:
        made_up = type(class_name, (keras.layers.Layer,), {})().name
        assert automatic_number(made_up, class_name) is not None, class_name
        assert made_up.startswith(snake_case(class_name))


def test_chosen_names_are_not_automatic():
    assert automatic_number("species", "Dense") is None
    assert automatic_number("dense_head", "Dense") is None
    assert automatic_number("dense_", "Dense") is None


def test_stable_names_count_from_zero_in_the_order_of_making():
    named = [("dense_11", "Dense"), ("x", "InputLayer"), ("dense_9", "Dense"), ("re_lu_4", "ReLU")]
    assert stable_names(named) == {
        "dense_11": "dense_1",
        "x": "x",
        "dense_9": "dense",
        "re_lu_4": "re_lu",
    }


@given(st.lists(st.sampled_from(["a", "a_1", "a_2", "b"]), max_size=8))
def test_unique_names_are_unique_and_first_ones_stay(names):
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    for place, name in enumerate(names):
        assert unique[place].startswith(name)
        if name not in unique[:place]:
            assert unique[place] == name


def test_messages():
    assert listed([]) == "none"
    assert listed(["b", "a"]) == "'a', 'b'"
