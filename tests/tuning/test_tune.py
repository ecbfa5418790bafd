"""Searches: real trials in real processes, ended, failed, killed and gone on with."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import pandas as pd
import pytest
from click.testing import CliRunner
from small import small_config, small_frame

import barrage_mlflow
from barrage_mlflow.cli import main
from barrage_mlflow.commands.tune import _root_from
from barrage_mlflow.config.paths import rebuilt
from barrage_mlflow.errors import ArtifactError, TuningError
from barrage_mlflow.training.train import train
from barrage_mlflow.tuning import tune as recipe
from barrage_mlflow.tuning.crew import Crew
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import read_record

TRAIN, VALIDATION = small_frame(120, 0), small_frame(60, 1)
RATE = "solver.optimizer.learning_rate"
SEARCH = {
    "seed": 3,
    "trials": 3,
    "space": {
        RATE: {"low": 0.001, "high": 0.3, "log": True},
        "solver.batch_size": [16, 32],
        "solver.optimizer.import": ["Adam", "SGD"],
        "solver.optimizer.params.momentum": {
            "low": 0.0, "high": 0.9, "when": {"solver.optimizer.import": "SGD"},
        },
    },
}  # fmt: skip
CONFIG = small_config(solver__epochs=4, services__evaluation={"plots": False, "importance": False})


def tune(folder: str | Path = "out", search: Any = SEARCH, **options: Any) -> Any:
    given = {"artifact_dir": folder, "threads": 1, **options}
    return barrage_mlflow.tune(CONFIG, search, TRAIN, VALIDATION, **given)


def study_of(folder: Path = Path("out")) -> optuna.Study:
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder}/study.db")


class Terminal(io.StringIO):
    """Takes what is written to it as a terminal does."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search that has ended, with its MLflow store."""
    home = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for name, value in {"COLUMNS": "80", "TERM": "xterm"}.items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        terminal = Terminal()
        tune(register="labels", records_test=VALIDATION[:30], jobs=2, progress=terminal)
        Path("shown.txt").write_text(terminal.getvalue(), "utf-8")
    return home


@pytest.fixture
def _there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")


@pytest.mark.usefixtures("_there")
def test_runs_of_trials_are_under_that_of_the_search() -> None:
    record, client = read_record(Path("out")), mlflow.MlflowClient()
    assert record is not None
    parent = client.get_run(record.run_id)
    best = study_of().best_trial
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["barrage.best_trial"] == str(best.number)
    assert parent.data.metrics == {"best_val_loss": best.value}
    assert parent.data.params[f"search.space.{RATE}.high"] == "0.3"
    sent = {file.path for file in client.list_artifacts(record.run_id)}
    assert {"best_config.json", "trials.csv", "history.png", "slices.png"} <= sent
    assert not sent & {"trials", "study.db"}

    nested = client.search_runs(
        [parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{record.run_id}'"
    )
    assert sorted(run.info.run_name for run in nested) == ["trial 0", "trial 1", "trial 2"]
    for run in nested:
        assert run.info.status == "FINISHED"
        trial = study_of().trials[int(run.info.run_name.split()[1])]
        steps = client.get_metric_history(run.info.run_id, "val_loss")
        assert [m.value for m in steps] == [*trial.intermediate_values.values()]
        assert run.data.params[RATE] == str(trial.params[RATE])
    (version,) = client.search_model_versions("name = 'labels'")
    assert version.run_id == parent.data.tags["barrage.best_run"]
    evaluated = client.get_run(version.run_id).data.metrics
    assert "validation_label_accuracy" in evaluated
    assert "test_label_accuracy" in evaluated
    assert len(client.search_logged_models([parent.info.experiment_id])) == 1


@pytest.mark.usefixtures("_there")
def test_the_first_trial_is_the_config_as_it_is_and_all_stand_in_a_table() -> None:
    table = pd.read_csv("out/trials.csv")
    assert table["trial"].tolist() == [0, 1, 2]
    first = table.iloc[0]
    assert (first[RATE], first["solver.batch_size"]) == (0.001, 16)
    trials = study_of().trials
    for trial, row in zip(trials, table.itertuples(), strict=True):
        with_momentum = "solver.optimizer.params.momentum" in trial.params
        assert with_momentum == (trial.params["solver.optimizer.import"] == "SGD")
        assert row.epochs == len(trial.intermediate_values)


@pytest.mark.usefixtures("_there")
def test_a_terminal_shows_trials_under_way_and_how_each_ended() -> None:
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", Path("shown.txt").read_text("utf-8"))
    assert re.search("┃ trial ┃ state +┃ epoch ┃ val_loss ┃ values +┃", text)
    assert re.search(r"│ \d     │ running │ \d     │ ", text)
    ends = re.findall(r"trial \d: \w+", text)
    assert sorted(ends) == [f"trial {number}: complete" for number in range(3)]


@pytest.mark.usefixtures("_there")
def test_the_best_config_trains_to_the_same_bits(tmp_path: Path) -> None:
    best = study_of().best_trial
    config = json.loads(Path("out/best_config.json").read_text("utf-8"))
    assert config["solver"]["optimizer"]["learning_rate"] == best.params[RATE]
    files = []
    for name, frame in (("train", TRAIN), ("validation", VALIDATION)):
        files.append(tmp_path / f"{name}.csv")
        frame.to_csv(files[-1], index=False)
    folder = tmp_path / "again"
    code = (
        "import sys; from barrage_mlflow.cli import main; main(['train', *sys.argv[1:], "
        f"'--threads', '1', '--offline', '--artifact-dir', '{folder}'])"
    )
    from outside import run

    run(["python", "-c", code, "out/best_config.json", *files], Path.cwd())
    again, then = (
        [json.loads(line)["metrics"] for line in path.read_text("utf-8").splitlines()]
        for path in (
            folder / "metrics.jsonl", Path(f"out/trials/{best.number:04d}/metrics.jsonl"),
        )
    )  # fmt: skip
    assert again == then


@pytest.mark.usefixtures("_there")
def test_it_goes_on_to_more_trials_and_refuses_what_has_changed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = [(t.params, t.value) for t in study_of().trials]
    other = {**SEARCH, "space": {**SEARCH["space"], "solver.batch_size": [16, 64]}}
    with pytest.raises(ArtifactError, match=r'batch_size"\]\[1\]: 32 → 64'):
        tune(search=other)
    with pytest.raises(ArtifactError, match=r"another search was begun there, .* a new folder$"):
        tune(search=other, resume_anyway=True)
    changed = {**CONFIG, "solver": {**CONFIG["solver"], "epochs": 5}}
    for config, records, said in (
        (changed, TRAIN, r"config \$\.solver\.epochs: 4 → 5"),
        (CONFIG, TRAIN[1:], "train records: digest"),
    ):
        with pytest.raises(ArtifactError, match=said):
            barrage_mlflow.tune(config, SEARCH, records, VALIDATION, artifact_dir="out")
    with locked(Path("out")), pytest.raises(ArtifactError, match="is in use by"):
        tune()
    result = tune(trials=4)
    trials = study_of().trials
    assert [(t.params, t.value) for t in trials[:3]] == before
    assert len(trials) == 4
    assert result.best_trial == study_of().best_trial.number
    assert result.model_uri is not None
    assert result.threads == 1
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ  # as this process had it


@pytest.mark.usefixtures("_there")
def test_the_best_trial_alone_has_weights_and_a_model() -> None:
    best = study_of().best_trial.number
    for trial in study_of().trials:
        folder = Path(f"out/trials/{trial.number:04d}")
        record = read_record(folder)
        assert record is not None
        assert record.is_finished
        for name in ("model/MLmodel", "checkpoints", "evaluation/card.md"):
            assert (folder / name).exists() == (trial.number == best)


def test_a_training_is_packaged_later(evaluated_models: None) -> None:
    def trained(**options: Any) -> Any:
        return train(CONFIG, TRAIN, VALIDATION, artifact_dir="one", resume=True, **options)

    first = trained(packages=False)
    assert trained(packages=False) == first  # as after a kill at its very end
    assert not Path("one/model/MLmodel").exists()
    assert not Path("one/evaluation").exists()
    history = Path("one/metrics.jsonl").read_text("utf-8")
    assert trained() == first
    assert Path("one/metrics.jsonl").read_text("utf-8") == history
    assert Path("one/evaluation/card.md").exists()
    whole = train(CONFIG, TRAIN, VALIDATION, artifact_dir="two")
    assert whole.metrics == first.metrics
    scores = [barrage_mlflow.Scorer.load(folder).score(VALIDATION) for folder in ("one", "two")]
    assert np.array_equal(scores[0]["label"], scores[1]["label"])


def test_trials_that_fail_end_the_search_if_all_fail_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recipe, "_ALIKE", 2)
    told = io.StringIO()
    broken = small_config(model__outputs=[{**CONFIG["model"]["outputs"][0]}])
    broken["dataset"]["loader"]["params"]["outputs"] = {"label": "a"}  # no class
    with pytest.raises(TuningError, match=r"^2 trials in a row failed for one reason: "):
        barrage_mlflow.tune(
            broken, SEARCH, TRAIN, VALIDATION, artifact_dir="out", offline=True, threads=1,
            progress=told,
        )  # fmt: skip
    assert [t.state.name for t in study_of().trials] == ["FAIL", "FAIL"]
    table = pd.read_csv("out/trials.csv")
    errors = [trial.user_attrs["error"] for trial in study_of().trials]
    assert table[["state", "error"]].to_numpy().tolist() == [["failed", e] for e in errors]
    assert [line.split("  ")[:2] for line in told.getvalue().splitlines()] == [
        [f"trial {number}: failed", error] for number, error in enumerate(errors)
    ]


def test_a_process_that_dies_again_and_again_is_a_trial_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give = Crew.give

    def deadly(self: Crew, task: Any) -> None:
        worker = next(worker for worker in self._workers if worker.task is None)
        give(self, task)
        if task.number == 0:
            os.kill(worker.process.pid, signal.SIGKILL)

    monkeypatch.setattr(Crew, "give", deadly)
    result = tune(search={**SEARCH, "trials": 2}, offline=True)
    first, second = study_of().trials
    assert (first.state.name, second.state.name) == ("FAIL", "COMPLETE")
    assert first.user_attrs["error"].startswith("its process ended 4 times")
    assert result.best_trial == 1


def test_a_trial_that_ends_its_process_has_failed_and_its_log_says_where() -> None:
    Path("leaving.py").write_text(
        "import keras, sys\n"
        "class Leaving(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        if self.model.optimizer.name == 'adam':\n"
        "            sys.exit(3)\n",
        "utf-8",
    )
    config = small_config(
        solver__epochs=2,
        services__callbacks=[{"import": "leaving.Leaving"}],
        services__evaluation={"plots": False, "importance": False},
    )
    search = {"trials": 2, "space": {"solver.optimizer.import": ["Adam", "SGD"]}, "seed": 1}
    barrage_mlflow.tune(
        config, search, TRAIN, VALIDATION, artifact_dir="out", offline=True, threads=1
    )
    first, second = study_of().trials
    assert (first.state.name, first.user_attrs["error"]) == ("FAIL", "SystemExit: 3")
    assert second.params == {"solver.optimizer.import": "SGD"}
    assert second.state.name == "COMPLETE"
    assert 'leaving.py", line 5, in on_epoch_end' in Path("out/trials/0000.log").read_text("utf-8")


def test_roots_are_named_from_the_folder_of_the_best_config() -> None:
    home, folder = Path("project"), Path("project/artifacts/search")
    columns = {"photo": {"kind": "bytes", "root": "data/images"}, "n": {"kind": "number"}}
    found = rebuilt({"columns": columns}, partial(_root_from, home, folder))
    photo = {"kind": "bytes", "root": "../../data/images"}
    assert found == {"columns": {**columns, "photo": photo}}
    away = {"type": "image", "root": "/photos"}
    assert _root_from(home, folder, (), away) == away


def test_fewer_trials_than_there_were_package_the_best_of_those(home: Path) -> None:
    shutil.copytree(home / "out", "out")
    fewer = study_of().best_trial.number  # without the best one
    assert fewer > 0
    result = tune(offline=True, trials=fewer)
    assert result.best_trial < fewer
    assert barrage_mlflow.Scorer.load(result.best_dir).score(VALIDATION)


def test_the_command_tells_what_is_wrong() -> None:
    Path("config.json").write_text(json.dumps(CONFIG), "utf-8")
    Path("search.json").write_text('{"space": {"solver.epoch": [1]}}', "utf-8")
    TRAIN.to_csv("train.csv", index=False)
    arguments = ["config.json", "search.json", "train.csv", "train.csv", "--artifact-dir", "out"]
    done = CliRunner().invoke(main, ["tune", *arguments])
    assert done.exit_code == 2
    assert done.stderr == (
        "search.json:1:28  $.space[\"solver.epoch\"]: the config refuses 1: unknown key 'epoch'; "
        "did you mean 'epochs'?\n"
    )
    assert not Path("out").exists()
