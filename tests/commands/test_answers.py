"""What commands answer with ``--json``: one object on standard output, whatever becomes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow.cli import main
from barrage_mlflow.cli.group import answer, command


def run(*arguments: str, status: int = 0) -> dict[str, Any]:
    done = CliRunner().invoke(main, [*arguments, "--json"])
    assert done.exit_code == status, done.output
    answered: dict[str, Any] = json.loads(done.stdout)
    return answered


@pytest.fixture
def files() -> None:
    Path("config.json").write_text(json.dumps(small_config(solver__epochs=1)), "utf-8")
    TRAIN.to_csv("train.csv", index=False)
    VALIDATION.to_csv("validation.csv", index=False)


SETS = ("config.json", "train.csv", "validation.csv")
FAULT = {
    "path": "$.solver",
    "message": "unknown key 'epoch'",
    "remedy": "did you mean 'epochs'?",
    "place": "--solver.epoch",
}


def test_a_training_and_what_is_done_with_its_model(files: None) -> None:
    trained = run("train", *SETS, "--artifact-dir", "out", "--register", "small")
    metrics = trained.pop("metrics")
    assert [*metrics] == ["loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"]
    assert trained.pop("model_uri").startswith("models:/m-")
    run_id = trained["run_id"]
    place = f"experiments/0/runs/{run_id}?workflowType=machine_learning"
    assert trained == {
        "artifact_dir": "out",
        "run_id": run_id,
        "best_epoch": 1,
        "version_uri": "models:/small/1",
        "run_page": f"http://127.0.0.1:5000/#/{place}",
    }
    assert run("sync", "out") == {"run_id": run_id}
    evaluated = run("evaluate", "validation.csv", "out")
    assert evaluated["metrics"]["label_accuracy"] == pytest.approx(metrics["val_accuracy"])
    assert evaluated["report"] is None
    scored = run("predict", "validation.csv", "out", "-o", "scores.csv")
    assert (scored["file"], scored["records"]) == ("scores.csv", len(VALIDATION))
    assert len(pd.read_csv("scores.csv")) == len(VALIDATION)
    promoted = run("promote", "models:/small/1", "validation.csv", "--alias", "champion")
    score = evaluated["metrics"]["label_log_loss"]
    assert promoted == {
        "name": "small",
        "alias": "champion",
        "version": "1",
        "holder": None,
        "metric": "log_loss",
        "mode": "min",
        "scores": {"1": pytest.approx(score)},
        "promoted": True,
    }
    differing = run("diff", "config.json", "out", status=0)
    assert differing == {"differences": []}


def test_sets_and_a_config_of_a_table() -> None:
    TRAIN.to_csv("all.csv", index=False)
    files = {"train": "train.csv", "validation": "validation.csv"}
    assert run("split", "all.csv", "--validation", "0.2") == {"files": files}
    begun = run("init", "train.csv", "--target", "label", "-o", "begun.json")
    assert begun["file"] == "begun.json"
    schema = {"$schema": "./schema.json"}
    assert {**schema, **begun["config"]} == json.loads(Path("begun.json").read_text("utf-8"))
    assert '"title": "Barrage config"' in Path("schema.json").read_text("utf-8")
    assert run("check", "begun.json") == {"faults": [], "warnings": []}


def test_faults_and_errors(files: None) -> None:
    wrong = ("--solver.epoch", "3")
    assert run("check", "config.json", *wrong, status=1) == {
        "error": "1 fault in config.json",
        "faults": [FAULT],
        "warnings": [],
    }
    assert run("train", *SETS, *wrong, status=2) == {
        "error": "--solver.epoch  $.solver: unknown key 'epoch'; did you mean 'epochs'?",
        "faults": [FAULT],
    }
    error = "nowhere: holds no training; expected an artifact folder"
    assert run("sync", "nowhere", status=2) == {"error": error}


def test_json_has_no_word_for_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "commands", dict(main.commands))

    @command("odd")
    def odd() -> None:
        answer({"metrics": {"loss": float("nan")}, "file": Path("a.csv"), "name": "é"})

    assert run("odd") == {"metrics": {"loss": None}, "file": "a.csv", "name": "é"}
