"""Networks from layer import blocks."""

import keras
import pytest

from barrage_mlflow.errors import ImportPathError
from barrage_mlflow.model import sequential_from_config


class Wide(keras.layers.Layer):
    def call(self, x):
        raise RuntimeError("too wide")


IRIS = [
    {"import": "Input", "params": {"shape": 4, "name": "flower"}},
    {"import": "Dense", "params": {"units": 8, "activation": "relu"}},
    {"import": "tf.keras.layers.Dropout", "params": {"rate": 0.1}},
    {"import": "Dense", "params": {"units": 8}},
    {"import": "Dense", "params": {"units": 3, "name": "species"}},
]


@pytest.mark.parametrize("path", ["Input", "keras.Input", "tensorflow.keras.layers.Input"])
@pytest.mark.parametrize("shape", [4, [4]])
def test_an_input_of_one_axis_may_be_an_integer(path, shape):
    block = {"import": path, "params": {"shape": shape, "name": "x"}}
    (x,) = sequential_from_config([block, *IRIS[1:]]).inputs
    assert (x.name, x.shape) == ("x", (None, 4))


def test_without_an_input_the_shape_is_left_open():
    assert not sequential_from_config(IRIS[1:]).built


def test_an_unknown_layer_suggests_the_nearest():
    with pytest.raises(ImportPathError, match="Dense"):
        sequential_from_config([{"import": "Dens", "params": {"units": 3}}])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([IRIS[0], {"import": f"{__name__}.Wide"}], "too wide"),
        ([IRIS[0], IRIS[4], IRIS[4]], "should have unique names. Name 'species'"),
    ],
)
def test_layers_that_do_not_go_together_keep_their_error(layers, message):
    with pytest.raises((RuntimeError, ValueError), match=message) as caught:
        sequential_from_config(layers)
    assert caught.value.__notes__ == ["in $.model.network.params.layers"]
