"""Records, and loaders and transformers that keep the contract."""

import json
from pathlib import Path

import numpy as np

from barrage_mlflow.dataset import KeySelector, RecordLoader, RecordMode, Records, RecordTransformer

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
RECORDS = Records.read(
    [
        {"a": 1, "b": 0.5, "s": "x", "t": [1, 2], "u": [0.5, None], "y": 0, "w": 1.0, "k": True},
        {"a": 2, "b": None, "s": "yy", "t": [3, 4], "u": [1, 2], "y": 1, "w": 0.5, "k": False},
    ],
    name="train.csv",
)


class Scaled(RecordLoader):
    """The record form alone."""

    def __init__(self, mode, factor=2.0):
        super().__init__(mode)
        self.factor = factor

    def load(self, record):
        x = {"x": np.array([record["a"] * self.factor]), "s": record["s"]}
        return (x,) if self.mode is SCORE else (x, {"y": record["y"]}, {"y": record["w"]})


class Centred(RecordTransformer):
    """Both forms, and something learnt."""

    network_param_names = ("mean",)

    def fit(self, records):
        self.network_params = {"mean": float(records["a"].mean())}

    def transform(self, data_record):
        x, *rest = data_record
        return ({**x, "x": x["x"] - self.network_params["mean"]}, *rest)

    def transform_batch(self, data_record):
        return self.transform(data_record)

    def postprocess(self, score):
        return {"y": score["y"] + self.network_params["mean"]}

    def postprocess_batch(self, scores):
        return self.postprocess(scores)

    def save(self, path):
        Path(path, "mean.json").write_text(json.dumps(self.network_params))

    def load(self, path):
        self.network_params = json.loads(Path(path, "mean.json").read_text())


class CentredByRecord(Centred):
    """The record form alone."""

    def transform(self, data_record):
        return super().transform(data_record)

    def postprocess(self, score):
        return super().postprocess(score)


def selector(mode):
    inputs = {"one": "a", "many": ["a", "b"], "mixed": ["a", "s"], "text": "s", "list": "t"}
    inputs |= {"lists": ["t", "u"], "gaps": "u", "flag": "k", "flags": ["k", "a"]}
    return KeySelector(mode, inputs, {"y": "y", "z": ["y"]}, {"y": "w"})
