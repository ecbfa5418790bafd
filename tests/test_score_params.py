"""Params of ``postprocess`` in every way to score, and in a packaged model's signature."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.scoring_server import invocations
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import BarrageModel, RecordError, Scorer, train
from barrage_mlflow.cli import main

JUDGE = """
from barrage_mlflow import IdentityTransformer

class Judge(IdentityTransformer):
    score_params = {"threshold": 0.5, "word": "yes"}

    def postprocess(self, score, threshold, word):
        return {"label": word if score["label"][1] >= threshold else "no"}
"""
FEW = VALIDATION[["a", "b"]]
ALL = ["no"] * len(FEW)
"""Of a threshold that no score reaches."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The artifact folder of a finished training."""
    home = tmp_path_factory.mktemp("trained")
    (home / "judge.py").write_text(JUDGE, "utf-8")
    config = small_config(solver__epochs=1, dataset__transformer={"import": "judge.Judge"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.syspath_prepend(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        yield train(config, TRAIN, VALIDATION, artifact_dir=home / "out").artifact_dir


def post(model: Any, **body: Any) -> list[str]:
    """What MLflow's server answers to a request."""
    request = json.dumps({"dataframe_records": FEW.to_dict("records"), **body})
    schema = model.metadata.get_input_schema()
    answer = invocations(request, "application/json", model, schema)
    assert answer.status == 200
    return [row["label"] for row in json.loads(answer.response)["predictions"]]


def predict(folder: Path, *options: str) -> Any:
    FEW.to_csv("few.csv", index=False)
    return CliRunner().invoke(main, ["predict", "few.csv", str(folder), *options])


def test_every_way_to_score_takes_them(folder: Path) -> None:
    model, scorer = mlflow.pyfunc.load_model(str(folder / "model")), Scorer.load(folder)
    assert model.metadata.get_params_schema().to_dict() == [
        {"name": "threshold", "default": 0.5, "shape": None, "type": "double"},
        {"name": "word", "default": "yes", "shape": None, "type": "string"},
    ]
    plain = scorer.score(FEW)["label"].tolist()
    assert set(plain) == {"yes", "no"}
    for given, expected in (
        ({}, plain),
        ({"threshold": 0}, ["yes"] * len(FEW)),
        ({"threshold": 2.0}, ALL),
        ({"word": "3"}, [{"yes": "3"}.get(word, word) for word in plain]),
    ):
        assert scorer.score(FEW, params=given)["label"].tolist() == expected
        scores = BarrageModel(folder).predict(FEW, params=given)
        assert [score["label"] for score in scores] == expected
        assert model.predict(FEW, params=given)["label"].tolist() == expected
        assert post(model, params=given) == expected
        options = [option for name in given for option in ("--param", f"{name}={given[name]}")]
        lines = predict(folder, *options).stdout.splitlines()
        assert [json.loads(line)["label"] for line in lines] == expected
        done = predict(folder, *options, "-o", "scores.csv")
        assert done.exit_code == 0, done.output
        assert pd.read_csv("scores.csv", dtype=str)["label"].tolist() == expected


def test_a_model_in_a_process_of_its_own_takes_them(folder: Path) -> None:
    shutil.copytree(folder / "model", "other")
    with Path("other/code/barrage_mlflow/errors.py").open("a") as module:
        module.write("# another version of the engine\n")
    scorer = Scorer.load("other")
    assert type(scorer) is not Scorer
    assert scorer.score_params == {"threshold": 0.5, "word": "yes"}
    assert scorer.score(FEW, params={"threshold": 2})["label"].tolist() == ALL
    assert set(scorer.score(FEW)["label"].tolist()) == {"yes", "no"}


def test_what_is_wrong_is_the_callers_fault(folder: Path) -> None:
    unknown = "unknown param 'treshold'; did you mean 'threshold'?"
    for given in (Scorer.load(folder).score, BarrageModel(folder).predict):
        with pytest.raises(RecordError, match=unknown.replace("?", r"\?")):
            given(FEW, params={"treshold": 0.3})
    for typed, message in (
        ("treshold=0.3", unknown),
        ("threshold=high", "param 'threshold': expected a number, got 'high' (str)"),
        ("threshold", "expected --param NAME=VALUE, got 'threshold'; write threshold=VALUE"),
    ):
        done = predict(folder, "--param", typed)
        assert (done.exit_code, done.stderr) == (2, f"error: {message}\n")
    model = mlflow.pyfunc.load_model(str(folder / "model"))
    # MLflow itself refuses most types, but lets null through.
    for value, message in (("0.3", "Invalid parameters found"), (None, "expected a number, got a")):
        with pytest.raises(MlflowException, match=message) as error:
            post(model, params={"threshold": value})
        assert error.value.get_http_status_code() == 400
    # What it does not know it leaves out, with a warning in its log.
    assert post(model, params={"treshold": 2.0}) == post(model)
