"""One scoring path: order, batches, columns, names, and what a broken folder says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small import small_config, small_frame

from barrage_mlflow import (
    ArtifactError,
    BarrageModel,
    IdentityTransformer,
    RecordError,
    Records,
    Scorer,
    train,
)
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.dataset.records.values import objects
from barrage_mlflow.scoring.saved_network import load_network, save_network
from barrage_mlflow.scoring.scores import check_finite

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(300, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact folder of a finished training."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        return train(small_config(), TRAIN, VALIDATION, artifact_dir=home / "out").artifact_dir


def test_a_score_depends_on_neither_targets_nor_the_way_in(folder: Path) -> None:
    scorer = Scorer.load(folder)
    scores = scorer.score(VALIDATION)["label"]
    assert (scores.shape, scores.dtype) == ((300, 2), np.float32)
    assert [(c.name, c.kind, c.optional) for c in scorer.inputs.columns.values()] == [
        ("a", "number", False),
        ("b", "number", False),
    ]
    assert [*scorer.schema.columns] == ["a", "b", "label"]
    without = scorer.score(VALIDATION[["b", "a"]].to_dict("records"))
    np.testing.assert_array_equal(without["label"], scores)
    alone = Scorer.load(folder / "model").score(VALIDATION)
    np.testing.assert_array_equal(alone["label"], scores)
    model = BarrageModel(folder)
    predicted = model.predict(VALIDATION)
    assert [list(score) for score in predicted] == [["label"]] * 300
    np.testing.assert_array_equal([score["label"] for score in predicted], scores)
    assert model.load().predict(VALIDATION[:1])[0]["label"].shape == (2,)


def test_records_that_cannot_be_scored(folder: Path) -> None:
    with pytest.raises(RecordError, match="no records to score"):
        Scorer.load(folder).score(VALIDATION[:0])
    with pytest.raises(RecordError, match=r"no column 'b'"):
        Scorer.load(folder).score(VALIDATION[["a"]])


@pytest.mark.parametrize("missing", ["config.json", "signature.json", "columns.json"])
def test_a_folder_without_a_model_says_so(tmp_path: Path, folder: Path, missing: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder / "model", copy / "model")
    (copy / "model" / "data" / missing).unlink()
    with pytest.raises(ArtifactError, match="no trained model here; expected an artifact folder"):
        Scorer.load(copy)


def test_a_transformer_that_cannot_be_loaded_names_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdentityTransformer, "load", lambda self, path: json.loads(""))
    with pytest.raises(json.JSONDecodeError, match="Expecting value") as error:
        Scorer.load(folder)
    assert error.value.__notes__ == [
        f"in {folder}/model/data/transformer, stage load, component IdentityTransformer",
        "if its files are damaged, fetch it again from where it came, or train again",
    ]


def test_names_that_a_saved_model_would_alter_survive(tmp_path: Path) -> None:
    import keras

    first, second = keras.Input((2,), name="a b"), keras.Input((1,), name="c")
    joined = keras.layers.Concatenate()([second, first])
    network = keras.Model(
        {"a b": first, "c": second},
        {"y/1": keras.layers.Dense(3)(joined), "z": keras.layers.Dense(1)(joined)},
    )
    specs = {"a b": ArraySpec((2,), "float32"), "c": ArraySpec((1,), "float32")}
    save_network(network, tmp_path / "network", specs, ["y/1", "z"])
    x = {"a b": np.eye(2, dtype=np.float32), "c": np.ones((2, 1), np.float32)}
    score = load_network(tmp_path / "network", ["a b", "c"], ["y/1", "z"])
    expected = network(x, training=False)
    for batch_size in (1, 2):  # two batches, and one
        scores, _ = score(x, batch_size)
        assert list(scores) == ["y/1", "z"]
        for name in scores:
            np.testing.assert_allclose(scores[name], expected[name].numpy(), rtol=1e-6)


def test_no_more_records_go_through_the_network_at_once_than_asked(tmp_path: Path) -> None:
    import keras

    class Together(keras.layers.Layer):  # type: ignore[misc]
        def call(self, x: Any) -> Any:
            return keras.ops.zeros_like(x) + keras.ops.cast(keras.ops.shape(x)[0], x.dtype)

    x = keras.Input((1,), name="x")
    network = keras.Model({"x": x}, {"y": Together()(x)})
    saved = save_network(network, tmp_path / "n", {"x": ArraySpec((1,), "float32")}, ["y"])
    for score in (saved, load_network(tmp_path / "n", ["x"], ["y"])):
        scores, _ = score({"x": np.zeros((5, 1), np.float32)}, 4)
        assert scores["y"].ravel().tolist() == [4, 4, 4, 4, 2]  # one alone has company


def test_the_tables_of_lookup_layers_are_saved_with_the_network(tmp_path: Path) -> None:
    import keras

    code = keras.Input((2,), name="code", dtype="int64")
    index = keras.layers.IntegerLookup(vocabulary=[50, 7, 900])(code)
    network = keras.Model({"code": code}, {"y": keras.layers.Embedding(4, 3)(index)})
    specs = {"code": ArraySpec((2,), "int64")}
    save_network(network, tmp_path / "network", specs, ["y"])
    score = load_network(tmp_path / "network", ["code"], ["y"])
    x = {"code": np.array([[7, 50], [1, 900]])}
    np.testing.assert_array_equal(score(x, 2)[0]["y"], network(x, training=False)["y"].numpy())


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("string", np.array([["b"], ["ü"], [b"a"]] * 4, object)),
        ("bool", np.array([[True], [False], [True]] * 4)),
        ("float16", np.array([[0.5], [2.0], [-1.0]] * 4, np.float16)),
        ("uint8", np.array([[0], [7], [255]] * 4, np.uint8)),
        ("float32", np.arange(24, dtype=np.float32).reshape(12, 2)[:, :1]),
    ],
)
def test_inputs_of_every_kind_reach_the_saved_network(
    tmp_path: Path, dtype: str, values: np.ndarray
) -> None:
    import keras

    given = keras.Input((1,), name="x", dtype=dtype)
    if dtype == "string":
        index = keras.layers.StringLookup(vocabulary=["a", "b", "ü"])(given)
    else:
        index = keras.ops.cast(given, "float32") + 1
    network = keras.Model({"x": given}, {"y": index, "z": given})
    save_network(network, tmp_path / "network", {"x": ArraySpec((1,), dtype)}, ["y", "z"])
    score = load_network(tmp_path / "network", ["x"], ["y", "z"])
    expected = network({"x": keras.ops.convert_to_tensor(values)}, training=False)
    for batch_size in (1, 5, 12):  # more batches than are called one by one, three, one
        scores, _ = score({"x": values}, batch_size)
        for name in ("y", "z"):
            assert scores[name].dtype == expected[name].numpy().dtype
            np.testing.assert_array_equal(scores[name], expected[name].numpy())


def test_a_score_that_is_no_number_names_its_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer.load(folder)
    monkeypatch.setattr(
        scorer,
        "network",
        lambda x, size: (
            {"label": np.where(np.arange(len(x["x"])) == 2, np.nan, 0.5)[:, None]},
            {},
        ),
    )
    message = (
        r"^record 4: expected finite scores, got NaN or infinity from the network for output "
        r"'label'; look for inputs that are far from those it was trained on$"
    )
    with pytest.raises(RecordError, match=message):
        scorer.score(Records.read(VALIDATION)[2:6])


@pytest.mark.parametrize(
    "cell",
    [
        {"p": np.float32("nan")},
        {"p": np.array([1, np.inf], "float32")},
        [(np.float16("nan"),)],
        np.array([np.nan]),
    ],
)
def test_a_score_that_is_no_number_is_found_at_any_depth(cell: object) -> None:
    scores = {"y": objects([{"p": np.float32(1), "words": ["a", None]}, cell])}
    message = (
        r"^record 1: expected finite scores, got NaN or infinity from postprocess for output 'y'; "
        r"see what it makes of such scores of the network$"
    )
    with pytest.raises(RecordError, match=message):
        check_finite(scores, Records.read([{"a": 1}, {"a": 2}]), "postprocess")


def test_a_list_of_another_shape_than_the_train_records_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [[1.0, 2.0]] * 12, "label": [0, 1] * 6})
    inputs = {"x": "a"}
    config = small_config(dataset__loader__params__inputs=inputs, solver__epochs=1)
    train(config, frame, frame, artifact_dir=tmp_path / "out")
    scorer = Scorer.load(tmp_path / "out")
    odd = [{"a": [1.0, 2.0, 3.0]}, {"a": [1.0, 2.0]}]
    with pytest.raises(
        RecordError, match=r"^record 0, column 'a': expected a list of shape \(2,\)"
    ):
        scorer.score(odd)
    with pytest.raises(RecordError, match=r"record 1"):
        scorer.score(odd[::-1])
