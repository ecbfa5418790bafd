"""Names that somebody chose, and names that Keras made up."""

import inspect

import keras
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrage_mlflow.model.names import is_made_up, snake_case, unique_names


def test_snake_case_is_keras_own():
    namespaces = {**vars(keras.layers), **vars(keras.losses), **vars(keras.metrics)}
    class_names = [name for name, found in namespaces.items() if inspect.isclass(found)]
    assert len(class_names) > 150
    for class_name in [*class_names, "MyNet2", "HTTPLayer", "my_Layer"]:
        made_up = type(class_name, (keras.layers.Layer,), {})().name
        assert is_made_up(made_up, class_name), class_name
        assert made_up.startswith(snake_case(class_name))


@pytest.mark.parametrize("name", ["species", "dense_head", "dense_"])
def test_chosen_names_are_not_made_up(name):
    assert not is_made_up(name, "Dense")


@given(st.lists(st.sampled_from(["a", "a_1", "a_2", "b"]), max_size=8))
def test_unique_names_are_unique_and_first_ones_stay(names):
    unique = unique_names(names)
    assert len(set(unique)) == len(names)
    for place, name in enumerate(names):
        assert unique[place].startswith(name)
        if name not in unique[:place]:
            assert unique[place] == name
