"""The pipeline and its augmentors: forms, order and randomness."""

import random
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import pytest
from contract import assert_data_equal
from pipeline_parts import (
    BATCH,
    RECORDS,
    TRAIN,
    Gives,
    Passes,
    batch,
    notes,
    pipeline,
    selector,
)

from barrage_mlflow.dataset import IdentityTransformer, Records
from barrage_mlflow.dataset.components.augmentors import Augmentor, Draws
from barrage_mlflow.dataset.types import as_array
from barrage_mlflow.errors import ComponentError, RecordError


class Pads(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"t": np.pad(x["t"], (0, 5 - len(x["t"])))}, *rest)


# Forms ------------------------------------------------------------------------------------


def test_lists_of_differing_length_reach_a_transformer_that_evens_them_out():
    x, _ = pipeline(selector(t="t"), Pads).load_and_transform(RECORDS)
    assert x["t"].shape == (5, 5)


def test_lists_of_differing_length_fail_where_nothing_evens_them_out():
    with pytest.raises(RecordError, match="shape") as error:
        pipeline(selector(t="t")).load_and_transform(RECORDS)
    assert str(error.value) == (
        "train.csv: column 't' holds lists of several shapes: record 1 has (2,), those before (1,)"
    )
    assert notes(error) == [f"in {BATCH}, stage load, component KeySelector"]


def test_names_may_differ_until_they_are_stacked():
    class Renames(IdentityTransformer):
        def transform(self, data_record):
            x, y = data_record
            return {"x": next(iter(x.values()))}, y

    loader = Gives(TRAIN, lambda record: ({"ab"[record["a"] % 2]: 1.0 * record["a"]}, {"y": 0}))
    x, _ = pipeline(loader, Renames).load_and_transform(RECORDS)
    assert x["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.raises(
        RecordError, match=r"gives inputs 'b'; outputs 'y', where .* have inputs 'a'"
    ):
        pipeline(loader).load_and_transform(RECORDS)


@pytest.mark.parametrize("last", [np.array(3), 3], ids=["arrays", "a number among arrays"])
def test_the_transformer_is_given_arrays_with_strings_of_python(last):
    class Keeps(IdentityTransformer):
        given: ClassVar[list] = []

        def transform(self, data_record):
            self.given.append(data_record)
            return data_record

    def given(record):
        if record["a"]:
            return {"n": last, "s": "bc"}, OrderedDict(y=np.array(0))
        return {"s": np.array("a"), "n": np.array(1)}, {"y": np.array(0)}

    data = pipeline(Gives(TRAIN, given), Keeps).load_and_transform(RECORDS[:2])
    assert data[0]["s"].tolist() == ["a", "bc"]
    came = [value for x, y in Keeps.given for value in (x["n"], x["s"], y["y"])]
    assert [type(value) for value in came] == [np.ndarray] * 6
    assert [value.dtype.kind for value in came] == list("iOiiOi")


MANY = Records.read([{"a": number} for number in range(200)], name="train.csv")


@pytest.mark.parametrize(
    "value",
    [float, lambda a: a if a < 150 else a / 2, lambda a: str(a) if a < 150 else a, lambda a: [a]],
    ids=["numbers", "whole numbers, then fractions", "strings, then numbers", "lists"],
)
def test_many_records_make_the_batch_that_they_make_together(value):
    loader = Gives(TRAIN, lambda record: ({"x": value(record["a"])}, {"y": record["a"]}))
    x, y = pipeline(loader, Passes).load_and_transform(MANY)
    expected = np.stack([as_array(value(a)) for a in range(200)])
    assert_data_equal((x, y), ({"x": expected}, {"y": np.arange(200)}), "a batch")


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"z": 1.0}, "inputs 'z'; outputs 'y', where the records before it have inputs 'x'; "),
        ({"x": 1.0, "z": 1.0}, "inputs 'x', 'z'; outputs 'y', where the records before it have"),
        ({"x": [1.0]}, r"'x' the shape \(1,\), where the records before it have \(\)"),
    ],
    ids=["another name", "one more name", "another shape"],
)
def test_of_many_records_the_first_that_differs_is_named(odd, message):
    loader = Gives(TRAIN, lambda record: (odd if record["a"] > 149 else {"x": 1.0}, {"y": 0}))
    with pytest.raises(RecordError, match=message) as error:
        pipeline(loader, Passes).load_and_transform(MANY)
    assert notes(error)[0].startswith("in train.csv, record 150, stage transform, component ")


class NoSuper(IdentityTransformer):
    def __init__(self, mode, loader):
        pass


def test_a_constructor_must_call_that_of_its_base_class():
    with pytest.raises(ComponentError, match=r"must call super\(\).__init__\(mode, loader\)$"):
        pipeline(transformer=NoSuper)


# Augmentors -------------------------------------------------------------------------------


def noise(data_record, rng, scale=1.0):
    x, y = data_record
    return {"x": x["x"] + scale * rng.normal(size=x["x"].shape)}, y


def global_noise(data_record):
    x, y = data_record
    return {"x": x["x"] + np.random.rand() + random.random()}, y


def in_place(data_record):
    data_record[0]["x"] += 1
    return data_record


def whole(data_record):
    x, y = data_record
    return {"x": x["x"] - x["x"].mean(axis=0)}, y


whole.batchwise = True


def test_augmentors_are_applied_in_order_and_only_in_an_epoch():
    made = pipeline(augmentors=[in_place, whole, in_place])
    plain = made.load_and_transform(RECORDS)
    assert_data_equal(batch(made, RECORDS), plain, "no epoch")
    x, _ = batch(made, RECORDS, epoch=0)
    np.testing.assert_allclose(x["x"], plain[0]["x"] - plain[0]["x"].mean(axis=0) + 1)
    assert made.load_and_transform(RECORDS)[0]["x"].tolist() == plain[0]["x"].tolist()


@pytest.mark.parametrize("chain", [[noise], [global_noise], [noise, global_noise, whole, noise]])
def test_randomness_depends_on_seed_epoch_and_draw_alone(chain):
    made = pipeline(augmentors=chain)

    def drawn(records=RECORDS, first=0, epoch=0, seed=1):
        return batch(made, records, first, epoch, seed)[0]["x"]

    first = drawn()
    np.random.seed(3)
    random.seed(3)
    np.testing.assert_array_equal(drawn(), first)
    if whole not in chain:
        parts = [drawn(RECORDS.take([i]), i)[0] for i in reversed(range(5))]
        np.testing.assert_array_equal(parts[::-1], first)
    for other in (drawn(epoch=1), drawn(seed=2), drawn(first=5)):
        assert not (other == first).any()


def test_a_draw_stays_what_it_is():
    assert Draws(1).at(epoch=2, position=3, step=0).random() == 0.3666367661554447


def test_the_global_generators_are_left_as_they_were():
    np.random.seed(3)
    random.seed(3)
    want = np.random.rand(), random.random()
    np.random.seed(3)
    random.seed(3)
    batch(pipeline(augmentors=[global_noise]), RECORDS, epoch=0)
    assert (np.random.rand(), random.random()) == want


def test_a_batch_wise_augmentor_takes_no_rng():
    def both(data_record, rng):
        return data_record

    both.batchwise = True
    with pytest.raises(ComponentError, match="a batch-wise augmentor takes no rng"):
        Augmentor(both)


def test_params_reach_the_function_and_may_fix_its_rng():
    augmentor = Augmentor(noise, {"scale": 0.0})
    record = ({"x": np.ones(2)}, {"y": 0})
    assert augmentor(record, Draws(0).at(0, 0, 0))[0]["x"].tolist() == [1, 1]
    assert not Augmentor(noise, {"rng": Draws(0).at(0, 0, 0)}).takes_rng
    assert not Augmentor(min).takes_rng  # a function in C tells no signature
