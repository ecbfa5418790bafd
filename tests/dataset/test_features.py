"""Every feature type and target keeps to one contract, on random columns with all that is odd."""

from __future__ import annotations

import io
import json
import math
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from contract import assert_data_equal, check_loader, check_transformer

from barrage_mlflow.dataset import (
    FeatureLoader,
    FeatureTransformer,
    KeySelector,
    RecordMode,
    Records,
)
from barrage_mlflow.dataset.components.reading import settle_columns
from barrage_mlflow.dataset.features.loader import has_images
from barrage_mlflow.dataset.features.number import Number
from barrage_mlflow.dataset.features.sketches import Counts, Sample
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.errors import ComponentError, RecordError

TRAIN = RecordMode.TRAIN


def number(random):
    return float(random.choice([random.normal(), random.normal() * 1e6, 0, 3, -7.5, 1e300]))


def word(random):
    return str(random.choice(["red", "Blue", "blue ", "straße", "", "NA", "日本", "a b", "7"]))


def text(random):
    return " ".join(word(random) for _ in range(random.integers(0, 12))) + "!"


def moment(random):
    return datetime(1999, 12, 31) + timedelta(minutes=int(random.integers(0, 20_000_000)))


def image(random):
    shape = (*random.integers(1, 9, 2), 3)
    file = io.BytesIO()
    PIL.Image.fromarray(random.integers(0, 256, shape).astype("uint8")).save(file, "PNG")
    return file.getvalue()


def series(random):
    return random.normal(size=random.integers(1, 6)).tolist()


def labels(random):
    return [word(random) for _ in range(random.integers(0, 4))]


MAKERS = {
    "number": (number, [{}, {"scale": "standard"}, {"scale": "log"}, {"bins": 4}]),
    "category": (word, [{}, {"rare": 20, "levels": 3}, {"encoding": "embedding"}]),
    "truth": (lambda random: bool(random.integers(2)), [{}]),
    "datetime": (moment, [{}]),
    "text": (text, [{}, {"unit": "character", "length": 9}]),
    "image": (image, [{"size": [4, 3]}, {"size": [4, 3], "channels": 1}]),
    "series": (series, [{}, {"length": 3}]),
    "multi_category": (labels, [{}, {"rare": 1}]),
}
CASES = [(name, options) for name, (_, each) in MAKERS.items() for options in each]


def column(name, count, seed, missing=0.1):
    make, random = MAKERS[name][0], np.random.default_rng(seed)
    return [None if random.random() < missing else make(random) for _ in range(count)]


def records_of(columns, like=None):
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Records.read(rows, schema=like and like.schema)


def loader_in(mode, features, targets=None):
    return FeatureLoader(mode, features, targets or {"y": "number"})


def ready(records, loader):
    """Records in the kinds that a loader asks for."""
    asked = loader.column_kinds().items()
    kinds = {name: kind for name, kind in asked if name in records.columns}
    return Records.read(records, schema=Schema.from_config({"columns": kinds}))


def fitted(records, features, targets=None):
    transformer = FeatureTransformer(TRAIN, loader_in(TRAIN, features, targets))
    transformer.fit(records)
    return transformer


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_feature_keeps_to_the_contract(name, options, tmp_path):
    features = {"f": {"type": name, **options}}
    columns = {"f": column(name, 60, seed=1), "y": [1.0, None, 3.0] * 20}
    records = ready(records_of(columns), loader_in(TRAIN, features))
    make = lambda mode: loader_in(mode, features)  # noqa: E731
    check_loader(make, records)
    check_transformer(make, FeatureTransformer, records, tmp_path, {"y": np.ones((3, 1), "f4")})


@pytest.mark.parametrize(("name", "options"), CASES)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_a_record_alone_equals_a_record_in_company(name, options, missing):
    """Also what the train records never had: unseen values, missing ones, odd ones."""
    features, count = {"f": {"type": name, **options}}, 400 if name == "image" else 10_000
    train = {"f": column(name, 300, 1, missing), "y": [1.0, 2.0, 3.0] * 100}
    records = ready(records_of(train), loader_in(TRAIN, features))
    transformer = fitted(records, features)
    others = records_of({"f": column(name, count, 3, 0.2), "y": [0.0] * count}, like=records)
    loader = loader_in(RecordMode.SCORE, features)
    schema, reads = settle_columns(loader, records)
    # Who leaves out a column that train records always had has mistyped it. Words may be empty.
    assert (reads, schema.columns["f"].optional) == (
        ["f"],
        missing > 0 or name in ("truth", "category"),
    )
    others = Records.read(others, schema=schema)
    whole = transformer.transform_batch(loader.load_batch(others))
    for (array,) in [part.values() for part in whole]:
        assert np.isfinite(array).all()
    for start, stop in [(0, 1), (1, 8), (8, 9), (9, 300)]:
        part = transformer.transform_batch(loader.load_batch(others[start:stop]))
        assert_data_equal(part, ({n: a[start:stop] for n, a in whole[0].items()},), "company")
    for index in range(0, count, count // 40):
        one = transformer.transform(loader.load(others[index]))
        assert_data_equal(one, ({n: a[index, ...] for n, a in whole[0].items()},), "alone")


@pytest.mark.parametrize("name", MAKERS)
def test_nothing_but_missing_values_is_learnt_from(name):
    features = {"f": {"type": name, **MAKERS[name][1][0]}}
    records = Records.read(
        [{"f": None, "y": 1.0}] * 3,
        schema=ready(
            records_of({"f": column(name, 9, 1), "y": [1.0] * 9}), loader_in(TRAIN, features)
        ).schema,
    )
    transformer = fitted(records, features)
    x, y, w = transformer.transform_batch(transformer.loader.load_batch(records))
    assert all(np.isfinite(array).all() for array in x.values())
    assert (y["y"].tolist(), w["y"].tolist()) == ([0.0] * 3, [1.0] * 3)


def test_shared_inputs_are_laid_out_and_described():
    columns = {
        "numbers": ["a b", "b c", "a"],
        "n": [1.0, None, 3.0],
        "c": ["x", "y", "x"],
        "t": [True, False, None],
        "y": ["cat", "dog", "cat"],
    }
    features = {
        "numbers": {"type": "text", "rare": 1},
        "n": {"type": "number", "scale": "standard", "bins": 1},
        "c": {"type": "category", "rare": 1},
        "t": "truth",
    }
    targets = {"y": "category"}
    records = ready(records_of(columns), loader_in(TRAIN, features, targets))
    transformer = fitted(records, features, targets)
    assert transformer.network_params == {
        "features": [
            {"name": "numbers", "type": "text", "input": "numbers_text", "length": 2, "size": 5},
            {"name": "n", "type": "number", "input": "numbers", "at": [0, 2], "edges": [-1.0, 1.0]},
            {"name": "c", "type": "category", "input": "categories", "at": [0, 1], "size": 5,
             "encoding": "one_hot"},
            {"name": "t", "type": "truth", "input": "numbers", "at": [2, 4]},
        ],
        "targets": [{"name": "y", "type": "category", "size": 2}],
    }  # fmt: skip
    x, y, w = transformer.transform_batch(transformer.loader.load_batch(records))
    assert_data_equal(
        (x, y, w),
        (
            {
                "numbers": np.array([[-1, 0, 1, 0], [0, 1, -1, 0], [1, 0, 0, 1]], "f4"),
                "categories": np.array([[3], [4], [3]], "i4"),
                "numbers_text": np.array([[2, 3], [3, 4], [2, 0]], "i4"),
            },
            {"y": np.array([0, 1, 0], "i4")},
            {"y": np.ones(3, "f4")},
        ),
        "encoded",
    )


@pytest.mark.parametrize(
    ("target", "values", "outputs", "answers"),
    [
        ("number", [10.0, 30.0, None], [[1.0]], {"y": [30.0]}),
        (
            {"type": "number", "log": True}, [0.0, 3.0, None], [[0.0]],
            {"y": [pytest.approx(1.0, rel=1e-12)]},  # the root of 1 * 4, less 1
        ),
        ("truth", [True, False, None], [[0.25]], {"y": [False], "y_probability": [0.25]}),
        (
            "category", [3, 1, None], [[0.75, 0.25]],
            {"y": [1.0], "y_probability": [0.75], "y_probabilities": [{"1.0": 0.75, "3.0": 0.25}]},
        ),
        (
            "category", ["b", "a", None], [[0.25, 0.75]],
            {"y": ["b"], "y_probability": [0.75], "y_probabilities": [{"a": 0.25, "b": 0.75}]},
        ),
        (
            {"type": "multi_category", "rare": 1}, [["a", "b"], ["b"], None], [[0.75, 0.25]],
            {"y": [["b"]], "y_probabilities": [{"b": 0.75, "a": 0.25}]},
        ),
        ("series", [[1.0, 3.0], [3.0, 1.0], None], [[1.0, -1.0]], {"y": [[3.0, 1.0]]}),
    ],
)  # fmt: skip
def test_a_target_comes_back_as_it_was_and_a_missing_one_weighs_nothing(
    target, values, outputs, answers
):
    columns = {"n": [1.0, 2.0, 3.0], "y": values}
    records = ready(records_of(columns), loader_in(TRAIN, {"n": "number"}, {"y": target}))
    transformer = fitted(records, {"n": "number"}, {"y": target})
    _, y, w = transformer.transform_batch(transformer.loader.load_batch(records))
    assert w["y"].tolist() == [1.0, 1.0, 0.0]
    assert not y["y"][2].any()
    answered = transformer.postprocess_batch({"y": np.array(outputs, "f4")})
    assert json.loads(json.dumps({n: a.tolist() for n, a in answered.items()})) == answers
    one = transformer.postprocess({"y": np.array(outputs[0], "f4")})
    assert one == {name: array.tolist()[0] for name, array in answered.items()}


@pytest.mark.parametrize(
    ("kind", "lists"),
    [("series", [[1.0, math.nan], [2.0, 3.0]]), ("multi_category", [["a", "b"], []])],
)
def test_arrays_in_a_frame_are_as_lists(kind, lists):
    spec = {"type": kind} | ({"rare": 1} if kind == "multi_category" else {})
    encoded = []
    for cells in (lists, [np.array(each) for each in lists]):
        frame = pd.DataFrame({"s": cells, "y": [1.0, 2.0]})
        records = ready(Records.read(frame), loader_in(TRAIN, {"s": spec}))
        transformer = fitted(records, {"s": spec})
        encoded.append(transformer.transform_batch(transformer.loader.load_batch(records))[0])
        one = transformer.transform(transformer.loader.load(records[0]))[0]
        np.testing.assert_array_equal(one["s"], encoded[-1]["s"][0])
    np.testing.assert_array_equal(encoded[0]["s"], encoded[1]["s"])


def test_a_target_of_a_series_with_a_gap_weighs_nothing():
    lists = [[1.0, 3.0], [3.0, None], [None, None], [5.0, 1.0]]
    columns = {"n": [1.0, 2.0, 3.0, 4.0], "y": lists}
    records = ready(records_of(columns), loader_in(TRAIN, {"n": "number"}, {"y": "series"}))
    transformer = fitted(records, {"n": "number"}, {"y": "series"})
    _, y, w = transformer.transform_batch(transformer.loader.load_batch(records))
    assert w["y"].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert np.isfinite(y["y"]).all()


def test_a_threshold_decides():
    transformer = FeatureTransformer(
        RecordMode.SCORE, loader_in(RecordMode.SCORE, {"n": "number"}, {"y": "truth"})
    )
    transformer._restore([[{"mean": 0, "deviation": 1, "edges": [], "missing": False}], [{}]])
    assert transformer.postprocess({"y": np.array([0.4])}, threshold=0.3)["y"] is True


def test_a_class_that_no_train_record_has_is_refused():
    records = ready(
        records_of({"n": [1.0, 2.0], "y": ["a", "b"]}),
        loader_in(TRAIN, {"n": "number"}, {"y": "category"}),
    )
    transformer = fitted(records, {"n": "number"}, {"y": "category"})
    with pytest.raises(ValueError, match="a class that the train records have, got 'c' "):
        transformer.transform(({"n": np.array(1.0)}, {"y": np.array("c", object)}))


class Ratio(FeatureLoader):
    """A column made of two others."""

    reads = {"a": "number", "b": "number"}  # noqa: RUF012

    def derive(self, columns):
        return {**columns, "ratio": columns["a"] / columns["b"]}


def test_a_subclass_derives_columns_alike_in_both_forms(tmp_path):
    records = Records.read([{"a": 1, "b": 2, "y": 0.0}, {"a": None, "b": 4, "y": 1.0}])
    make = lambda mode: Ratio(mode, {"ratio": "number"}, {"y": "number"})  # noqa: E731
    records = ready(records, make(TRAIN))
    x, _ = make(TRAIN).load_batch(records)
    np.testing.assert_array_equal(x["ratio"], [0.5, np.nan])
    check_loader(make, records)
    check_transformer(make, FeatureTransformer, records, tmp_path)
    _, reads = settle_columns(make(RecordMode.SCORE), records)
    assert reads == ["a", "b"]
    assert not has_images(make(TRAIN))
    assert has_images(Ratio(TRAIN, {"photo": "image"}))


class Rounded(FeatureTransformer):
    """Half of each input, and answers without digits, by the record forms alone."""

    def transform(self, data_record):
        x, *targets = super().transform(data_record)
        return ({"numbers": x["numbers"] / 2}, *targets)

    def postprocess(self, score, threshold=0.5):
        return {"y": round(super().postprocess(score, threshold)["y"])}


def test_a_subclass_overrides_the_record_forms_alone(tmp_path):
    records = Records.read([{"n": 1.0, "y": 10.0}, {"n": 2.0, "y": 20.0}])
    make = lambda mode: loader_in(mode, {"n": {"type": "number", "scale": "standard"}})  # noqa: E731
    check_transformer(make, Rounded, records, tmp_path)
    transformer = Rounded(TRAIN, make(TRAIN))
    transformer.fit(records)
    x, *_ = transformer.transform_batch(transformer.loader.load_batch(records))
    assert x["numbers"].tolist() == [[-0.5], [0.5]]
    scores = {"y": np.array([[0.01], [1.01]], "f4")}
    assert transformer.postprocess_batch(scores)["y"].tolist() == [15, 20]


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"'n': expected a type of number, .*, got 'nmber'"):
        FeatureLoader(TRAIN, {"n": "nmber"}, {"y": "number"})
    with pytest.raises(TypeError, match="unexpected keyword argument 'scal'"):
        FeatureLoader(TRAIN, {"n": {"type": "number", "scal": "log"}}, {})
    selector = KeySelector(TRAIN, {"x": "a"}, {"y": "b"})
    with pytest.raises(ComponentError, match=r"expected a FeatureLoader.*got KeySelector"):
        FeatureTransformer(TRAIN, selector)
    loader = loader_in(TRAIN, {"n": "number", "m": "number"})
    with pytest.raises(RecordError, match="no column 'm'"):
        loader.load({"n": 1.0, "y": 2.0})


def test_options_of_a_type_hold_for_all_of_it():
    loader = FeatureLoader(
        TRAIN,
        {"a": "number", "b": {"type": "number", "scale": "log"}},
        {"y": "number"},
        all={"number": {"scale": "standard", "bins": 3}},
    )
    assert [(f.scale, f.bins) for f in loader.features.values()] == [("standard", 3), ("log", 3)]


def test_numbers_are_scaled_as_by_scikit_learn():
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    values = np.exp(np.random.default_rng(0).normal(size=5_000))
    scaled = {}
    for scale in ("standard", "quantile"):
        feature = Number(scale=scale)
        for piece in np.split(values, 5):
            feature.learn(piece)
        feature.restore(json.loads(json.dumps(feature.learnt())))
        scaled[scale] = feature.encode(values)[:, 0]
    column = values[:, np.newaxis]
    np.testing.assert_allclose(scaled["standard"], StandardScaler().fit_transform(column)[:, 0])
    quantiles = QuantileTransformer(output_distribution="normal", subsample=None)
    wanted = quantiles.fit_transform(column)[:, 0]
    # Theirs goes on to 5.2 at both ends.
    inner = np.abs(wanted) < 2.5
    np.testing.assert_allclose(scaled["quantile"][inner], wanted[inner], atol=0.02)
    assert 3 < scaled["quantile"].max() < 4 < wanted.max()


def test_what_is_more_than_fits_in_memory_is_learnt_of_a_sample():
    sample, counts = Sample(1000), Counts()
    values = np.random.default_rng(0).permutation(100_000).astype(float)
    for piece in np.split(values, 10):
        sample.add(piece)
    assert len(sample.values) == 1000
    quartiles = np.quantile(sample.values, [0.25, 0.5, 0.75])
    np.testing.assert_allclose(quartiles, [25_000, 50_000, 75_000], atol=5_000)
    again = Sample(1000)
    again.add(values)
    np.testing.assert_array_equal(again.values, sample.values)
    counts.add(["seldom"] + ["often"] * 9)
    counts.add(str(number) for number in range(1_000_001))
    assert counts.ranked(2) == [("often", 9)]
