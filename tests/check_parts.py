"""Components that a dry run stops at, one way each."""

import json
from pathlib import Path

import keras
import numpy as np

from barrage_mlflow import IdentityTransformer, RecordLoader


class ToText(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"].astype(str)}, *rest)


class Forgetful(IdentityTransformer):
    mean = 0.0

    def fit(self, records):
        self.mean = float(records["a"].mean())

    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"] - self.mean}, *rest)


class RefusesUntrained(Forgetful):
    """Remembers; and takes no scores the first time, where it trains."""

    calls = 0

    def save(self, path):
        Path(path, "mean.txt").write_text(repr(self.mean))

    def load(self, path):
        self.mean = float(Path(path, "mean.txt").read_text())

    def postprocess_batch(self, scores):
        RefusesUntrained.calls += 1
        # The batch, then its first record alone.
        if RefusesUntrained.calls <= 2:
            raise OverflowError("exp of a huge number")
        return scores


class Dropping(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return (x, {}) if rest else (x,)


class Misspelt(IdentityTransformer):
    def postprocess(self, score):
        return {"label": score["lable"]}


class Coding(IdentityTransformer):
    network_param_names = ("classes",)

    def fit(self, records):
        self._set(sorted(set(records.values("label"))))

    def _set(self, names):
        if len(names) < 2:
            raise ValueError("all records are of one class")
        self.names = names
        self.network_params = {"classes": len(names)}

    def transform(self, data_record):
        x, *rest = data_record
        if not rest:
            return (x,)
        return x, {"label": np.array(self.names.index(rest[0]["label"].item()))}

    def save(self, path):
        Path(path, "names.json").write_text(json.dumps(self.names))

    def load(self, path):
        self._set(json.loads(Path(path, "names.json").read_text()))


class Padding(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": np.pad(x["x"], (0, 4 - len(x["x"])))}, *rest)


class Heedless(RecordLoader):
    """Gives targets also in SCORE mode."""

    def load(self, record):
        return {"x": np.array([record["a"], record["b"]])}, {"label": np.array(record["label"])}


class Mistaken(RecordLoader):
    def load(self, record):
        x = {"x": np.array([record["a"], record["b"]])}
        return (x,) if self.mode.value == "score" else (x, {"lable": np.array(record["label"])})


def named_network():
    x = keras.Input((2,), name="x")
    return keras.Model(x, keras.layers.Dense(2, name="label")(x))


class NanOutsideTraining(keras.layers.Layer):
    def call(self, x, training=False):
        return x if training else x * float("nan")


def nan_network():
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dense(2, activation="softmax")(x)
    return keras.Model({"x": x}, {"label": NanOutsideTraining()(hidden)})


def network(units):
    raise RuntimeError("no network today")


def crop(data_record):
    x, y = data_record
    return {"x": x["x"][:1]}, y


class Unfit(IdentityTransformer):
    def fit(self, records):
        self.mass = records[0]["body_mass"]
