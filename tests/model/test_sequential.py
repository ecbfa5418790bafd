"""Networks from layer import blocks."""

import keras
import pytest

from barrage_mlflow.errors import ComponentError, ImportPathError
from barrage_mlflow.model import sequential_from_config


class Plain(keras.layers.Layer):
    """A project's layer that takes no name."""

    def __init__(self):
        super().__init__()

    def call(self, x):
        return x


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


def names(network):
    return [layer.name for layer in network.layers]


@pytest.mark.parametrize("path", ["Input", "keras.Input", "tensorflow.keras.layers.Input"])
@pytest.mark.parametrize("shape", [4, [4]])
def test_an_input_of_one_axis_may_be_an_integer(path, shape):
    network = sequential_from_config(
        [{"import": path, "params": {"shape": shape, "name": "x"}}, *IRIS[1:]]
    )
    assert network.input_shape == (None, 4)
    assert names(network)[0] == "x"


def test_names_do_not_depend_on_what_was_built_before():
    expected = ["flower", "dense", "dropout", "dense_1", "species"]
    assert names(sequential_from_config(IRIS)) == expected
    assert names(sequential_from_config(IRIS)) == expected


def test_automatic_names_step_aside_for_chosen_ones():
    network = sequential_from_config(
        [
            {"import": "Input", "params": {"shape": [2]}},
            {"import": "Dense", "params": {"units": 2}},
            {"import": "Dense", "params": {"units": 2, "name": "dense"}},
            {"import": f"{__name__}.Plain"},
            {"import": "Dense", "params": {"units": 2}},
        ]
    )
    assert names(network) == ["input_layer", "dense_1", "dense", "plain", "dense_2"]


def test_without_an_input_the_shape_is_left_open():
    network = sequential_from_config(IRIS[1:])
    assert not network.built
    assert names(network) == ["dense", "dropout", "dense_1", "species"]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        *(
            (
                layers,
                f": expected a list of import blocks, got {kind}; "
                'write [{"import": "Dense", "params": {"units": 3}}]',
            )
            for layers, kind in [("Dense", "str"), ({"import": "Dense"}, "dict")]
        ),
        (IRIS[:1], ": expected at least one layer besides Input, got none"),
        ([], ": expected at least one layer besides Input, got none"),
        (
            [IRIS[0], "Dense"],
            '[1]: expected an import block, got \'Dense\'; write {"import": "Dense", …}',
        ),
        ([IRIS[1], IRIS[0]], "[1]: expected a layer, got an Input, which may only come first"),
        (
            [IRIS[0], IRIS[4], IRIS[4]],
            ": expected layers of different names, got 'species' more than once; give each its "
            'own "name" param',
        ),
    ],
)
def test_faulty_layers(layers, message):
    with pytest.raises(ComponentError, match="layers") as caught:
        sequential_from_config(layers)
    assert str(caught.value) == f"$.model.network.params.layers{message}"


def test_an_unknown_layer_suggests_the_nearest():
    with pytest.raises(ImportPathError, match="Dense"):
        sequential_from_config([{"import": "Dens", "params": {"units": 3}}])


def test_a_layer_that_breaks_keeps_its_error_and_says_where():
    with pytest.raises(RuntimeError, match="too wide") as caught:
        sequential_from_config([IRIS[0], {"import": f"{__name__}.Wide"}])
    assert caught.value.__notes__ == [f"in $.model.network.params.layers[1], layer {__name__}.Wide"]
