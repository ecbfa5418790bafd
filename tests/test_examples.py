"""The examples: their data, their components, and how well they do on rows held out."""

from __future__ import annotations

import base64
import copy
import doctest
import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import pytest
from click.testing import CliRunner
from contract import assert_equal, check_loader, check_transformer
from outside import ROUNDING, assert_scores_agree, invoke
from pages import run_blocks, served_page

import barrage_mlflow
from barrage_mlflow.cli import main
from barrage_mlflow.dataset import RecordMode, Records

EXAMPLES = Path(__file__).parents[1] / "examples"
CONFIGS = sorted(EXAMPLES.glob("*/config.*"))
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "year"]


@pytest.fixture
def prepare(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    return importlib.import_module("prepare")


@pytest.fixture
def penguins(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES / "penguins")
    return importlib.import_module("penguins")


@pytest.fixture
def fitted(penguins):
    def make(mode, records=None):
        """A transformer that has learnt from the train records, and a loader, for a mode."""
        transformer = penguins.PenguinTransformer(mode, penguins.PenguinLoader(RecordMode.TRAIN))
        transformer.fit(read_penguins("train") if records is None else records)
        return transformer, penguins.PenguinLoader(mode)

    return make


def read_penguins(part: str) -> Records:
    return Records.read(EXAMPLES / "penguins" / f"{part}.csv")


# The data


def test_iris_files_are_the_raw_file_split(prepare, tmp_path, monkeypatch, capsys):
    sklearn = pytest.importorskip("sklearn.datasets")
    raw = Path(sklearn.__file__).parent / "data" / "iris.csv"
    monkeypatch.setattr(sys, "argv", ["prepare.py", "iris", str(raw), "--folder", str(tmp_path)])
    prepare.main()
    assert capsys.readouterr().out == (
        f"{tmp_path}/train.csv: 105 rows\n{tmp_path}/validation.csv: 45 rows\n"
    )
    for name in ("train.csv", "validation.csv"):
        assert (tmp_path / name).read_bytes() == (EXAMPLES / "iris" / name).read_bytes()


def test_penguins_raw_file_is_split_again_alike(prepare, tmp_path):
    raw = tmp_path / "penguins.csv"
    raw.write_text("species,sex\n" + "Adelie,NA\nGentoo,male\n" * 10)
    train, validation = prepare.split(prepare.read_raw("penguins", raw), seed=0)
    again, _ = prepare.split(prepare.read_raw("penguins", raw), seed=0)
    other, _ = prepare.split(prepare.read_raw("penguins", raw), seed=1)
    assert train["species"].value_counts().to_dict() == {"Adelie": 7, "Gentoo": 7}
    assert sorted([*train.index, *validation.index]) == list(range(20))
    assert list(train.index) == list(again.index) != list(other.index)
    assert set(train["sex"]) == {"", "male"}


def test_digits_are_the_raw_file_as_images(prepare, tmp_path):
    sklearn = pytest.importorskip("sklearn.datasets")
    raw = Path(sklearn.__file__).parent / "data" / "digits.csv.gz"
    prepare.write_images(raw, tmp_path / "images")
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.png"))
    kept = (EXAMPLES / "digits").rglob("*.png")
    assert made == sorted(path.relative_to(EXAMPLES / "digits") for path in kept)
    for path in made:
        pixels, expected = (PIL.Image.open(home / path) for home in (tmp_path, EXAMPLES / "digits"))
        np.testing.assert_array_equal(pixels, expected)
    for name, path in barrage_mlflow.split(tmp_path / "images", validation=0.2).items():
        assert path.read_bytes() == (EXAMPLES / "digits" / f"{name}.csv").read_bytes()


# The penguins' components


def test_penguins_pass_the_contract(penguins, tmp_path):
    check_loader(penguins.PenguinLoader, read_penguins("train"))
    scores = {
        "species": np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32),
        "body_mass": np.array([[0.5], [-1.0]], np.float32),
    }
    loader, transformer = penguins.PenguinLoader, penguins.PenguinTransformer
    check_transformer(loader, transformer, read_penguins("train"), tmp_path, scores)


def test_postprocess_undoes_transform(fitted):
    records = read_penguins("validation")
    transformer, loader = fitted(RecordMode.VALIDATION)
    _, y, weights = transformer.transform_batch(loader.load_batch(records))
    undone = transformer.postprocess_batch(
        {"species": np.eye(3, dtype=np.float32)[y["species"]], "body_mass": y["body_mass"][:, None]}
    )
    assert undone["species"].tolist() == records["species"].tolist()
    weighed = weights["body_mass"] > 0
    np.testing.assert_allclose(
        undone["body_mass_g"][weighed], records["body_mass_g"][weighed], rtol=1e-6
    )


def test_missing_and_unseen_values(fitted):
    bird = {**dict.fromkeys(NUMBERS, None), "island": "Elephant", "sex": float("nan")}
    transformer, loader = fitted(RecordMode.SCORE)
    (x,) = transformer.transform(loader.load(bird))
    assert {name: array.tolist() for name, array in x.items()} == {
        "measurements": [0.0, 0.0, 0.0, 0.0],
        "missing": [1.0, 1.0, 1.0, 1.0],
        "island": 0,
        "sex": 0,
    }


def test_a_bird_that_was_not_weighed_has_weight_0_and_a_finite_target(fitted):
    records = read_penguins("train")
    transformer, loader = fitted(RecordMode.TRAIN)
    x, y, weights = transformer.transform_batch(loader.load_batch(records))
    unweighed = np.isnan(records["body_mass_g"])
    assert weights["body_mass"].tolist() == (~unweighed).astype(float).tolist()
    assert y["body_mass"][unweighed].tolist() == [0.0]
    assert all(np.isfinite(array).all() for array in [*x.values(), *y.values()])
    assert y["body_mass"][~unweighed].std() == pytest.approx(1.0)


def test_an_unseen_species_is_refused_in_both_forms(fitted):
    bird = {**dict.fromkeys(NUMBERS, 1.0), "island": "Dream", "sex": "male"}
    records = Records.read([{**bird, "species": "Emperor", "body_mass_g": 30000}])
    transformer, loader = fitted(RecordMode.VALIDATION)
    message = r"^species 'Emperor' is in no train record; the train records hold Adelie, Chin"
    with pytest.raises(ValueError, match=message):
        transformer.transform(loader.load(records[0]))
    with pytest.raises(ValueError, match=message):
        transformer.transform_batch(loader.load_batch(records))


def test_fit_refuses_a_column_without_any_value(fitted):
    frame = pd.read_csv(EXAMPLES / "penguins" / "train.csv")
    frame["year"] = np.nan
    with pytest.raises(ValueError, match=r"^no train record has a value in year$"):
        fitted(RecordMode.TRAIN, Records.read(frame))


def test_jitter_is_repeatable_and_leaves_the_rest_alone(penguins):
    x = {
        "measurements": np.ones(4, np.float32),
        "missing": np.array([0, 0, 0, 1], np.float32),
        "island": np.array(1, np.int32),
    }
    data_record = (x, {"species": np.array(0)})
    before = copy.deepcopy(data_record)
    first, second = (penguins.jitter(data_record, np.random.default_rng(7)) for _ in range(2))
    assert_equal(first, second, "the same draw")
    assert_equal(data_record, before, "what was given")
    moved = first[0]["measurements"] != x["measurements"]
    assert (moved.tolist(), first[0]["measurements"].dtype) == ([True] * 3 + [False], np.float32)
    assert first[0]["island"] is x["island"]
    assert first[1] is data_record[1]


def test_examples_in_docstrings(penguins):
    assert doctest.testmod(penguins).failed == 0


# How well they do


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.parent.name)
def test_a_config_has_no_fault(config):
    done = CliRunner().invoke(main, ["check", str(config)])
    assert done.output == f"{config}: all is well\n"


def train_and_score(name: str) -> tuple[Records, pd.DataFrame]:
    """The rows that were held out, and their scores."""
    files = [EXAMPLES / name / file for file in ("config.json", "train.csv", "validation.csv")]
    model = barrage_mlflow.BarrageModel("artifacts")
    model.train(*files)
    return Records.read(files[-1]), pd.DataFrame(model.predict(files[-1]))


def test_iris_on_held_out_rows():
    records, scores = train_and_score("iris")
    assert np.mean(scores["species"].map(np.argmax) == records["species"]) >= 0.93


def test_penguins_on_held_out_rows():
    records, scores = train_and_score("penguins")
    assert np.mean(scores["species"] == records["species"]) >= 0.97
    error = np.nanmean(np.abs(scores["body_mass_g"] - records["body_mass_g"]))
    # What a linear regression on all other columns comes to.
    assert error <= 1.05 * 253.6


def share_of_price(found: pd.Series, truth: pd.Series) -> float:
    return float(np.mean(abs(found - truth) / truth))


def share_wrong(found: pd.Series, truth: pd.Series) -> float:
    return float(np.mean(found != truth))


@pytest.mark.nightly(part="docs")
@pytest.mark.parametrize(
    ("name", "target", "measure", "most"),
    [
        ("adult", "income", share_wrong, 0.17),
        ("diamonds", "price", share_of_price, 0.09),
        ("digits", "label", share_wrong, 0.05),
        ("texts", "department", share_wrong, 0.27),
    ],
)
def test_an_examples_commands_train_and_serve_what_predict_gives(
    name, target, measure, most, tmp_path
):
    shutil.copytree(EXAMPLES / name, tmp_path / "examples" / name)
    page = (EXAMPLES / name / "README.md").read_text("utf-8")
    run_blocks(page, tmp_path)
    scores = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
    truth = pd.read_csv(EXAMPLES / name / "validation.csv")
    assert measure(pd.Series([score[target] for score in scores]), truth[target]) <= most
    if name == "digits":
        files = [EXAMPLES / name / "images" / path for path in truth["path"]]
        truth["path"] = [base64.b64encode(file.read_bytes()).decode() for file in files]
    with served_page(page, tmp_path) as (address, answer):
        assert_scores_agree(answer, scores[:1], ROUNDING)
        records = truth.drop(columns=target).to_dict("records")
        assert invoke(address, {"dataframe_records": records}) == scores


@pytest.mark.nightly(part="docs")
def test_the_forecast_is_nearer_than_the_year_before_and_served_alike(tmp_path):
    home = EXAMPLES / "forecast"
    shutil.copytree(home, tmp_path / "examples" / "forecast")
    page = (home / "README.md").read_text("utf-8")
    run_blocks(page, tmp_path)
    scores = [json.loads(line) for line in (tmp_path / "forecast.jsonl").read_text().splitlines()]
    validation, test = (
        pd.read_csv(home / f"{name}.csv").pivot(index="city", columns="date", values="sales")
        for name in ("validation", "test")
    )
    found = pd.DataFrame(
        [score["next_sales"] for score in scores], [score["city"] for score in scores], test.columns
    ).loc[test.index]
    before = validation.iloc[:, -12:-6].set_axis(test.columns, axis=1)
    shares = [(abs(each - test) / test).mean(axis=None) for each in (found, before)]
    assert shares[0] < shares[1]
    with served_page(page, tmp_path) as (address, answer):
        assert_scores_agree(answer, scores[:1], ROUNDING)
        rows = json.loads(pd.read_csv(home / "validation.csv").to_json(orient="records"))
        assert invoke(address, {"dataframe_records": rows}) == scores
