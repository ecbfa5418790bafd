"""Loaders, transformers and the contract that they keep."""

from pathlib import Path

import numpy as np
import pytest
from component_parts import RECORDS, SCORE, TRAIN, Centred, CentredByRecord, Scaled, selector
from contract import assert_data_equal, check_loader, check_transformer

from barrage_mlflow.dataset import (
    IdentityTransformer,
    KeySelector,
    RecordLoader,
    build_augmentors,
    build_loader,
    build_transformer,
    columns_read,
)
from barrage_mlflow.dataset.components.places import component_name
from barrage_mlflow.dataset.components.stacking import (
    check_batch,
    check_data_record,
    data_records,
    stack_records,
    stack_scores,
)
from barrage_mlflow.dataset.components.transformer import RecordTransformer as Base
from barrage_mlflow.dataset.components.transformer import fit_transformer
from barrage_mlflow.errors import ComponentError, RecordError

# The contract -----------------------------------------------------------------------------


@pytest.mark.parametrize("make", [selector, Scaled], ids=["KeySelector", "record form"])
def test_loaders_keep_the_contract(make):
    check_loader(make, RECORDS)


@pytest.mark.parametrize("make", [IdentityTransformer, Centred, CentredByRecord])
def test_transformers_keep_the_contract(make, tmp_path):
    scores = {"y": np.array([[0.5], [1.5]], dtype=np.float32)}
    check_transformer(Scaled, make, RECORDS, tmp_path, scores)


class ChangesItsRecord(Scaled):
    def load(self, record):
        record["a"] += 1
        return super().load(record)


class DiffersByForm(Scaled):
    def load_batch(self, records):
        x, *rest = super().load_batch(records)
        return ({**x, "x": x["x"] + 1}, *rest)


class ChangesItsBatch(Centred):
    def transform(self, data_record):
        data_record[0]["x"] -= 1.0
        return data_record


class Forgets(Centred):
    def load(self, path):
        self.network_params = {"mean": 0.0}


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (ChangesItsRecord, "load changed its record"),
        (DiffersByForm, "load: 'x'"),
    ],
)
def test_the_contract_finds_loaders_that_break_it(make, fault):
    with pytest.raises(AssertionError, match=fault):
        check_loader(make, RECORDS)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (ChangesItsBatch, "transform changed its own"),
        (Forgets, "network_params after load"),
    ],
)
def test_the_contract_finds_transformers_that_break_it(make, fault, tmp_path):
    with pytest.raises(AssertionError, match=fault):
        check_transformer(Scaled, make, RECORDS, tmp_path)


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


def test_the_default_batch_forms_of_a_transformer_work_by_the_record():
    transformer = CentredByRecord(TRAIN, Scaled(TRAIN))
    transformer.fit(RECORDS)
    batch = ({"x": np.array([[1.0], [2.0]]), "s": np.array(["a", "b"], object)},)
    assert transformer.transform_batch(batch)[0]["x"].tolist() == [[-0.5], [0.5]]
    assert transformer.postprocess_batch({"y": np.array([0.0, 1.0])})["y"].tolist() == [1.5, 2.5]


def test_the_default_batch_form_of_a_transformer_names_the_record_that_differs():
    class Cuts(IdentityTransformer):
        def transform(self, data_record):
            return ({"x": data_record[0]["x"][: int(data_record[0]["x"][0])]},)

    transformer = Cuts(TRAIN, Scaled(TRAIN))
    with pytest.raises(RecordError, match="gives 'x' the shape") as error:
        transformer.transform_batch(({"x": np.array([[1, 0], [2, 0]])},))
    assert str(error.value) == (
        f"{component_name(transformer)}.transform gives 'x' the shape (2,), "
        "where the records before it have (1,)"
    )
    assert error.value.barrage_index == 1


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
        (lambda r: r.get("gone"), []),
        (lambda r: "b" in r, ["b"]),
        (lambda r: r.pop("t"), ["t"]),
        (lambda r: r.pop("gone", None), []),
        (lambda r: r["s"] if r["a"] == 2 else None, ["a", "s"]),
        (lambda r: r | {}, RECORDS.columns),
        (dict, RECORDS.columns),
        (lambda r: {**r}, RECORDS.columns),
        (list, RECORDS.columns),
        (lambda r: r.values(), RECORDS.columns),
        (lambda r: r.items(), RECORDS.columns),
        (lambda r: r.copy(), RECORDS.columns),
        (lambda r: r.setdefault("a", 0), ["a"]),
        (lambda r: r.update(b=1), []),
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


# Stacking ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "fault"),
    [
        (
            [({"x": 1},), ({"x": 1}, {})],
            "f gives inputs x; outputs (none), where the records before it have inputs x",
        ),
        ([({"x": 1},), ({"z": 1},)], "f gives inputs z, where the records before it have inputs x"),
        (
            [({"x": [1]},), ({"x": [1, 2]},)],
            "f gives 'x' the shape (2,), where the records before it have (1,)",
        ),
    ],
)  # fmt: skip
def test_records_that_make_no_batch_say_why(records, fault):
    with pytest.raises(RecordError, match="f gives") as error:
        stack_records(data_records(records, "f"), "f")
    assert (str(error.value), error.value.barrage_index) == (fault, 1)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ([{}], "f: expected a tuple of dicts, (x, y) or (x, y, w), got list"),
        (({},), "f: expected a tuple of dicts, (x, y) or (x, y, w), got a tuple of length 1"),
        (({"x": 1}, 3), "f: expected a dict of arrays as its outputs, got int"),
        (({1: 1}, {}), "f: expected strings as names of inputs, got 1"),
        (({}, {}), "f: it gives no inputs"),
    ],
)
def test_what_is_no_data_record_says_why(data, fault):
    with pytest.raises(ComponentError, match=r"^f: ") as error:
        check_data_record(data, "f", (2, 3))
    assert str(error.value) == fault


def test_a_batch_of_another_length_says_so():
    assert_data_equal(check_batch(({"x": [1, 2]},), 2, "f"), ({"x": np.array([1, 2])},), "lists")
    for value, shape in ((np.zeros((3, 2)), "(3, 2)"), (1.0, "()")):
        with pytest.raises(ComponentError, match=r"^f: ") as error:
            check_batch(({"x": value},), 2, "f")
        assert str(error.value) == (
            f"f: expected 'x' of its inputs to be (batch, ...) with batch 2, got shape {shape}"
        )


def test_scores_of_any_value_are_stacked():
    scores = [{"n": 1.0, "v": [1, 2], "s": "a", "r": [1], "q": [[1], [2, 3]]}] * 2
    scores[1] = {**scores[1], "r": [1, 2]}
    stacked = stack_scores(scores, "f")
    assert stacked["n"].tolist() == [1.0, 1.0]
    assert stacked["v"].shape == (2, 2)
    assert stacked["s"].tolist() == ["a", "a"]
    assert stacked["r"].tolist() == [[1], [1, 2]]
    assert stacked["q"].tolist() == [[[1], [2, 3]]] * 2


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        ([{"a": 1}, 3], "f: expected a dict, got int"),
        ([{"a": 1}, {"b": 1}], "f gives b, where the records before it have a"),
    ],
)
def test_scores_that_do_not_match_say_why(scores, fault):
    with pytest.raises(ComponentError, match=r"^f") as error:
        stack_scores(scores, "f")
    assert (str(error.value), error.value.barrage_index) == (fault, 1)


# Building ---------------------------------------------------------------------------------


def test_components_are_built_from_a_config():
    params = {"inputs": {"x": "a"}, "outputs": {"y": "y"}}
    config = {
        "dataset": {
            "loader": {"import": "KeySelector", "params": params},
            "transformer": {"import": "IdentityTransformer", "params": {}},
            "augmentor": [{"import": "forms.jitter"}, {"import": "forms.halve", "params": {}}],
        }
    }
    loader = build_loader(config, TRAIN)
    transformer = build_transformer(config, TRAIN, loader)
    jitter, halve = build_augmentors(config)
    assert (type(loader), loader.mode, loader.inputs) == (KeySelector, TRAIN, {"x": "a"})
    assert (type(transformer), transformer.loader) == (IdentityTransformer, loader)
    assert (jitter.name, jitter.takes_rng, halve.batchwise) == ("forms.jitter", True, True)


def test_importing_the_part_is_light():
    import subprocess
    import sys

    code = (
        "import sys, barrage_mlflow.dataset;"
        "print([m for m in ('tensorflow', 'keras', 'mlflow', 'pandas') if m in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
