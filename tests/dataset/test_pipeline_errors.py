"""The pipeline and its augmentors: which component, record and column is at fault."""

import re

import numpy as np
import pytest
from pipeline_parts import (
    BATCH,
    RECORDS,
    TRAIN,
    ByRecord,
    DoublesBatches,
    Gives,
    batch,
    notes,
    pipeline,
    selector,
)

from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, Records
from barrage_mlflow.dataset.components.places import component_name, place_of
from barrage_mlflow.dataset.components.transformer import fit_transformer
from barrage_mlflow.errors import ComponentError, RecordError

# Who is at fault --------------------------------------------------------------------------


class GivesBatches(Gives):
    def load_batch(self, records):
        return self.given(records)


def refuse(record):
    """Fails at record 3, in whatever form it is."""
    for value in np.ravel(record["a"]):
        if value == 3:
            raise ValueError("3 is not allowed")
    return {"x": np.asarray(record["a"])}, {"y": np.asarray(record["y"])}


def refuse_many(records):
    if len(records) > 1:
        raise ValueError("3 is not allowed")
    return {"x": records["a"]}, {"y": records["y"]}


def misses(record):
    return record["aa"]


class Refuses(IdentityTransformer):
    def transform(self, data_record):
        if (data_record[0]["x"] == 3).any():
            raise ValueError("3 is not allowed")
        return data_record

    def postprocess(self, score):
        if (score["y"] == 3).any():
            raise ValueError("3 is not allowed")
        return score


class RefusesBatches(Refuses):
    def transform_batch(self, data_record):
        return self.transform(data_record)

    def postprocess_batch(self, scores):
        return self.postprocess(scores)


class Odd(IdentityTransformer):
    def transform(self, data_record):
        return data_record[0]

    def postprocess(self, score):
        return 3


class OddBatches(Odd):
    def transform_batch(self, data_record):
        return ({"x": np.zeros(2)}, {"y": np.zeros(2)})

    def postprocess_batch(self, scores):
        return 3


THIRD, FIRST = "train.csv, record 3", "train.csv, record 0"
LACKS = "train.csv: no column 'aa'; did you mean 'a'? The columns are 'a', 'b', 't', 'y'"
WANTED = "expected a tuple of dicts, (x, y) or (x, y, w), got"
LOADERS = [
    (Gives, refuse, "3 is not allowed", THIRD, []),
    (GivesBatches, refuse, "3 is not allowed", THIRD, []),
    (GivesBatches, refuse_many, "3 is not allowed", BATCH, []),
    (Gives, misses, "'aa'", FIRST, [LACKS]),
    (Gives, lambda r: None, f"{WANTED} NoneType", FIRST, []),
    (GivesBatches, lambda r: None, f"{WANTED} NoneType", BATCH, []),
]
TRANSFORMERS = [
    (Refuses, "3 is not allowed", THIRD),
    (RefusesBatches, "3 is not allowed", THIRD),
    (Odd, "got dict", FIRST),
    (OddBatches, "with batch 5, got shape (2,)", BATCH),
]
POSTPROCESSES = [
    (Refuses, "3 is not allowed", THIRD),
    (RefusesBatches, "3 is not allowed", THIRD),
    (Odd, "expected a dict, got int", FIRST),
    (OddBatches, "expected a dict of arrays, got int", BATCH),
]


def check_fault(call, text, where, stage, component, more=()):
    with pytest.raises((ValueError, KeyError, RecordError, ComponentError), match=text) as error:
        call()
    place = place_of(error.value)
    assert place == f"in {where}, stage {stage}, component {component_name(component)}"
    assert error.value.__notes__ == [place, *more]


@pytest.mark.parametrize(("kind", "given", "text", "where", "more"), LOADERS)
@pytest.mark.parametrize("transformer", [IdentityTransformer, DoublesBatches])
def test_a_loader_at_fault_is_named_with_its_record(kind, given, text, where, more, transformer):
    made = pipeline(kind(TRAIN, given), transformer)
    fault = re.escape(text)
    check_fault(lambda: made.load_and_transform(RECORDS), fault, where, "load", kind, more)


@pytest.mark.parametrize(("kind", "text", "where"), TRANSFORMERS)
@pytest.mark.parametrize("loader", [selector, lambda: ByRecord(TRAIN)], ids=["batch", "record"])
def test_a_transformer_at_fault_is_named_with_its_record(kind, text, where, loader):
    made = pipeline(loader(), kind)
    fault = re.escape(text)
    check_fault(lambda: made.load_and_transform(RECORDS), fault, where, "transform", kind)


@pytest.mark.parametrize(("kind", "text", "where"), POSTPROCESSES)
def test_a_postprocess_at_fault_is_named_with_its_record(kind, text, where):
    made = pipeline(transformer=kind)
    scores, fault = {"y": np.arange(5)}, re.escape(text)
    check_fault(lambda: made.postprocess(scores, RECORDS), fault, where, "postprocess", kind)


def fails_on_three(data_record):
    if data_record[0]["x"][0] == 3:
        raise ValueError("3 is not allowed")
    return data_record


def renames(data_record):
    return {"z": 1}, data_record[1]


def crops(data_record):
    x, y = data_record
    return {"x": x["x"][: int(x["x"][0])]}, y


def shortens(data_record):
    return tuple({k: a[:2] for k, a in part.items()} for part in data_record)


@pytest.mark.parametrize(
    ("function", "batchwise", "text", "where"),
    [
        (fails_on_three, False, "3 is not allowed", THIRD),
        (renames, False, "expected inputs 'x'; outputs 'y', got inputs 'z'; outputs 'y'", FIRST),
        (shortens, True, "expected 'x' of its inputs to be (batch, ...) with batch 5", BATCH),
        (crops, False, "crops gives 'x' the shape (1,)", "train.csv, record 1"),
    ],
)
def test_an_augmentor_at_fault_is_named_with_its_record(
    function, batchwise, text, where, monkeypatch
):
    monkeypatch.setattr(function, "batchwise", batchwise, raising=False)
    made = pipeline(augmentors=[function])
    fault = re.escape(text)
    check_fault(lambda: batch(made, RECORDS, epoch=0), fault, where, "augment", function)


# Which column ------------------------------------------------------------------------------

CELLS = Records.read([{"a": 1.5, "s": "ok"}, {"a": None, "s": "many"}], name="train.csv")


class Reads(RecordLoader):
    """Reads numbers from one column, and says no more than Python does."""

    column = "s"

    def load(self, record):
        if record["s"] == "ok":
            return {"x": np.zeros(1)}, {"y": 0}
        return {"x": np.array([int(record[self.column])])}, {"y": 0}


class ReadsMissing(Reads):
    column = "a"


class Fits(IdentityTransformer):
    def fit(self, records):
        for record in records:
            self.loader.load(record)


@pytest.mark.parametrize(
    ("loader", "column"),
    [
        (Reads, "column 's' holds 'many'"),
        (ReadsMissing, "column 'a' holds no value"),
    ],
)
def test_an_error_of_a_loader_names_the_column_whose_cell_it_shows(loader, column):
    place = [
        f"in train.csv, record 1, stage load, component {component_name(loader)}",
        column,
    ]
    with pytest.raises(ValueError, match=r"many|NaN") as error:
        pipeline(loader(TRAIN)).load_and_transform(CELLS)
    assert notes(error) == place


def test_a_fit_that_cannot_load_a_record_names_it():
    with pytest.raises(ValueError, match="many") as error:
        fit_transformer(Fits(TRAIN, Reads(TRAIN)), CELLS)
    assert notes(error) == [
        f"in train.csv, record 1, stage load, component {component_name(Reads)}",
        "column 's' holds 'many'",
    ]
