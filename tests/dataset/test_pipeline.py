"""The pipeline and its augmentors: forms, order, randomness, and who is at fault."""

import random
import re
from collections import OrderedDict
from typing import ClassVar

import numpy as np
import pytest
from contract import assert_data_equal

from barrage_mlflow.dataset import (
    Augmentor,
    IdentityTransformer,
    KeySelector,
    Pipeline,
    RecordLoader,
    RecordMode,
    Records,
)
from barrage_mlflow.dataset.components.augmentors import Draws, augment
from barrage_mlflow.dataset.components.places import Place, component_name, place_of
from barrage_mlflow.dataset.components.transformer import fit_transformer
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
ROWS = [{"a": i, "b": i / 2, "t": [0] * (i + 1), "y": i % 2} for i in range(5)]
RECORDS = Records.read(ROWS, name="train.csv")
BATCH = "train.csv, a batch of 5 records"


def selector(mode=TRAIN, **inputs):
    return KeySelector(mode, inputs or {"x": ["a", "b"]}, {"y": "y"})


def pipeline(loader=None, transformer=IdentityTransformer, augmentors=()):
    loader = loader or selector()
    return Pipeline(loader, transformer(loader.mode, loader), [Augmentor(f) for f in augmentors])


def batch(made, records, positions=None, epoch=None, seed=0):
    """The batch that records make, augmented if an epoch is given."""
    data = made.load_and_transform(records)
    if epoch is None:
        return data
    draws = np.arange(len(records)) if positions is None else np.asarray(positions)
    return augment(data, made.augmentors, records, seed=seed, epoch=epoch, positions=draws)


def notes(error):
    return error.value.__notes__


class ByRecord(RecordLoader):
    def load(self, record):
        self.check(record)
        return {"x": np.array([record["a"], record["b"]])}, {"y": record["y"]}

    def check(self, record):
        pass


class Doubles(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({name: array * 2 for name, array in x.items()}, *rest)


class DoublesBatches(Doubles):
    def transform_batch(self, data_record):
        return self.transform(data_record)


class Pads(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"t": np.pad(x["t"], (0, 5 - len(x["t"])))}, *rest)


# Forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loader", [selector, lambda: ByRecord(TRAIN)], ids=["batch", "record"])
@pytest.mark.parametrize("transformer", [Doubles, DoublesBatches])
def test_every_mix_of_forms_gives_the_same_batch(loader, transformer):
    x, y = pipeline(loader(), transformer).load_and_transform(RECORDS)
    assert x["x"].tolist() == [[2 * i, float(i)] for i in range(5)]
    assert y["y"].tolist() == [0, 1, 0, 1, 0]


def test_lists_of_differing_length_reach_a_transformer_that_evens_them_out():
    x, _ = pipeline(selector(t="t"), Pads).load_and_transform(RECORDS)
    assert x["t"].shape == (5, 5)


def test_lists_of_differing_length_fail_where_nothing_evens_them_out():
    with pytest.raises(RecordError, match="shape") as error:
        pipeline(selector(t="t")).load_and_transform(RECORDS)
    assert str(error.value) == (
        "train.csv, record 1: column 't' has shape (2,), where the records before it have (1,)"
    )
    assert notes(error) == [f"in {BATCH}, stage load, component KeySelector"]


def test_there_must_be_records():
    with pytest.raises(RecordError, match=r"^train\.csv holds no records to load$"):
        pipeline().load_and_transform(RECORDS[:0])


# Who is at fault --------------------------------------------------------------------------


class Gives(RecordLoader):
    """Gives what it is made with, by the record: a function of the record, or an exception."""

    def __init__(self, mode, given):
        super().__init__(mode)
        self.given = given

    def load(self, record):
        return self.given(record)


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


def uneven(record):
    return {"x": record["t"]}, {"y": 0}


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
    odd: object = 3

    def transform_batch(self, data_record):
        return ({"x": np.zeros(2)}, {"y": np.zeros(2)})

    def postprocess_batch(self, scores):
        return self.odd


class Misspelt(IdentityTransformer):
    def postprocess(self, score):
        return {"y": score["yy"]}


THIRD, FIRST = "train.csv, record 3", "train.csv, record 0"
LACKS = "train.csv: no column 'aa'; did you mean 'a'? The columns are 'a', 'b', 't', 'y'"
WANTED = "expected a tuple of dicts, (x, y) or (x, y, w), got"
LOADERS = [
    (Gives, refuse, "3 is not allowed", THIRD, ["column 'a' was read last"]),
    (GivesBatches, refuse, "3 is not allowed", THIRD, []),
    (GivesBatches, refuse_many, "3 is not allowed", BATCH, []),
    (Gives, misses, "'aa'", FIRST, [LACKS]),
    (
        Gives,
        lambda r: ({"x": 1},),
        "expected (x, y) or (x, y, w), got a tuple of length 1",
        FIRST,
        [],
    ),
    (Gives, lambda r: None, f"{WANTED} NoneType", FIRST, []),
    (GivesBatches, lambda r: None, f"{WANTED} NoneType", BATCH, []),
    (Gives, uneven, "'x' the shape (2,), where the records before it", "train.csv, record 1", []),
]
TRANSFORMERS = [
    (Refuses, "3 is not allowed", THIRD),
    (RefusesBatches, "3 is not allowed", THIRD),
    (Odd, "got dict", FIRST),
    (OddBatches, "with batch 5, got shape (2,)", BATCH),
]
POSTPROCESSES = [
    (Refuses, 3, "3 is not allowed", THIRD),
    (RefusesBatches, 3, "3 is not allowed", THIRD),
    (Odd, 3, "expected a dict, got int", FIRST),
    (Misspelt, 3, "'yy'", FIRST),
    (OddBatches, 3, "expected a dict of arrays, got int", BATCH),
    (OddBatches, {"y": np.zeros(2)}, "expected 'y' to be (batch, ...) with batch 5", BATCH),
]


def check_fault(call, text, where, stage, component, more=()):
    with pytest.raises((ValueError, KeyError, RecordError, ComponentError), match=text) as error:
        call()
    place = place_of(error.value)
    assert place == Place(where, stage, component_name(component))
    assert error.value.__notes__ == [str(place), *more]


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


@pytest.mark.parametrize(("kind", "odd", "text", "where"), POSTPROCESSES)
def test_a_postprocess_at_fault_is_named_with_its_record(kind, odd, text, where):
    made = pipeline(transformer=kind)
    made.transformer.odd = odd
    scores, fault = {"y": np.arange(5)}, re.escape(text)
    check_fault(lambda: made.postprocess(scores, RECORDS), fault, where, "postprocess", kind)


def test_a_column_that_the_key_selector_misses_is_placed():
    made = pipeline(selector(x="c"))
    fault = "no column 'c'"
    check_fault(lambda: made.load_and_transform(RECORDS), fault, FIRST, "load", KeySelector)


def test_names_may_differ_until_they_are_stacked():
    class Renames(IdentityTransformer):
        def transform(self, data_record):
            x, y = data_record
            return {"x": next(iter(x.values()))}, y

    loader = Gives(TRAIN, lambda record: ({"ab"[record["a"] % 2]: 1.0 * record["a"]}, {"y": 0}))
    x, _ = pipeline(loader, Renames).load_and_transform(RECORDS)
    assert x["x"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    with pytest.raises(RecordError, match=r"gives the inputs b, where .* have a\nin train"):
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


def test_components_of_another_kind_are_refused():
    class NoSuper(RecordLoader):
        def __init__(self, mode):
            pass

        def load(self, record):
            return ({},)

    class NoSuperTransformer(IdentityTransformer):
        def __init__(self, mode, loader):
            pass

    loader = selector()
    identity = IdentityTransformer(TRAIN, loader)
    for args, fault in (
        ((3, identity), "int: expected an object of a class derived from RecordLoader"),
        ((loader, 3), "int: expected an object of a class derived from RecordTransformer"),
        ((NoSuper(TRAIN), identity), r"its __init__ must call super\(\).__init__\(mode\)"),
        (
            (loader, NoSuperTransformer(TRAIN, loader)),
            r"its __init__ must call super\(\).__init__\(mode, loader\)",
        ),
    ):
        with pytest.raises(ComponentError, match=fault):
            Pipeline(*args)


# Postprocess ------------------------------------------------------------------------------


def test_postprocess_keeps_order_and_takes_any_value():
    class Names(IdentityTransformer):
        def postprocess(self, score):
            best = int(np.argmax(score["y"]))
            return {"label": "ab"[best], "all": list(range(best)), "p": score["y"][best]}

    scores = {"y": np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)}
    result = pipeline(transformer=Names).postprocess(scores, RECORDS[:2])
    assert result["label"].tolist() == ["a", "b"]
    assert result["all"].tolist() == [[], [0]]
    assert (result["p"].dtype, result["p"].shape) == (np.float32, (2,))
    assert pipeline().postprocess(scores, RECORDS[:2])["y"] is scores["y"]


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
    positions = np.arange(5)

    def drawn(records=RECORDS, positions=positions, epoch=0, seed=1):
        return batch(made, records, positions, epoch, seed)[0]["x"]

    first = drawn()
    np.random.seed(3)
    random.seed(3)
    np.testing.assert_array_equal(drawn(), first)
    if whole not in chain:
        parts = [drawn(RECORDS.take([i]), np.array([i]))[0] for i in reversed(range(5))]
        np.testing.assert_array_equal(parts[::-1], first)
    for other in (drawn(epoch=1), drawn(seed=2), drawn(positions=positions + 5)):
        assert not (other == first).any()


def test_the_global_generators_are_left_as_they_were():
    np.random.seed(3)
    random.seed(3)
    want = np.random.rand(), random.random()
    np.random.seed(3)
    random.seed(3)
    batch(pipeline(augmentors=[global_noise]), RECORDS, epoch=0)
    assert (np.random.rand(), random.random()) == want


def fails_on_three(data_record):
    if data_record[0]["x"][0] == 3:
        raise ValueError("3 is not allowed")
    return data_record


def renames(data_record):
    return {"z": 1}, data_record[1]


def drops(data_record):
    return data_record[:1]


def crops(data_record):
    x, y = data_record
    return {"x": x["x"][: int(x["x"][0])]}, y


def shortens(data_record):
    return tuple({k: a[:2] for k, a in part.items()} for part in data_record)


@pytest.mark.parametrize(
    ("function", "batchwise", "text", "where"),
    [
        (fails_on_three, False, "3 is not allowed", THIRD),
        (renames, False, "expected the inputs x, got z", FIRST),
        (drops, False, "expected (x, y), got a tuple of length 1", FIRST),
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


def test_an_augmentor_must_take_what_it_is_called_with():
    with pytest.raises(ComponentError, match=r"^augmentor: expected a function, got 3$"):
        Augmentor(3)
    with pytest.raises(ComponentError, match="unexpected keyword argument 'size'") as error:
        Augmentor(noise, {"size": 3}, "my.noise")
    assert str(error.value) == (
        "augmentor my.noise: got an unexpected keyword argument 'size'; it is called as "
        "f(data_record, **params) and its signature is (data_record, rng, scale=1.0)"
    )

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


# Which column ------------------------------------------------------------------------------

CELLS = Records.read([{"a": 1.5, "s": "ok"}, {"a": None, "s": "many"}], name="train.csv")


class Reads(RecordLoader):
    """Reads numbers from one column, and says no more than Python does."""

    column = "s"

    def load(self, record):
        if record["s"] == "ok":
            return {"x": np.zeros(1)}, {"y": 0}
        return {"x": np.array([int(record[self.column])])}, {"y": 0}


class ReadsBatches(Reads):
    def load_batch(self, records):
        for record in records:
            self.load(record)
        return {"x": np.zeros((len(records), 1))}, {"y": np.zeros(len(records))}


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
        (ReadsBatches, "column 's' holds 'many'"),
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
    with pytest.raises(ValueError, match=r"many|NaN") as error:
        RecordLoader.load_batch(loader(TRAIN), CELLS)
    assert notes(error) == place


def test_an_error_without_a_message_still_names_the_record():
    class BrokenError(ValueError):
        def __str__(self):
            raise RuntimeError

    class Breaks(ByRecord):
        def check(self, record):
            raise BrokenError

    with pytest.raises(BrokenError) as error:
        pipeline(Breaks(TRAIN)).load_and_transform(RECORDS)
    assert notes(error) == [
        f"in train.csv, record 0, stage load, component {component_name(Breaks)}"
    ]


def test_a_fit_that_cannot_load_a_record_names_it():
    with pytest.raises(ValueError, match="many") as error:
        fit_transformer(Fits(TRAIN, Reads(TRAIN)), CELLS)
    assert notes(error) == [
        f"in train.csv, record 1, stage load, component {component_name(Reads)}",
        "column 's' holds 'many'",
    ]
