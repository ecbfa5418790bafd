"""Searches that are not alone: MLflow that goes away, several machines, scripts that call them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
from outside import environment
from small import small_config, small_frame

import barrage_mlflow
from barrage_mlflow.errors import ArtifactError, TuningError
from barrage_mlflow.tuning.crew import Crew
from barrage_mlflow.tuning.worker import folder_of
from barrage_mlflow.workspace.record import read_record

TRAIN, VALIDATION = small_frame(120, 0), small_frame(60, 1)
CONFIG = small_config(
    solver__epochs=3, dataset__seed=5, services__evaluation={"plots": False, "importance": False}
)
RATE = "solver.optimizer.learning_rate"
SPACE = {RATE: {"low": 0.001, "high": 0.3, "log": True}}
SEARCH = {"seed": 3, "trials": 2, "space": SPACE}


def tune(folder: str | Path = "out", **options: Any) -> Any:
    given = {"artifact_dir": folder, "threads": 1, **options}
    return barrage_mlflow.tune(CONFIG, SEARCH, TRAIN, VALIDATION, **given)


def runs_under(run_id: str) -> list[str]:
    found = mlflow.MlflowClient().search_runs(
        ["0"], f"tags.`mlflow.parentRunId` = '{run_id}' and attributes.status = 'FINISHED'"
    )
    return sorted(str(run.info.run_name) for run in found)


def test_a_trial_that_mlflow_does_not_answer_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Crew._start

    def start_elsewhere(self: Crew) -> Any:
        """Nothing listens there; the search itself has its store already."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
            return start(self)

    with monkeypatch.context() as patch:
        patch.setattr(Crew, "_start", start_elsewhere)
        with pytest.raises(TuningError, match=r"^trial 0: .*127.0.0.1:9") as raised:
            tune()
    assert str(raised.value).endswith(
        "\nthe same command goes on, with the trials that are half done first"
    )
    result = tune()
    assert runs_under(str(result.run_id)) == ["trial 0", "trial 1"]


def test_what_was_done_offline_comes_under_the_run_of_the_search() -> None:
    folder = Path("is this a name?")
    assert tune(folder, offline=True, run_name="rates").run_id is None
    result = tune(folder, trials=3)
    assert runs_under(result.run_id) == ["trial 0", "trial 1", "trial 2"]
    assert result.model_uri is not None
    assert (folder / "study.db").exists()
    client = mlflow.MlflowClient()
    trials = pd.read_csv(folder / "trials.csv")
    names = [client.get_run(run).info.run_name for run in trials["run"]]
    assert names == [f"trial {number}" for number in trials["trial"]]
    run = client.get_run(result.run_id)
    assert run.info.run_name == "rates"
    assert run.data.tags["barrage.best_run"] == trials["run"][result.best_trial]
    sent = {file.path for file in client.list_artifacts(result.run_id)}
    assert "trials.csv" in sent
    assert "transformer" not in sent


def test_a_script_that_does_not_guard_its_call_is_told_to() -> None:
    config, search = Path("config.json"), Path("search.json")
    config.write_text(json.dumps(CONFIG), "utf-8")
    search.write_text(json.dumps(SEARCH), "utf-8")
    pd.concat([TRAIN] * 50).to_csv("train.csv", index=False)  # more than a pipe holds
    script = Path("script.py")
    script.write_text(
        "import barrage_mlflow, pandas\n"
        "train = pandas.read_csv('train.csv')\n"
        "barrage_mlflow.tune('config.json', 'search.json', train, train, artifact_dir='out', "
        "offline=True)\n",
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, script], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "barrage_mlflow.errors.TuningError: a process of the search ended by itself; why stands "
        'above, or in out/trials; a script calls tune() below `if __name__ == "__main__":`, since '
        "the processes import it"
    )


def test_a_storage_is_refused_that_cannot_be_shared() -> None:
    with pytest.raises(TuningError, match=r"^the storage nowhere://x cannot be used: "):
        tune(storage="nowhere://x", offline=True)
    drawn = small_config(solver__epochs=3)
    drawn["dataset"].pop("seed", None)
    with pytest.raises(TuningError, match=r"write dataset\.seed in the config$"):
        barrage_mlflow.tune(
            drawn, SEARCH, TRAIN, VALIDATION, artifact_dir="out2", storage="sqlite:///x.db"
        )
    assert not Path("out2").exists()


def test_a_folder_is_of_one_storage_and_code_alone_may_change() -> None:
    def tune_with(storage: str | None, **options: Any) -> Any:
        return barrage_mlflow.tune(
            config, SEARCH, TRAIN, VALIDATION, artifact_dir="out", offline=True, threads=1,
            storage=storage, **options,
        )  # fmt: skip

    code = "import keras\nclass Own(keras.callbacks.Callback): pass\n"
    Path("own_calls.py").write_text(code, "utf-8")
    services = {**CONFIG["services"], "callbacks": [{"import": "own_calls.Own"}]}
    config = {**CONFIG, "services": services}
    shared = f"sqlite:///{Path.cwd()}/shared.db"
    tune_with(shared)
    with pytest.raises(ArtifactError, match=r"config \$\.search\.shared: only in A: true"):
        tune_with(None)
    Path("own_calls.py").write_text(code.replace("pass", "..."), "utf-8")
    with pytest.raises(ArtifactError, match=r"code own_calls\.py: has changed"):
        tune_with(shared, trials=3)
    tune_with(shared, trials=3, resume_anyway=True)
    assert pd.read_csv("out/trials.csv")["state"].tolist() == ["complete"] * 3


@pytest.mark.slow
def test_two_machines_search_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with folders of their own stand for them."""
    store, storage = f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/shared.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    # However fast the first one is, it leaves trials to the second.
    Path("waiting.py").write_text(
        "import keras, pathlib, time\n"
        "class Waiting(keras.callbacks.Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        until, second = time.monotonic() + 120, pathlib.Path('second/trials')\n"
        "        while time.monotonic() < until and not any(second.glob('*/run.json')):\n"
        "            time.sleep(0.1)\n",
        "utf-8",
    )
    services = {**CONFIG["services"], "callbacks": [{"import": "waiting.Waiting"}]}
    for name, value in (("config", {**CONFIG, "services": services}), ("search", SEARCH)):
        Path(f"{name}.json").write_text(json.dumps(value), "utf-8")
    TRAIN.to_csv("train.csv", index=False)
    VALIDATION.to_csv("validation.csv", index=False)
    files = ["config.json", "search.json", "train.csv", "validation.csv"]

    def start(folder: str, *options: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "barrage_mlflow", "tune", *files, "--trials", "6"]
        line += ["--threads", "1", "--artifact-dir", folder, "--storage", storage, *options]
        return subprocess.Popen(
            line,
            env=environment(MLFLOW_TRACKING_URI=store),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    first = start("first")
    while not any(Path("first/trials").glob("*/run.json")):
        assert first.poll() is None
        time.sleep(0.2)
    second = start("second")
    said = [process.communicate()[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said

    (summary,) = optuna.get_all_study_summaries(storage)
    study = optuna.load_study(study_name=summary.study_name, storage=storage)
    assert {trial.state.name for trial in study.trials} <= {"COMPLETE", "PRUNED"}
    owners = Counter(trial.user_attrs["owner"].rpartition("/")[2] for trial in study.trials)
    assert owners.total() == 6
    assert set(owners) == {"first", "second"}
    record = read_record(Path("first"))
    assert record is not None
    assert record.run_id is not None
    assert runs_under(record.run_id) == [f"trial {number}" for number in range(6)]
    assert len(mlflow.MlflowClient().search_runs(["0"])) == 7

    best = study.best_trial
    home = best.user_attrs["owner"].rpartition("/")[2]
    (model,) = mlflow.MlflowClient().search_logged_models(["0"])
    assert model.source_run_id == best.user_attrs["run"]
    assert (folder_of(Path(home), best.number) / "model" / "MLmodel").exists()
    for folder, text in zip(("first", "second"), said, strict=True):
        values = json.loads(Path(folder, "best_config.json").read_text("utf-8"))
        assert values["solver"]["optimizer"]["learning_rate"] == best.params[RATE]
        assert ("packaged where the trial was trained" in text) == (folder != home)
    changed = {**CONFIG, "solver": {**CONFIG["solver"], "batch_size": 32}}
    with pytest.raises(ArtifactError, match=r"another search was begun there, .* a new folder$"):
        barrage_mlflow.tune(
            changed, SEARCH, "train.csv", "validation.csv",
            artifact_dir="first", storage=storage, resume_anyway=True,
        )  # fmt: skip
