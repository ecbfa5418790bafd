"""What the trainings of ``chaos`` are made of: slow enough to be killed within."""

from __future__ import annotations

import keras
import numpy as np

from barrage_mlflow.dataset import RecordLoader, RecordMode


class Loader(RecordLoader):
    """One record at a time, two targets."""

    def load(self, record):
        x = {"x": np.array([record["a"], record["b"]], np.float32)}
        if self.mode is RecordMode.SCORE:
            return (x,)
        return (x, {"sum": np.array([record["sum"]]), "label": np.array([record["label"]])})


def jitter(data_record, rng):
    """Move the inputs a little."""
    x, *rest = data_record
    return ({"x": x["x"] + rng.normal(0, 0.1, 2)}, *rest)


class Noise(keras.layers.Layer):
    """Draws from Keras's global generator, in validation and scoring too."""

    def call(self, x):
        return x + 0.01 * keras.random.normal(keras.ops.shape(x))


def network():
    """Dropout, batch statistics, and noise from a generator that no layer has."""
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(256, "relu")(x)
    hidden = keras.layers.Dropout(0.2)(keras.layers.BatchNormalization()(hidden))
    hidden = Noise()(keras.layers.Dense(256, "relu")(hidden))
    outputs = {
        "sum": keras.layers.Dense(1, name="sum")(hidden),
        "label": keras.layers.Dense(2, "softmax", name="label")(hidden),
    }
    return keras.Model({"x": x}, outputs)
