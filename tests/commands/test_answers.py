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
from barrage_mlflow.workspace.layout import REPORT


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
    assert run("diff", "config.json", "out") == {"differences": []}
    more = small_config(solver__epochs=2, solver__steps=5)
    Path("more.json").write_text(json.dumps(more), "utf-8")
    differing = [{"path": "$.solver.epochs", "A": 2, "B": 1}, {"path": "$.solver.steps", "A": 5}]
    assert run("diff", "more.json", "out", status=1) == {"differences": differing}
    again = run("reproduce", run_id)
    assert (again["run_id"], again["epochs"], again["difference"]) == (run_id, 1, "")
    assert again["result"]["metrics"] == metrics


def test_a_search(files: None) -> None:
    search = {"trials": 1, "space": {"solver.batch_size": [8]}}
    Path("search.json").write_text(json.dumps(search), "utf-8")
    config, *sets = SETS
    found = run("tune", config, "search.json", *sets, "--artifact-dir", "out", "--offline")
    report = pd.read_csv(Path(found["best_dir"], REPORT))
    assert found == {
        "artifact_dir": "out",
        "run_id": None,
        "best_trial": 0,
        "best_value": pytest.approx(report["val_loss"].min()),
        "best_values": {"solver.batch_size": 8},
        "threads": found["threads"],
        "best_dir": "out/trials/0000",
        "model_uri": None,
        "version_uri": None,
        "run_page": None,
    }


def test_sets_and_a_config_of_a_table() -> None:
    TRAIN.to_csv("all.csv", index=False)
    files = {"train": "train.csv", "validation": "validation.csv"}
    assert run("split", "all.csv", "--validation", "0.2") == {"files": files}
    begun = run("init", "train.csv", "--target", "label", "-o", "begun.json")
    assert begun["file"] == "begun.json"
    columns = {each["column"]: each["feature"] for each in begun["columns"]}
    assert columns == {"a": "number", "b": "number", "label": "target: truth"}
    schema = {"$schema": "./schema.json"}
    assert {**schema, **begun["config"]} == json.loads(Path("begun.json").read_text("utf-8"))
    assert '"title": "Barrage config"' in Path("schema.json").read_text("utf-8")
    assert run("check", "begun.json") == {"faults": [], "warnings": []}
    checked = run("check", "begun.json", "train.csv")
    assert checked.pop("report").splitlines()[0] == "train       all 48 records of train.csv"
    assert checked == {"faults": [], "warnings": []}


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
    # Scores on standard output are JSON Lines, and no place for an answer.
    done = CliRunner().invoke(main, ["predict", "validation.csv", "out", "--json"])
    assert done.exit_code == 2
    assert "leave out --json, or add -o FILE" in done.stderr


def test_the_next_command_has_the_options_of_this_one(files: None) -> None:
    run("train", *SETS, "--artifact-dir", "out", "--offline")
    options = ("--against", "out", "--name", "held out")
    done = CliRunner().invoke(main, ["evaluate", "validation.csv", "out", *options])
    *_, last = done.stdout.splitlines()
    told = "evaluate validation.csv out -o report --against out --name 'held out'"
    assert last == f"next:      barrage-mlflow {told}"


def test_only_terminals_get_colours_and_only_if_they_are_wanted(
    files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown(*arguments: str, **options: Any) -> str:
        return CliRunner().invoke(main, arguments, **options).output

    check, sync = ("check", "config.json"), ("sync", "nowhere")
    fine = "config.json: all is well\n"
    wrong = "error: nowhere: holds no training; expected an artifact folder\n"
    assert (shown(*check), shown(*sync)) == (fine, wrong)
    assert shown(*check, color=True) == f"\x1b[32m{fine.strip()}\x1b[0m\n"
    coloured = "\x1b[31m\x1b[1merror: \x1b[0m"
    assert shown(*sync, color=True) == wrong.replace("error: ", coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    assert (shown(*check, color=True), shown(*sync, color=True)) == (fine, wrong)


def test_json_has_no_word_for_numbers_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "commands", dict(main.commands))

    @command("odd")
    def odd() -> None:
        answer({"metrics": {"loss": float("nan")}, "file": Path("a.csv"), "name": "é"})

    assert run("odd") == {"metrics": {"loss": None}, "file": "a.csv", "name": "é"}
