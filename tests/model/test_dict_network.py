"""Outputs with members: the loss is the mean of theirs, metrics see the mean of their scores."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from objective_parts import GENERATOR, HERE, X, config, output

from barrage_mlflow.model import build_network
from barrage_mlflow.model.objective import Objective
from barrage_mlflow.training.steps import train_step

MEMBERS = 3


class Mean(layers.Layer):
    """A project's own: all members in training, else their mean."""

    def call(self, x, training=False):
        return x if training else ops.mean(x, axis=1)


def ensemble(activation, others=()):
    x = keras.Input((4,), name="x")
    members = layers.Reshape((MEMBERS, 2))(layers.Dense(2 * MEMBERS)(x))
    y = Mean()(layers.Activation(activation)(members))
    return keras.Model(x, {"y": y, **{name: layers.Dense(1)(x) for name in others}})


def stepped(outputs, y, w=None, scale=1.0, **params):
    """The network, what a training step logs, weights left as they are, and what members say."""
    given = config("ensemble", *outputs, **params)
    given["model"]["network"]["import"] = f"{__name__}.ensemble"
    keras.utils.set_random_seed(3)
    network = build_network(given, {}, (X,))
    network.set_weights([scale * each for each in network.get_weights()])
    objective = Objective(given, network)
    objective.check_targets(y, w)
    objective.compile(network, keras.optimizers.SGD(0.0))
    y, w = objective.conform(y, w)
    logs = train_step(network, (X, y) if w is None else (X, y, w))
    said = network(X, training=True)["y"]
    return network, {name: float(value) for name, value in logs.items()}, said


CLASSES = GENERATOR.integers(0, 2, 10)
NUMBERS = GENERATOR.normal(size=(10, 2)).astype("float32")
SUM = {"loss": {"import": "mse", "params": {"reduction": "sum"}}}
WEIGHTS = {"y": GENERATOR.uniform(size=10)}


@pytest.mark.parametrize("w", [None, WEIGHTS])
@pytest.mark.parametrize(
    ("block", "activation", "y"),
    [
        (output("y", "sparse_categorical_crossentropy"), "softmax", CLASSES),
        (output("y", "mse"), "linear", NUMBERS),
        ({**output("y", "mse"), **SUM}, "linear", NUMBERS),
        (output("y", f"{HERE}.Half"), "linear", NUMBERS),
    ],
    ids=["classes", "numbers", "summed up", "a loss of one's own"],
)
def test_the_loss_is_the_mean_of_the_members(block, activation, y, w):
    network, logs, said = stepped([block], {"y": y}, w, activation=activation)
    assert said.shape == (10, MEMBERS, 2)
    loss = network.loss["y"]
    each = [float(loss(y, said[:, k], None if w is None else w["y"])) for k in range(MEMBERS)]
    assert logs["loss"] == pytest.approx(np.mean(each), rel=1e-5)


def test_metrics_see_the_mean_of_the_scores():
    blocks = [output("y", "mse", "mae")]
    network, logs, said = stepped(blocks, {"y": NUMBERS}, activation="linear")
    expected = np.abs(np.mean(said, axis=1) - NUMBERS).mean()
    assert logs["mae"] == pytest.approx(expected, rel=1e-5)
    assert expected < np.abs(said - NUMBERS[:, None]).mean()
    network.reset_metrics()
    validated = network.test_step((X, {"y": NUMBERS}))
    assert float(validated["mae"]) == pytest.approx(expected, rel=1e-5)


def test_an_output_with_members_beside_one_without():
    blocks = [output("y", "mse", loss_weight=1), output("z", "mse", loss_weight=0.5)]
    y = {"y": NUMBERS, "z": np.zeros((10, 1), "float32")}
    network, logs, said = stepped(blocks, y, activation="linear", others=["z"])
    assert logs["y_loss"] == pytest.approx(np.mean((said - NUMBERS[:, None]) ** 2), rel=1e-5)
    z_loss = np.mean(network(X)["z"].numpy() ** 2)
    assert logs["loss"] == pytest.approx(logs["y_loss"] + 0.5 * z_loss, rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "activation", "y"),
    [
        ("sparse_categorical_crossentropy", "softmax", CLASSES),
        ("binary_crossentropy", "sigmoid", (NUMBERS > 0).astype("float32")),
    ],
)
def test_members_that_are_sure_and_wrong_still_learn(loss, activation, y):
    """Of probabilities, 0 in float32, Keras makes at most 16.1, and no gradient."""
    _, logs, said = stepped([output("y", loss)], {"y": y}, scale=1e3, activation=activation)
    assert np.min(said) == 0
    assert logs["loss"] > 100
