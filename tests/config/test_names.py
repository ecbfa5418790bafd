"""Names that somebody chose, and names that Keras made up."""

import inspect

import keras
import pytest

from barrage_mlflow.config.keras_index import is_made_up, snake_name


def test_snake_name_is_keras_own():
    namespaces = {**vars(keras.layers), **vars(keras.losses), **vars(keras.metrics)}
    class_names = [name for name, found in namespaces.items() if inspect.isclass(found)]
    assert len(class_names) > 150
    for class_name in [*class_names, "MyNet2", "HTTPLayer", "my_Layer"]:
        made_up = type(class_name, (keras.layers.Layer,), {})().name
        assert is_made_up(made_up, class_name), class_name
        assert made_up.startswith(snake_name(class_name))


@pytest.mark.parametrize("name", ["species", "dense_head", "dense_"])
def test_chosen_names_are_not_made_up(name):
    assert not is_made_up(name, "Dense")
