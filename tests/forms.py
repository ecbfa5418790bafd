"""One loader and one transformer in all their forms, and augmentors of every kind."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import numpy as np

from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, RecordMode, RecordTransformer


class RecordFormLoader(RecordLoader):
    """Gives a vector, a word's length and a target."""

    def load(self, record):
        x = {
            "point": np.array([record["a"], record["b"]], dtype=np.float64),
            "word": np.array([len(record["word"])], dtype=np.int64),
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        return (x, {"y": np.array([record["a"] - record["b"]])}, {"y": np.array(record["w"])})


class BothFormsLoader(RecordFormLoader):
    """The same on columns."""

    def load_batch(self, records):
        words = [len(word) for word in records.values("word")]
        x = {
            "point": np.stack([records["a"], records["b"]], axis=-1),
            "word": np.array(words, dtype=np.int64)[:, np.newaxis],
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        y = (records["a"] - records["b"])[:, np.newaxis]
        return (x, {"y": y}, {"y": records["w"]})


class RecordFormTransformer(RecordTransformer):
    """Centres the vector on the mean of the train records."""

    def fit(self, records):
        self.mean = [float(np.mean(records["a"])), float(np.mean(records["b"]))]

    def transform(self, data_record):
        x, *rest = data_record
        return ({**x, "point": x["point"] - self.mean}, *rest)

    def postprocess(self, score):
        return score

    def save(self, path):
        Path(path, "mean.json").write_text(json.dumps(self.mean))

    def load(self, path):
        self.mean = json.loads(Path(path, "mean.json").read_text())


class BothFormsTransformer(RecordFormTransformer):
    """The same on arrays."""

    def transform_batch(self, data_record):
        return self.transform(data_record)

    postprocess_batch = IdentityTransformer.postprocess_batch


class DeadlyLoader(RecordFormLoader):
    """Ends the process, as a library that crashes does."""

    def load(self, record):
        os._exit(3)


def jitter(data_record, rng):
    """Draw from the generator that is handed over."""
    x, *rest = data_record
    return ({**x, "point": x["point"] + rng.normal(size=2)}, *rest)


def shake(data_record):
    """Draw from the global generators."""
    x, *rest = data_record
    point = x["point"] * np.random.uniform(0.9, 1.1) + random.random()
    return ({**x, "point": point}, *rest)


def halve(data_record):
    """Draw nothing, on whole batches."""
    x, *rest = data_record
    return ({**x, "point": x["point"] / 2}, *rest)


halve.batchwise = True
