"""Loaders, transformers and the contract that they keep."""

import datetime
import random
import re

import numpy as np
import pytest
from component_parts import RECORDS, SCORE, TRAIN, Centred, CentredByRecord, Scaled, selector
from contract import check_loader, check_transformer

from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordLoader, Records
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.components.reading import ask_kinds, columns_read
from barrage_mlflow.dataset.components.stacking import (
    check_data_record,
    stack_records,
    stack_scores,
)
from barrage_mlflow.dataset.components.transformer import RecordTransformer as Base
from barrage_mlflow.dataset.components.transformer import fit_transformer
from barrage_mlflow.errors import ComponentError, ConfigError, RecordError

# The contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [selector, Scaled], ids=["KeySelector", "record form"])
def test_loaders_keep_the_contract(make):
    check_loader(make, RECORDS)


@pytest.mark.parametrize("make", [IdentityTransformer, Centred, CentredByRecord])
def test_transformers_keep_the_contract(make, tmp_path):
    scores = {"y": np.array([[0.5], [1.5]], dtype=np.float32)}
    check_transformer(Scaled, make, RECORDS, tmp_path, scores)


class DiffersByForm(Scaled):
    def load_batch(self, records):
        x, *rest = super().load_batch(records)
        return ({**x, "x": x["x"] + 1}, *rest)


class Forgets(Centred):
    def load(self, path):
        self.network_params = {"mean": 0.0}


def test_the_contract_finds_what_breaks_it(tmp_path):
    with pytest.raises(AssertionError, match="load: 'x'"):
        check_loader(DiffersByForm, RECORDS)
    with pytest.raises(AssertionError, match="network_params after load"):
        check_transformer(Scaled, Forgets, RECORDS, tmp_path)


# Forms ------------------------------------------------------------------------------------


def test_an_overridden_record_form_is_not_passed_over_for_an_inherited_batch_form():
    class Doubled(KeySelector):
        def load(self, record):
            (x,) = super().load(record)
            return ({"x": x["x"] * 2},)

    class Again(Doubled):
        pass

    class Batched(Doubled):
        def load_batch(self, records):
            return ({"x": records["a"] * 2},)

    for kind in (Doubled, Again, Batched):
        assert kind(SCORE, {"x": "a"}, {"y": "y"}).load_batch(RECORDS)[0]["x"].tolist() == [2, 4]
    assert Doubled.load_batch is RecordLoader.load_batch
    assert CentredByRecord.transform_batch is Base.transform_batch
    assert Centred.transform_batch is not Base.transform_batch


def test_fit_says_where_it_failed():
    class Fails(Centred):
        def fit(self, records):
            raise ValueError("too few")

    class Odd(Centred):
        def fit(self, records):
            self.network_params = None

    for kind, error_type, fault in (
        (Fails, ValueError, "too few"),
        (Odd, ComponentError, "expected a dict, got NoneType"),
    ):
        transformer = kind(TRAIN, Scaled(TRAIN))
        with pytest.raises(error_type, match=fault) as error:
            fit_transformer(transformer, RECORDS)
        name = component_name(transformer)
        assert error.value.__notes__ == [f"in train.csv, stage fit, component {name}"]


def test_fit_says_that_records_are_no_list():
    class Shuffles(Centred):
        def fit(self, records):
            self.change(records)

    transformer = Shuffles(TRAIN, Scaled(TRAIN))
    for change in (random.shuffle, lambda r: r + r, lambda r: r.append({}), lambda r: r.copy()):
        transformer.change = change
        with pytest.raises((TypeError, AttributeError), match="Records") as error:
            fit_transformer(transformer, RECORDS)
        assert error.value.__notes__[0] == "records are no list; make one of them: list(records)"


# Columns that loading reads ---------------------------------------------------------------


class Reads(RecordLoader):
    def __init__(self, how):
        super().__init__(SCORE)
        self.how = how

    def load(self, record):
        self.how(record)
        return ({"x": 0},)


@pytest.mark.parametrize(
    ("how", "columns"),
    [
        (lambda r: (r["s"], r["a"]), ["a", "s"]),
        (lambda r: r.get("b"), ["b"]),
        (lambda r: "b" in r, ["b"]),
        (lambda r: r.pop("t"), ["t"]),
        (lambda r: r.pop("gone", None), []),
        (lambda r: r | {}, RECORDS.columns),
        (dict, RECORDS.columns),
        (list, RECORDS.columns),
        (lambda r: r.values(), RECORDS.columns),
        (lambda r: r.items(), RECORDS.columns),
        (lambda r: r.copy(), RECORDS.columns),
        (lambda r: r.popitem(), RECORDS.columns),
        (reversed, RECORDS.columns),
        (lambda r: r.setdefault("a", 0), ["a"]),
        (lambda r: None, []),
    ],
)
def test_columns_that_loading_reads_are_found(how, columns):
    assert list(columns_read(Reads(how), RECORDS)) == columns


def test_a_column_is_demanded_if_any_read_of_it_would_fail_without():
    def read(record):
        record.get("a"), record["a"], record.get("b"), record.pop("s", ""), record.pop("t")

    assert columns_read(Reads(read), RECORDS) == {"a": True, "b": False, "s": False, "t": True}


def test_columns_read_says_which_record_does_not_load():
    loader = Reads(lambda record: record["gone"])
    with pytest.raises(KeyError, match="gone") as error:
        columns_read(loader, RECORDS)
    assert error.value.__notes__ == [
        f"in train.csv, record 0, stage load, component {component_name(loader)}",
        "train.csv: no column 'gone'; the columns are 'a', 'b', 's', 't', 'u', 'y', 'w', 'k'",
    ]


class Asks(KeySelector):
    def __init__(self, mode, **kinds):
        super().__init__(mode, {"x": "shop"}, {"y": "y"})
        dates = {"kind": "date", "format": "%d/%m/%Y"}
        self.kinds = {"shop": "text", "sold": dates, "gone": "whole", **kinds}

    def column_kinds(self):
        return self.kinds


def sets():
    row = {"shop": 7, "sold": "03/02/2020", "y": 0}
    return {
        "train": Records.read([row], name="train.csv"),
        "validation": Records.read([row | {"shop": "8"}]),
    }


def asking(columns=None, **kinds):
    loader = {"import": f"{__name__}.Asks", "params": kinds}
    return {"dataset": {"loader": loader, "columns": columns or {}}}


def test_a_loader_asks_for_kinds():
    config = asking({"sold": {"kind": "date", "format": "%m/%d/%Y"}, "y": "number"})
    made = ask_kinds(config, sets())
    assert [next(iter(records)) for records in made.values()] == [
        {"shop": "7", "sold": datetime.date(2020, 3, 2), "y": 0.0},
        {"shop": "8", "sold": datetime.date(2020, 3, 2), "y": 0.0},
    ]
    assert {name: column.reason for name, column in made["train"].schema.columns.items()} == {
        "shop": f"asked for by {component_name(Asks)}",
        "sold": "declared",
        "y": "declared",
    }


def test_kinds_that_cannot_be_asked_for():
    with pytest.raises(ConfigError, match="asks for") as error:
        ask_kinds(asking({"shop": "whole", "y": "whole"}), sets())
    assert str(error.value) == (
        f"$.dataset.columns.shop: expected 'text', which {component_name(Asks)} asks for, got "
        "'whole'; leave it out"
    )
    nowhere = {"kind": "datetime", "zone": "Nowhere"}
    with pytest.raises(ComponentError, match="column_kinds") as error:
        ask_kinds(asking(y="numbr", sold=nowhere), sets())
    assert re.fullmatch(
        r".*\.Asks\.column_kinds: 'sold': expected a time zone, got \"Nowhere\"; .*; 'y': expected "
        r"\"whole\" or .*, got \"numbr\"; did you mean \"number\"\?",
        str(error.value),
    )


# Stacking ---------------------------------------------------------------------------------


def test_scores_of_any_value_are_stacked():
    scores = [{"n": 1.0, "v": [1, 2], "s": "a", "r": [1], "q": [[1], [2, 3]]}] * 2
    scores[1] = {**scores[1], "r": [1, 2]}
    stacked = stack_scores(scores, "f")
    assert stacked["n"].tolist() == [1.0, 1.0]
    assert stacked["v"].shape == (2, 2)
    assert stacked["s"].tolist() == ["a", "a"]
    assert stacked["r"].tolist() == [[1], [1, 2]]
    assert stacked["q"].tolist() == [[[1], [2, 3]]] * 2


def record(data):
    return lambda: check_data_record(data, "f", (2, 3))


@pytest.mark.parametrize(
    ("call", "fault", "index"),
    [
        (record([{}]), "f: expected a tuple of dicts, (x, y) or (x, y, w), got list", None),
        (
            record(({},)),
            "f: expected a tuple of dicts, (x, y) or (x, y, w), got a tuple of length 1",
            None,
        ),
        (record(({"x": 1}, 3)), "f: expected a dict of arrays by name as its outputs, got 3", None),
        (
            record(({1: 1}, {})),
            "f: expected a dict of arrays by name as its inputs, got {1: 1}",
            None,
        ),
        (record(({}, {})), "f: it gives no inputs", None),
        (
            lambda: stack_records([({"x": 1},), ({"x": 1}, {})], "f"),
            "f gives inputs 'x'; outputs none, where the records before it have inputs 'x'",
            1,
        ),
        (
            lambda: stack_records([({"x": [1]},), ({"x": [1, 2]},)], "f"),
            "f gives 'x' the shape (2,), where the records before it have (1,)",
            1,
        ),
        (lambda: stack_scores([{"a": 1}, 3], "f"), "f: expected a dict, got int", 1),
        (
            lambda: stack_scores([{"a": 1}, {"b": 1}], "f"),
            "f gives 'b', where the records before it have 'a'",
            1,
        ),
    ],
)
def test_what_makes_no_batch_says_why(call, fault, index):
    with pytest.raises((ComponentError, RecordError), match=r"^f") as error:
        call()
    assert (str(error.value), getattr(error.value, "barrage_index", None)) == (fault, index)
