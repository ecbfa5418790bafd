"""Components of models that are measured, on which their figures depend."""

from pathlib import Path

import keras
import numpy as np

from barrage_mlflow import IdentityTransformer, RecordLoader, RecordMode


class Loader(RecordLoader):
    def load(self, record):
        x = {"x": [record["a"], record["b"]]}
        if self.mode is RecordMode.SCORE:
            return (x,)
        y = {"label": record["label"], "sum": record["a"] + record["b"]}
        return x, y, {"label": record["weight"], "sum": abs(record["a"])}


class Scaler(IdentityTransformer):
    """Divides the targets of one output by how far ``a`` is spread."""

    def __init__(self, mode, loader, target="sum"):
        super().__init__(mode, loader)
        self.target = target

    def fit(self, records):
        self.scale = float(np.std([record["a"] for record in records]))

    def transform(self, data_record):
        x, *rest = data_record
        if rest:
            y, *w = rest
            rest = [{**y, self.target: y[self.target] / self.scale}, *w]
        return (x, *rest)

    def save(self, path):
        Path(path, "scale.txt").write_text(repr(self.scale))

    def load(self, path):
        self.scale = float(Path(path, "scale.txt").read_text())


@keras.saving.register_keras_serializable("parts")
class Cubic(keras.losses.Loss):
    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)


def network():
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(8, activation="relu", kernel_regularizer="l2")(x)
    return keras.Model(
        x,
        {
            "label": keras.layers.Dense(2, activation="softmax")(hidden),
            "sum": keras.layers.Dense(1)(hidden),
        },
    )
