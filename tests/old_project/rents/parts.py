"""As a project of barrage 0.6 wrote its loader and transformer."""

import random

import numpy as np
from barrage.api import RecordLoader, RecordMode, RecordTransformer
from barrage.utils import io_utils


class Loader(RecordLoader):
    def __init__(self, mode, columns, **params):
        super().__init__(mode, **params)
        self.columns = columns

    def load(self, record):
        x = {"flat": np.array([record[name] for name in self.columns], dtype=float)}
        if self.mode == RecordMode.SCORE:
            return (x,)
        return (x, {"rent": float(record["rent"])})


class Scaler(RecordTransformer):
    def __init__(self, loader, mode, sample=50, **params):
        super().__init__(mode, loader, **params)
        self.sample = sample

    def fit(self, records):
        random.shuffle(records)
        loaded = [self.loader(record) for record in records[: self.sample]]
        self.mean = np.mean([x["flat"] for x, _ in loaded], axis=0)
        self.top = max(y["rent"] for _, y in loaded)
        self.network_params = {"units": 7}

    def transform(self, data_record):
        x, *rest = data_record
        x = {"flat": x["flat"] - self.mean}
        return (x, *({"rent": y["rent"] / self.top} for y in rest))

    def postprocess(self, score):
        return {"rent": float(score["rent"][0] * self.top)}

    def save(self, path):
        io_utils.save_json({"mean": self.mean, "top": self.top}, "scaler.json", path)

    def load(self, path):
        saved = io_utils.load_json(path + "/scaler.json")
        self.mean, self.top = np.array(saved["mean"]), saved["top"]


def shake(data_record, scale):
    x, y = data_record
    return ({"flat": x["flat"] + np.random.normal(0, scale, 2)}, y)
