"""Records, loaders and transformers of which tests make pipelines."""

import numpy as np

from barrage_mlflow.dataset import (
    IdentityTransformer,
    KeySelector,
    RecordLoader,
    RecordMode,
    Records,
)
from barrage_mlflow.dataset.components.augmentors import Augmentor, augment
from barrage_mlflow.dataset.components.pipeline import Pipeline

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
ROWS = [{"a": i, "b": i / 2, "t": [0] * (i + 1), "y": i % 2} for i in range(5)]
RECORDS = Records.read(ROWS, name="train.csv")
BATCH = "train.csv, a batch of 5 records"


class Passes(IdentityTransformer):
    """Works by the record."""

    def transform(self, data_record):
        return data_record


def selector(mode=TRAIN, **inputs):
    return KeySelector(mode, inputs or {"x": ["a", "b"]}, {"y": "y"})


def pipeline(loader=None, transformer=IdentityTransformer, augmentors=()):
    loader = loader or selector()
    return Pipeline(loader, transformer(loader.mode, loader), [Augmentor(f) for f in augmentors])


def batch(made, records, first=0, epoch=None, seed=0):
    """The batch that records make, augmented if an epoch is given."""
    data = made.load_and_transform(records)
    if epoch is None:
        return data
    draws = np.arange(first, first + len(records))
    return augment(data, made.augmentors, records, seed=seed, epoch=epoch, draws=draws)


def notes(error):
    return error.value.__notes__


class ByRecord(RecordLoader):
    def load(self, record):
        return {"x": np.array([record["a"], record["b"]])}, {"y": record["y"]}


class Gives(RecordLoader):
    """Gives what it is made with, by the record: a function of the record, or an exception."""

    def __init__(self, mode, given):
        super().__init__(mode)
        self.given = given

    def load(self, record):
        return self.given(record)
