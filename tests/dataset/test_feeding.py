"""Order, sample counts, and batches in the form that the network takes."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barrage_mlflow.dataset import (
    ArraySpec,
    Augmentor,
    Blocks,
    IdentityTransformer,
    KeySelector,
    Pipeline,
    RecordMode,
    Records,
    TrainBatches,
    ValidationBatches,
    conform_inputs,
    conform_targets,
    epoch_rows,
    sample_counts,
)
from barrage_mlflow.dataset.components.stacking import component_name
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN, SCORE = RecordMode.TRAIN, RecordMode.SCORE
FLOAT = {"x": ArraySpec((2,), "float32")}
quick = settings(deadline=None, max_examples=60)

# Order ------------------------------------------------------------------------------------

counts = st.one_of(
    st.integers(1, 20),
    st.lists(st.integers(0, 3), min_size=1, max_size=12).filter(any).map(np.array),
)


def expanded(counts):
    if isinstance(counts, int):
        return list(range(counts))
    return np.repeat(np.arange(len(counts)), counts).tolist()


@quick
@given(counts, st.integers(0, 2**63), st.integers(0, 100))
def test_an_epoch_is_a_permutation_of_what_is_drawn(counts, seed, epoch):
    rows = epoch_rows(counts, seed, epoch)
    assert rows.dtype == np.int64
    assert sorted(rows.tolist()) == expanded(counts)
    np.testing.assert_array_equal(rows, epoch_rows(counts, seed, epoch))


@quick
@given(counts, st.integers(0, 99), st.integers(1, 7), st.integers(1, 5))
def test_with_steps_epochs_cut_one_stream_of_passes(counts, seed, steps, batch_size):
    size = len(expanded(counts))
    epochs = math.ceil(3 * size / (steps * batch_size))
    drawn = [epoch_rows(counts, seed, e, steps, batch_size) for e in range(epochs)]
    assert {len(rows) for rows in drawn} == {steps * batch_size}
    stream = np.concatenate(drawn)
    for number in range(3):
        one_pass = stream[number * size : (number + 1) * size]
        np.testing.assert_array_equal(one_pass, epoch_rows(counts, seed, number))


def test_passes_and_seeds_differ():
    orders = {tuple(epoch_rows(50, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_the_order_of_a_seed_is_fixed_for_good():
    assert epoch_rows(8, seed=42, epoch=0).tolist() == [3, 4, 2, 7, 6, 1, 5, 0]


def test_there_must_be_something_to_draw():
    for nothing in (0, np.array([0, 0])):
        with pytest.raises(RecordError, match=r"^there is no record to draw; give at least one"):
            epoch_rows(nothing, 0, 0)


# Sample counts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "want"),
    [([1, 0, 2], [1, 0, 2]), ([1.0, 2.0], [1, 2]), ([10**19, 1], None)],
)
def test_sample_counts_are_whole_numbers(cells, want):
    records = Records.read([{"n": cell} for cell in cells])
    if want is None:
        with pytest.raises(RecordError, match="expected an integer ≥ 0"):
            sample_counts(records, "n")
    else:
        got = sample_counts(records, "n")
        assert (got.dtype, got.tolist()) == (np.int64, want)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (None, "a missing value"),
        (-1, "-1"),
        (0.5, "0.5"),
        (math.inf, "inf"),
        ("2", "'2'"),
        (True, "True"),
        ([1], "[1]"),
    ],
)
def test_a_sample_count_that_is_none_names_its_record(cell, shown):
    rows = [{"n": 1}, {"n": cell}] if not isinstance(cell, list) else [{"n": [1]}, {"n": [1]}]
    with pytest.raises(RecordError, match="sample_count") as error:
        sample_counts(Records.read(rows, name="train.csv"), "n")
    index = 0 if isinstance(cell, list) else 1
    assert str(error.value) == (
        f"train.csv, record {index}: column 'n': expected an integer ≥ 0 as sample_count, "
        f"got {shown}"
    )


def test_sample_counts_that_leave_nothing_say_so():
    with pytest.raises(RecordError, match="leaves nothing") as error:
        sample_counts(Records.read([{"n": 0}], name="train.csv"), "n")
    assert str(error.value) == (
        "train.csv: column 'n' is 0 in every record: sample_count leaves nothing to train on; "
        "give at least one record a count of 1 or more"
    )
    huge = Records.read([{"n": 2**62}, {"n": 2**62}], name="train.csv")
    with pytest.raises(RecordError, match="add up") as error:
        sample_counts(huge, "n")
    assert str(error.value) == (
        "train.csv: column 'n': expected sample counts that add up to 4,294,967,296 or less, got "
        "9,223,372,036,854,775,808"
    )
    with pytest.raises(RecordError, match=r"^the records: no column 'm'; the columns are 'n'$"):
        sample_counts(Records.read([{"n": 0}]), "m")


# Conform ----------------------------------------------------------------------------------


def fed(rows, keys="a", spec=None, **names):
    """The input that rows make for a network that takes ``spec``."""
    records = Records.read(rows, name="train.csv")
    loader = KeySelector(SCORE, {"x": keys}, {"y": "y"})
    (x,) = loader.load_batch(records)
    return conform_inputs(x, {"x": spec or ArraySpec((), "float32")}, records, loader)["x"]


@pytest.mark.parametrize(
    ("cells", "spec", "want"),
    [
        ([1, 2], ArraySpec((), "float32"), np.array([1, 2], np.float32)),
        ([1, 2], ArraySpec((1,), "float32"), np.array([[1], [2]], np.float32)),
        ([[1], [2]], ArraySpec((), "int32"), np.array([1, 2], np.int32)),
        ([1.0, 2.0], ArraySpec((), "int64"), np.array([1, 2])),
        ([0.5, 1], ArraySpec((None,), "float64"), None),
        ([True, False], ArraySpec((), "float32"), np.array([1, 0], np.float32)),
        ([True, False], ArraySpec((), "bool"), np.array([True, False])),
        ([1, 0], ArraySpec((), "bool"), np.array([True, False])),
        ([1, 2], ArraySpec((), "float16"), np.array([1, 2], np.float16)),
        (["a", "b"], ArraySpec((1,), "string"), np.array([["a"], ["b"]], object)),
        ([[1, 2], [3, 4]], ArraySpec((None,), "int32"), np.array([[1, 2], [3, 4]], np.int32)),
        ([True, 2], ArraySpec((), "float32"), np.array([1, 2], np.float32)),
    ],
    ids=repr,
)
def test_inputs_become_what_the_network_takes(cells, spec, want):
    rows = [{"a": cell} for cell in cells]
    if want is None:
        want = np.array([[0.5], [1.0]])
        spec = ArraySpec((1,), "float64")
    got = fed(rows, spec=spec)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("cells", "spec", "fault"),
    [
        ([1, None], "float32", "expected a number, got a missing value (NaN)"),
        ([1, math.inf], "float32", "expected a number, got inf"),
        ([1, "abc"], "float32", "expected a number, got 'abc' (str)"),
        (["1", None], "float32", "expected a number, got '1' (str)"),
        ([1.0, 1e300], "float32", "expected a number within float32, got 1e+300"),
        ([1, 10**30], "float32", None),
        ([1, 1.5], "int32", "expected a whole number within int32, got 1.5"),
        ([1, 2**40], "int32", "expected a whole number within int32, got 1099511627776"),
        ([1, None], "int32", "expected a number, got a missing value (NaN)"),
        ([1, 2], "bool", "expected a whole number within bool, got 2"),
        (["a", None], "string", "expected a string, got a missing value"),
        (["a", 3], "string", "expected a string, got 3 (int)"),
        ([True, None], "float32", "expected a number, got a missing value"),
        ([{"k": 1}, 1], "float32", "expected a number, got {'k': 1} (dict)"),
    ],
    ids=repr,
)
def test_a_value_that_cannot_be_fed_is_named(cells, spec, fault):
    rows = [{"a": cell} for cell in cells]
    if fault is None:
        assert fed(rows, spec=ArraySpec((), spec)).tolist() == [1.0, np.float32(1e30)]
        return
    with pytest.raises(RecordError, match="stage feed") as error:
        fed(rows, spec=ArraySpec((), spec))
    index = 0 if cells[0] in ("1", {"k": 1}) else 1
    assert str(error.value) == (
        f"train.csv, record {index}: input 'x', column 'a': {fault} "
        "(stage feed, component KeySelector)"
    )


def test_of_several_columns_the_one_at_fault_is_named():
    rows = [{"a": 1, "b": 2, "t": [1, 2]}, {"a": 1, "b": None, "t": [1, None]}]
    with pytest.raises(RecordError, match="column 'b': expected a number"):
        fed(rows, ["a", "b"], ArraySpec((2,), "float32"))
    with pytest.raises(RecordError, match="column 't': expected a number"):
        fed(rows, "t", ArraySpec((2,), "float32"))


@pytest.mark.parametrize("rows", [[0, 1], [1, 0], [0]])
def test_the_one_word_that_made_a_csv_column_text_is_named(tmp_path, rows):
    path = tmp_path / "train.csv"
    path.write_text("a,b\n1,2\n3,many\n")
    records = Records.read(path).take(rows)
    loader = KeySelector(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    (x,) = loader.load_batch(records)
    with pytest.raises(RecordError, match="many") as error:
        conform_inputs(x, FLOAT, records, loader)
    assert str(error.value) == (
        "train.csv, record 1 (line 3): input 'x', column 'b': expected a number, got 'many' (str) "
        "(stage feed, component KeySelector)"
    )
    with pytest.raises(RecordError, match=r"record 1 \(line 3\): .* got 'many'$"):
        sample_counts(records, "b")


def test_a_value_that_the_transformer_spoilt_is_laid_at_its_door():
    class Log(IdentityTransformer):
        pass

    records = Records.read([{"a": 0, "b": 1}])
    loader = KeySelector(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    x = {"x": np.array([[-np.inf, 0.0]])}
    transformer = Log(SCORE, loader)
    with pytest.raises(RecordError, match="stage feed") as error:
        conform_inputs(x, FLOAT, records, loader, transformer)
    assert str(error.value) == (
        "record 0: input 'x', columns 'a', 'b': expected a number, got -inf "
        f"(stage feed, component {component_name(transformer)})"
    )


@pytest.mark.parametrize(
    ("cells", "spec", "fault"),
    [
        ([1], (2,), "expected the shape (batch, 2), got (batch)"),
        ([[1, 2, 3]], (2,), "expected the shape (batch, 2), got (batch, 3)"),
        ([[1, 2]], (None, 3), "expected the shape (batch, any, 3), got (batch, 2)"),
        ([[1, 2]], (), "expected the shape (batch), got (batch, 2)"),
    ],
)
def test_a_shape_that_does_not_fit_is_named(cells, spec, fault):
    with pytest.raises(RecordError, match="expected the shape") as error:
        fed([{"a": cell} for cell in cells], spec=ArraySpec(spec, "float32"))
    assert str(error.value) == (
        f"train.csv, record 0: input 'x', column 'a': {fault} (stage feed, component KeySelector)"
    )


def test_without_known_columns_the_input_alone_is_named():
    class Silent(KeySelector):
        def columns_of(self, name):
            return []

    records = Records.read([{"a": None, "b": 1}])
    loader = Silent(SCORE, {"x": ["a", "b"]}, {"y": "y"})
    with pytest.raises(
        RecordError, match=r"^record 0: input 'x': expected a number, got a missing"
    ):
        conform_inputs(loader.load_batch(records)[0], FLOAT, records, loader)


def test_names_must_be_those_of_the_network():
    records = Records.read([{"a": 1}])
    loader = KeySelector(SCORE, {"x": "a"}, {"y": "y"})
    with pytest.raises(ComponentError, match="do not match") as error:
        conform_inputs({"x": records["a"]}, {"z": FLOAT["x"], "q": FLOAT["x"]}, records, loader)
    assert str(error.value) == (
        "the inputs do not match: KeySelector gives x; the network takes q, z (stage feed)"
    )


def test_targets_and_weights_are_finite_numbers():
    rows = [{"a": 1, "y": 1, "z": 0.5, "k": True, "w": 1}]
    records = Records.read(rows)
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y", "z": "z", "k": "k"}, {"y": "w"})
    _, y, w = loader.load_batch(records)
    targets, weights = conform_targets(y, w, records, loader)
    assert {n: str(a.dtype) for n, a in targets.items()} == {
        "y": "int64",
        "z": "float32",
        "k": "float32",
    }
    assert str(weights["y"].dtype) == "float32"
    assert conform_targets(y, None, records, loader)[1] is None


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"y": None}, "output 'y', column 'y': expected a number, got a missing value (NaN)"),
        ({"y": "b"}, "output 'y', column 'y': expected a number, got 'b' (str)"),
        (
            {"w": None},
            "sample weight 'y', column 'w': expected a number, got a missing value (NaN)",
        ),
    ],
)
def test_a_target_or_weight_that_cannot_be_fed_is_named(row, fault):
    rows = [{"a": 1, "y": 1, "w": 1}, {"a": 1, "y": 1, "w": 1, **row}]
    records = Records.read(rows, name="train.csv")
    loader = KeySelector(TRAIN, {"x": "a"}, {"y": "y"}, {"y": "w"})
    _, y, w = loader.load_batch(records)
    with pytest.raises(RecordError, match="stage feed") as error:
        conform_targets(y, w, records, loader)
    assert str(error.value) == (f"train.csv, record 1: {fault} (stage feed, component KeySelector)")


# Batches ----------------------------------------------------------------------------------

RECORDS = Records.read(
    [{"a": i, "b": i / 2, "y": i, "w": 1.0, "n": i % 3} for i in range(10)], name="train.csv"
)


def noise(data_record, rng):
    x, *rest = data_record
    return ({"x": x["x"] + rng.normal(size=2)}, *rest)


def batches(weights=None, augmentors=(), mode=TRAIN, records=RECORDS, **options):
    loader = KeySelector(mode, {"x": ["a", "b"]}, {"y": "y"}, weights)
    made = Pipeline(loader, IdentityTransformer(mode, loader), augmentors)
    if mode is TRAIN:
        return TrainBatches(records, made, FLOAT, **{"batch_size": 4, "seed": 1, **options})
    return ValidationBatches(records, made, FLOAT, 4)


def cut_batches(blocks, size=4):
    """The batches that a training cuts from blocks."""
    front = Blocks(blocks)
    return list(iter(lambda: front.take(size), None))


def drawn(epoch):
    return [row for data in epoch for row in data[1]["y"].tolist()]


def test_an_epoch_gives_every_record_once_conformed():
    train = batches({"y": "w"})
    assert train.steps == 3
    data = cut_batches(train.epoch(0))
    assert [len(x["x"]) for x, _, _ in data] == [4, 4, 2]
    assert sorted(drawn(data)) == list(range(10))
    x, y, w = data[0]
    assert (x["x"].dtype, y["y"].dtype, w["y"].dtype) == (np.float32, np.int64, np.float32)
    np.testing.assert_array_equal(x["x"][:, 0], y["y"])
    assert drawn(train.epoch(0)) == drawn(data) != drawn(train.epoch(1))


def test_a_validation_set_that_does_not_fit_is_found_before_training():
    lacking = Records.read([{"a": 1, "y": 0}], name="validation.csv")
    with pytest.raises(RecordError, match="no column") as error:
        batches(mode=RecordMode.VALIDATION, records=lacking)
    assert str(error.value) == "validation.csv: no column 'b'; the columns are 'a', 'y'"
    assert error.value.__notes__ == [
        "in validation.csv, record 0, stage load, component KeySelector"
    ]


def test_with_steps_every_batch_is_full_and_no_record_is_starved():
    train = batches(steps=2)
    assert train.steps == 2
    epochs = [cut_batches(train.epoch(e)) for e in range(5)]
    assert {len(y["y"]) for epoch in epochs for _, y in epoch} == {4}
    stream = [row for epoch in epochs for row in drawn(epoch)]
    assert sorted(stream) == sorted([*range(10)] * 4)


def test_sample_counts_say_how_often_a_pass_draws_a_record():
    train = batches(sample_count="n")
    assert train.steps == 3
    assert sorted(drawn(train.epoch(0))) == [1, 2, 2, 4, 5, 5, 7, 8, 8]


@pytest.mark.parametrize("start", [0, 1, 3])
def test_an_epoch_resumes_at_any_batch(start):
    train = batches(augmentors=[Augmentor(noise)])
    whole = cut_batches(train.epoch(3))
    resumed = cut_batches(batches(augmentors=[Augmentor(noise)]).epoch(3, start))
    assert len(resumed) == 3 - start
    for (x, y), (other_x, other_y) in zip(whole[start:], resumed, strict=True):
        np.testing.assert_array_equal(x["x"], other_x["x"])
        np.testing.assert_array_equal(y["y"], other_y["y"])


def test_augmentation_does_not_depend_on_the_batch_size():
    sets = []
    for size in (3, 10):
        train = batches(augmentors=[Augmentor(noise)], batch_size=size)
        sets.append(np.concatenate([x["x"] for x, _ in train.epoch(0)]))
    np.testing.assert_array_equal(*sets)


def test_validation_keeps_the_order_of_the_records():
    validation = batches(mode=RecordMode.VALIDATION)
    assert drawn(validation) == drawn(validation) == list(range(10))
    assert [len(y["y"]) for _, y in cut_batches(validation)] == [4, 4, 2]


def test_an_empty_set_says_so():
    empty = Records.read([{"a": 1}], name="train.csv")[:0]
    with pytest.raises(RecordError, match="no records") as error:
        batches(records=empty)
    assert str(error.value) == "train.csv holds no records to train on; give at least one"
    with pytest.raises(RecordError, match=r"^the validation set holds no records to validate on"):
        batches(mode=RecordMode.VALIDATION, records=Records.read([]))


def test_a_record_that_cannot_be_fed_is_named_by_its_place_in_the_file(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("a,b,y\n1,2,0\n3,,1\n5,6,0\n")
    with pytest.raises(RecordError, match=re.escape("record 1 (line 3)")) as error:
        list(batches(records=Records.read(path)).epoch(0))
    assert str(error.value) == (
        "train.csv, record 1 (line 3): input 'x', column 'b': expected a number, got a missing "
        "value (NaN) (stage feed, component KeySelector)"
    )
