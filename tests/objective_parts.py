"""Networks, losses and metrics for tests of an objective, and an epoch of training."""

import keras
import numpy as np
from keras import layers, ops

from barrage_mlflow.model import build_network
from barrage_mlflow.model.objective import Objective

HERE = __name__
GENERATOR = np.random.default_rng(7)
X = {"x": GENERATOR.normal(size=(10, 4)).astype("float32")}


class Holding(layers.Layer):
    """A layer with a metric of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.size = keras.metrics.Mean(name="activity")

    def call(self, x):
        self.size.update_state(ops.abs(x))
        return x


class Half(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred), axis=-1) / 2


class Averaging(keras.losses.Loss):
    """Averages by itself."""

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_true - y_pred))


class Hits(keras.metrics.Mean):
    """A metric that Keras names by its counter."""

    def __init__(self, name=None):
        super().__init__(name=name or "hits")
        if name is None:
            self.name = keras.metrics.AUC().name.replace("auc", "hits")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(ops.ones(ops.shape(y_pred)[:1]), sample_weight)


def make_hits():
    return Hits(name="made")


def species_and_mass():
    x = keras.Input((4,), name="x")
    return keras.Model(
        x,
        {
            "species": layers.Dense(3, "softmax", kernel_regularizer="l2")(x),
            "mass": layers.Dense(1)(x),
        },
    )


def one(units=3, activation=None, holding=False):
    x = keras.Input((4,), name="x")
    y = Holding()(x) if holding else x
    nested = keras.Sequential([layers.Dense(4), Holding()]) if holding else layers.Identity()
    return keras.Model(x, layers.Dense(units, activation, name="y")(nested(y)))


def config(function, *outputs, **params):
    return {
        "model": {
            "network": {"import": f"{HERE}.{function}", "params": params},
            "outputs": list(outputs),
        }
    }


def output(name, loss, *metrics, **keys):
    block = {"name": name, "loss": {"import": loss}, **keys}
    return {**block, "metrics": [_block(metric) for metric in metrics]} if metrics else block


def _block(metric):
    return {"import": metric} if isinstance(metric, str) else metric


def prepared(given, network_params=None):
    keras.utils.set_random_seed(3)
    network = build_network(given, network_params or {}, (X,))
    return network, Objective(given, network, network_params)


def trained(given, y, w=None, optimizer=None, batch=4):
    """One epoch of ours: logs of training and of validation on the same rows."""
    network, objective = prepared(given)
    objective.check_targets(y, w)
    objective.compile(network, optimizer or keras.optimizers.SGD(0.0))
    logs = {}
    for prefix, step in (("", network.train_step), ("val_", network.test_step)):
        network.reset_metrics()
        for start in range(0, 10, batch):
            rows = slice(start, start + batch)
            y_, w_ = objective.conform(
                {name: array[rows] for name, array in y.items()},
                None if w is None else {name: array[rows] for name, array in w.items()},
            )
            data = ({"x": X["x"][rows]}, y_) if w_ is None else ({"x": X["x"][rows]}, y_, w_)
            step(data)
        results = network.get_metrics_result()
        logs.update({f"{prefix}{name}": float(value) for name, value in results.items()})
    return network, objective, logs


BOTH = config(
    "species_and_mass",
    output("species", "sparse_categorical_crossentropy", "accuracy", loss_weight=1),
    output("mass", "mse", "mae", loss_weight=0.5),
)
Y = {
    "species": GENERATOR.integers(0, 3, 10),
    "mass": GENERATOR.normal(size=10).astype("float32"),
}
