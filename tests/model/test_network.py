"""Networks as dict-in, dict-out."""

import logging
from pathlib import Path

import keras
import numpy as np
import pytest
from golden_messages import messages
from keras import layers, ops

from barrage_mlflow.model import build_network
from barrage_mlflow.model.network import array_specs, as_dict_network

HERE = __name__
X = {"flower": np.arange(8, dtype="float32").reshape(2, 4)}
TWO = {"a": np.ones((2, 3), "float32"), "b": np.ones((2, 2), "float32")}


def config(function, outputs=("species",), **params):
    outputs = [{"name": name, "loss": {"import": "mse"}} for name in outputs]
    network = {"import": f"{HERE}.{function}", "params": params}
    return {"model": {"network": network, "outputs": outputs}}


def build(function, outputs=("species",), x=X, network_params=None, **params):
    return build_network(config(function, outputs, **params), network_params or {}, (x,))


def shapes(tensors):
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


# Networks of a project.


def functional(units=3):
    x = keras.Input((4,), name="flower")
    return keras.Model(x, layers.Dense(units, name="species")(layers.Dense(8)(x)))


def of_any_params(**params):
    assert params == {}
    return functional()


def two_by_two():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    joined = layers.Concatenate()([a, b])
    return keras.Model(
        [a, b], [layers.Dense(3, name="u")(joined), layers.Dense(1, name="v")(joined)]
    )


def dicts():
    x = {"a": keras.Input((3,), name="first"), "b": keras.Input((2,), name="second")}
    joined = layers.Concatenate()([x["a"], x["b"]])
    return keras.Model(x, {"v": layers.Dense(3, name="u")(joined), "u": layers.Dense(1)(joined)})


def unnamed(outputs=1):
    x = keras.Input((4,))
    hidden = layers.Dense(8)(x)
    return keras.Model(x, [layers.Dense(3)(hidden) for _ in range(outputs)])


def unnamed_inputs():
    a, b = keras.Input((3,)), keras.Input((2,))
    return keras.Model([a, b], layers.Dense(3, name="species")(layers.Concatenate()([a, b])))


def with_operation():
    x = keras.Input((4,))
    return keras.Model(x, ops.relu(layers.Dense(3)(x)))


def sequential():
    return keras.Sequential([keras.Input((4,), name="flower"), layers.Dense(3, name="species")])


def open_sequential():
    return keras.Sequential([layers.Dense(8), layers.Dense(3, name="species")], name="iris")


def image():
    return keras.Sequential([layers.Conv2D(1, 3, name="image")])


def empty_sequential():
    return keras.Sequential()


def unnamed_sequential():
    return keras.Sequential([keras.Input((4,)), keras.Sequential([layers.Dense(3)])])


def same_names():
    x = keras.Input((4, 1), name="flower")
    _, *states = layers.LSTM(3, return_state=True, name="species")(x)
    return keras.Model(x, states)


def deep_dict():
    x = keras.Input((4,), name="flower")
    return keras.Model(x, {"species": [layers.Dense(3)(x), layers.Dense(3)(x)]})


class Subclassed(keras.Model):
    def __init__(self, returns="dict", takes="dict"):
        super().__init__()
        self.dense = layers.Dense(3)
        self.dropout = layers.Dropout(0.5)
        self.returns, self.takes = returns, takes

    def call(self, x, training=False):
        if self.takes == "broken":
            raise RuntimeError("broken call")
        y = self.dropout(self.dense(x["flower"] if self.takes == "dict" else x), training=training)
        y = ops.tanh(y)
        return {"dict": {"species": y}, "tensor": y, "none": {}}[self.returns]


class Typed(keras.Model):
    def call(self, x):
        joined = ops.concatenate([ops.cast(x["n"], "float32"), x["f"]])
        return {"n": joined, "s": x["s"]}


class OwnCall(keras.Model):
    """Built as a functional network, with a call of its own."""

    def __init__(self):
        x = keras.Input((4,), name="flower")
        super().__init__(inputs=x, outputs=layers.Dense(3)(x))

    def call(self, inputs, training=None):
        y = super().call(inputs["flower"], training=training)
        return {"species": y}


class OwnStep(keras.Model):
    def train_step(self, data):
        raise NotImplementedError

    def compute_loss(self, *args, **kwargs):
        raise NotImplementedError


# What comes of them.


def test_a_functional_network_is_rewired_not_nested():
    network = build("functional", units=5)
    assert [type(layer).__name__ for layer in network.layers] == ["InputLayer", "Dense", "Dense"]
    assert shapes(network.input) == {"flower": (None, 4)}
    assert shapes(network.output) == {"species": (None, 5)}


def test_rewiring_keeps_layers_and_weights():
    original = functional()
    network = as_dict_network(original, X, ["species"])
    assert network.layers[1] is original.layers[1]
    scores = network(X)["species"]
    np.testing.assert_array_equal(scores, original(X["flower"]))


def test_several_inputs_and_outputs_are_called_by_their_layers():
    network = build("two_by_two", ("u", "v"), TWO)
    assert shapes(network.input) == {"a": (None, 3), "b": (None, 2)}
    assert shapes(network(TWO)) == {"u": (2, 3), "v": (2, 1)}


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_keys_go_before_layer_names():
    network = build("dicts", ("u", "v"), TWO)
    assert shapes(network.input) == {"a": (None, 3), "b": (None, 2)}
    assert shapes(network(TWO)) == {"u": (2, 1), "v": (2, 3)}


def test_several_that_nobody_named_are_called_as_keras_calls_them():
    made = unnamed(2)
    network = as_dict_network(made, X, ["species", "mass"])
    assert (list(network.input), list(network.output)) == (["flower"], made.output_names)
    made = unnamed_inputs()
    names = [layer.name for layer in made.layers if isinstance(layer, layers.InputLayer)]
    assert list(as_dict_network(made, TWO, ["species"]).input) == names


@pytest.mark.parametrize("function", ["unnamed", "with_operation", "unnamed_sequential"])
def test_what_nobody_named_takes_the_names_of_loader_and_config(function):
    for _ in range(2):
        network = build(function)
        assert shapes(network.input) == {"flower": (None, 4)}
        assert shapes(network.output) == {"species": (None, 3)}


def test_sequential_networks():
    network = build("sequential")
    assert [layer.name for layer in network.layers] == ["flower", "species"]
    assert shapes(network(X)) == {"species": (2, 3)}
    assert build("open_sequential").name == "iris"


@pytest.mark.parametrize("takes", ["dict", "tensor"])
def test_a_subclassed_network_is_traced_from_the_example(takes):
    network = build("Subclassed", takes=takes)
    assert shapes(network.input) == {"flower": (None, 4)}
    assert shapes(network.output) == {"species": (None, 3)}
    assert len(network.trainable_weights) == 2
    np.testing.assert_array_equal(network(X)["species"], network(X, training=False)["species"])
    assert not np.array_equal(network(X)["species"], network(X, training=True)["species"])


def test_a_subclassed_network_gets_the_examples_dtypes():
    x = {
        "n": np.ones((2, 1), "int64"),
        "f": np.ones((2, 1), "float64"),
        "s": np.array([["a"], ["b"]], object),
    }
    network = build("Typed", ("n", "s"), x)
    assert {name: spec.dtype for name, spec in array_specs(network.input).items()} == {
        "n": "int64",
        "f": "float32",
        "s": "string",
    }


@pytest.mark.parametrize(("x", "inputs"), [(X, "'flower'"), (TWO, "'a', 'b'")])
def test_a_call_that_breaks_keeps_the_error(x, inputs):
    with pytest.raises(RuntimeError, match="broken call") as caught:
        build("Subclassed", x=x, takes="broken")
    note = f"in $.model.network, call of Subclassed on inputs {inputs}"
    assert caught.value.__notes__[-1] == note


def test_a_param_may_be_there_for_placeholders_alone():
    layers = [{"import": "Dense", "params": {"units": "{{units}}", "name": "species"}}]
    params = {"units": 3, "layers": layers}
    config = {
        "model": {
            "network": {"import": "sequential_from_config", "params": params},
            "outputs": [{"name": "species", "loss": {"import": "mse"}}],
        }
    }
    network = build_network(config, {}, ({"flower": np.zeros((2, 4), "float32")},))
    assert network.output["species"].shape == (None, 3)


def test_a_function_gets_the_network_params_that_it_names(caplog):
    caplog.set_level(logging.INFO, "barrage_mlflow")
    network = build("functional", network_params={"units": 5, "other": 1})
    assert network.output["species"].shape == (None, 5)
    assert [record.getMessage() for record in caplog.records] == [
        "params of the network that come from the transformer: 'units'",
        "nothing takes these network_params: 'other'",
    ]


def test_what_a_placeholder_reads_or_any_name_is_taken_for_is_not_passed(caplog):
    learnt = {"units": "{{width}}"}
    network = build("functional", network_params={"width": 6}, **learnt)
    assert network.output["species"].shape == (None, 6)
    assert caplog.records == []
    assert build("of_any_params", network_params={"units": 6}).output["species"].shape == (None, 3)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


FAULTS = {
    "two outputs of one name": lambda: build("same_names"),
    "a list as an output": lambda: build("deep_dict"),
    "a Sequential without layers": lambda: build("empty_sequential"),
    "a Sequential without an Input, for two inputs": lambda: build("open_sequential", x=TWO),
    "a Sequential that does not take the example": lambda: build("image"),
    "a call that gives a tensor": lambda: build("Subclassed", returns="tensor"),
    "a call that gives nothing": lambda: build("Subclassed", returns="none"),
    "a call that would never be called": lambda: build("OwnCall"),
    "a training step": lambda: build("OwnStep"),
}


def test_networks_that_cannot_be_trained():
    golden = Path(__file__).with_name("golden_network.txt")
    assert messages(FAULTS) == golden.read_text("utf-8")
