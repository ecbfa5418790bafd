"""The project code that the golden configs name."""

from typing import Literal

import keras

from barrage_mlflow.dataset import RecordLoader, RecordTransformer


class Loader(RecordLoader):
    def __init__(self, mode, columns: list[str] = ()):
        super().__init__(mode)
        self.columns = columns

    def load(self, record):
        return ({"x": record["x"]},)


class Transformer(RecordTransformer):
    network_param_names = ("classes", "vocabulary")

    def fit(self, records):
        pass

    def transform(self, data_record):
        return data_record

    def postprocess(self, score):
        return score

    def save(self, path):
        pass

    def load(self, path):
        pass


class Layer(keras.layers.Layer):
    pass


def flip(data_record, axis=0):
    return data_record


def jitter(data_record, scale: float, rng):
    return data_record


def network(units, classes=2):
    raise AssertionError("checking a config calls nothing of the project")


def plain_loss(y_true, y_pred):
    raise AssertionError("checking a config calls nothing of the project")


def loss_factory(delta=1.0):
    raise AssertionError("checking a config calls nothing of the project")


NUMBER = 3


class Scaler(Transformer):
    def __init__(self, mode, loader, how: Literal["min", "max"], size: tuple[int, int] = (1, 1)):
        super().__init__(mode, loader)


class Handing(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
