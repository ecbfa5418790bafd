"""The pipeline and its augmentors: which component, record and column is at fault."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from golden_messages import messages
from pipeline_parts import (
    RECORDS,
    TRAIN,
    ByRecord,
    Gives,
    Passes,
    batch,
    notes,
    pipeline,
    selector,
)

from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, Records
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.components.transformer import fit_transformer

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


def nothing(record):
    return None


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

    def targets(self, y):
        return {"y": y["y"][:2]}


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


shortens.batchwise = True


LOADERS = [
    (Gives, refuse),
    (GivesBatches, refuse),
    (GivesBatches, refuse_many),
    (Gives, misses),
    (Gives, nothing),
    (GivesBatches, nothing),
]


def cases(transformer, loader):
    for kind, given in LOADERS:
        call = pipeline(kind(TRAIN, given), transformer).load_and_transform
        yield f"load: {kind.__name__} {given.__name__}", partial(call, RECORDS)
    for kind in (Refuses, RefusesBatches, Odd, OddBatches):
        call = pipeline(loader, kind).load_and_transform
        yield f"transform: {kind.__name__}", partial(call, RECORDS)
        call = pipeline(transformer=kind).postprocess
        yield f"postprocess: {kind.__name__}", partial(call, {"y": np.arange(5)}, RECORDS)
    odd = pipeline(loader, OddBatches)
    yield "targets: OddBatches", lambda: odd.targets(odd.load(RECORDS), RECORDS)
    for function in (fails_on_three, renames, crops, shortens):
        made = pipeline(augmentors=[function])
        yield f"augment: {function.__name__}", partial(batch, made, RECORDS, epoch=0)


@pytest.mark.parametrize(
    ("transformer", "loader"),
    [(IdentityTransformer, selector()), (Passes, ByRecord(TRAIN))],
    ids=["batch", "record"],
)
def test_who_is_at_fault_is_named_with_the_record(transformer, loader):
    text = messages(dict(cases(transformer, loader)))
    # A batch form does not know in which mode it is called.
    for more in (f"{__name__}.", f"{Gives.__module__}.", "(x,) or "):
        text = text.replace(more, "")
    assert text == Path(__file__).with_name("golden_pipeline.txt").read_text("utf-8")


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
