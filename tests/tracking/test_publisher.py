"""A run in a real SQLite store, brought up to its artifact folder, with its true status."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from outside import wait_for
from runs import history, only_run
from trained import (
    CONFIG,
    begun,
    figures,
    files,
    held,
    interrupt,
    package,
    published,
    run_of,
    train,
    train_and_raise,
    train_epoch,
)

from barrage_mlflow import RecordError, sync
from barrage_mlflow.tracking.registry import find_holder
from barrage_mlflow.tracking.runs import ending_project_run

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("quick")


def test_a_run_has_all_that_the_folder_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = mlflow.set_experiment("other")
    caplog.set_level(logging.INFO, "barrage_mlflow")
    values = {"experiment": "birds", "run_name": "first", "register": "birds", "alias": "champion"}
    with published(**values, started=1_700_000_000_000) as work:
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == work.record.run_id
        mlflow.log_param("by_a_component", 1)
        for epoch in (1, 2, 3):
            train_epoch(work, epoch)
        package(work, 2)
        (work.folder / "evaluation").mkdir()
        (work.folder / "evaluation/confusion.png").write_bytes(b"png")
        described = Path("out/model/MLmodel").read_bytes()
    assert mlflow.active_run() is None
    record = work.record
    assert record.published
    assert record.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    run_id = str(record.run_id)
    assert held(run_id) == {
        "status": "FINISHED",
        "params": {"solver.epochs": "3", "solver.batch_size": "16", "by_a_component": "1"}
        | {"services": "{}"},
        "metrics": [
            *[(name, 2, value) for name, value in figures(2).items()],
            *[("loss", epoch, 1 / epoch) for epoch in (1, 2, 3)],
            *[("val_loss", epoch, 2 / epoch) for epoch in (1, 2, 3)],
        ],
        "tags": {"barrage.version": "0.1.0"},
        "inputs": [("train", "5f2b"), ("validation", "81c0")],
        "files": [
            "checkpoints/best.weights.h5",
            "code/project/loaders.py",
            "config.json",
            "evaluation/confusion.png",
            "metrics.jsonl",
            "resolved_config.json",
            "run.json",
            "tensorboard/train/events",
            "training_report.csv",
        ],
        "models": [("READY", 2, figures(2))],
    }
    run = mlflow.get_run(run_id)
    assert run.info.run_name == "first"
    assert (run.info.start_time, run.info.end_time) == (record.started, record.ended)
    assert mlflow.get_experiment(run.info.experiment_id).name == "birds"
    assert mlflow.get_experiment_by_name("birds").experiment_id == record.experiment_id
    assert (record.version_uri, find_holder("birds", "champion")) == ("models:/birds/1", "1")
    version = MlflowClient().get_model_version("birds", "1")
    assert (version.run_id, version.source) == (run_id, record.model_uri)
    assert {name: float(value) for name, value in version.tags.items()} == figures(2)
    # The folder's own model is as it was; that in MLflow knows its names there.
    assert Path("out/model/MLmodel").read_bytes() == described
    model = mlflow.models.Model.load(str(record.model_uri))
    assert (model.run_id, f"models:/{model.model_id}") == (run_id, record.model_uri)
    fetched = Path(mlflow.artifacts.download_artifacts(str(record.model_uri)))
    assert (fetched / "code/barrage_mlflow/errors.py").is_file()
    # Publishing it again changes nothing.
    before = held(run_id)
    assert sync("out") == run_id == only_run().info.run_id
    assert held(run_id) == before
    assert len(MlflowClient().search_model_versions("name = 'birds'")) == 1
    # The caller's experiment stays his own, and nothing is said where all is well.
    with mlflow.start_run() as own:
        assert own.info.experiment_id == other.experiment_id
    assert [each for each in caplog.records if each.name.startswith("barrage_mlflow")] == []


def test_metrics_tags_and_config_are_there_while_training_goes_on() -> None:
    with published() as work:
        train_epoch(work, 1)
        work.update(tags={**work.record.tags, "barrage.resumed_at": "epoch 2, batch 3"})
        run_id = str(work.record.run_id)
        wait_for(lambda: len(files(run_id)) >= 4)
        found = held(run_id)
        package(work, 1)
    assert found["status"] == "RUNNING"
    assert found["metrics"] == [("loss", 1, 1.0), ("val_loss", 1, 2.0)]
    assert found["tags"]["barrage.resumed_at"] == "epoch 2, batch 3"
    assert found["files"] == [
        "code/project/loaders.py",
        "config.json",
        "resolved_config.json",
        "run.json",
    ]


def test_a_thousand_epochs_take_few_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    log = MlflowClient.log_batch

    def count(self: Any, run_id: str, metrics: Any = (), **options: Any) -> Any:
        sizes.extend([len(metrics)] if metrics else [])
        return log(self, run_id, metrics=metrics, **options)

    monkeypatch.setattr(MlflowClient, "log_batch", count)
    with begun() as work, work.attempt():
        for epoch in range(1, 1_001):
            work.history.add(epoch, {f"m{number}": epoch / 7 for number in range(10)})
        package(work, 1_000)
    sync("out")
    assert (len(sizes), sum(sizes), sizes[-2:]) == (6, 10_022, [11, 11])  # the model's own last
    sync("out")
    assert len(sizes) == 6
    assert len(history(only_run().info.run_id)) == 10_011


def test_a_training_goes_on_in_its_run_whatever_experiment_is_active() -> None:
    mlflow.set_experiment("scratch")
    run_id = interrupt(experiment="other")
    killed = held(run_id)
    assert (killed["status"], killed["models"]) == ("KILLED", [])
    assert killed["tags"]["barrage.error"] == "KeyboardInterrupt: SIGTERM"
    assert "checkpoints/best.weights.h5" in killed["files"]
    with published(experiment="other") as work:
        work.history.cut(0)  # its epoch is trained again, at another time
        for epoch in (1, 2, 3):
            train_epoch(work, epoch)
        package(work, 1)
    assert work.record.run_id == run_id
    mlflow.set_experiment("other")
    whole = train("whole", experiment="other")
    found, expected = held(run_id), held(whole)
    assert found.pop("models") == [("READY", 1, figures(1))]
    del expected["models"]
    best = [("best_epoch", 1, 1), ("best_loss", 1, 1.0), ("best_val_loss", 1, 2.0)]
    expected["metrics"][:3] = best  # the third epoch's
    assert found == expected


def test_within_an_active_run_it_is_a_child() -> None:
    with mlflow.start_run() as parent:
        # Components open a run and leave it, or end this one: they do not have the last word.
        with pytest.raises(RecordError, match="no records"):
            train_and_raise(
                RecordError("train.csv holds no records"),
                act=lambda work: mlflow.start_run(run_name="left", nested=True),
            )
        interrupt("other", act=lambda work: mlflow.end_run())
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == parent.info.run_id
    run = mlflow.get_run(run_of())
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    statuses = [
        mlflow.get_run(run_id).info.status
        for run_id in (parent.info.run_id, run_of(), run_of("other"))
    ]
    assert statuses == ["FINISHED", "FAILED", "KILLED"]


def test_a_component_that_turns_to_another_store(tmp_path: Path) -> None:
    here = mlflow.get_tracking_uri()
    try:
        with published() as work:
            mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
            train_epoch(work, 1)
            package(work, 1)
    finally:
        mlflow.set_tracking_uri(None)
        os.environ["MLFLOW_TRACKING_URI"] = here  # which MLflow has changed as well
    found = held(str(work.record.run_id))
    assert (found["status"], len(found["metrics"])) == ("FINISHED", 5)


@pytest.fixture
def project_run(monkeypatch: pytest.MonkeyPatch) -> str:
    """The run that `mlflow run` opens, with a param as it was typed."""
    client = MlflowClient()
    run_id = str(client.create_run("0").info.run_id)
    client.log_param(run_id, "solver.epochs", "3e0")
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def test_under_mlflow_run_its_run_is_used_and_its_params_stay(
    project_run: str, caplog: pytest.LogCaptureFixture
) -> None:
    long = {f"p{number}": "x" for number in range(250)}
    run_id = train(experiment="birds", run_name="named", config={**CONFIG, "long": long})
    assert run_id == project_run
    assert "MLFLOW_RUN_ID" not in os.environ
    assert caplog.messages == [
        "the experiment 'birds' is left aside: the run was opened by `mlflow run`, whose "
        "--experiment-name says where"
    ]
    params = mlflow.get_run(run_id).data.params
    assert (len(params), params["solver.epochs"], params["long.p0"]) == (253, "3e0", "x")
    assert mlflow.get_run(run_id).info.run_name == "named"
    assert train("second") != run_id


def test_the_run_that_mlflow_opened_leads_to_the_one_that_goes_on(project_run: str) -> None:
    opened = os.environ.pop("MLFLOW_RUN_ID")
    before = interrupt(experiment="other")
    mlflow.set_experiment("scratch")
    os.environ["MLFLOW_RUN_ID"] = opened
    assert train(experiment="other") == before
    assert mlflow.get_run(before).info.status == "FINISHED"
    run = mlflow.get_run(project_run)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {})
    assert run.data.tags["barrage.resumed_run"] == before


def test_an_interruption_before_the_run_is_opened_ends_the_project_run(project_run: str) -> None:
    with pytest.raises(KeyboardInterrupt, match=r"^$"), ending_project_run():
        raise KeyboardInterrupt
    found = mlflow.get_run(project_run)
    assert (found.info.status, found.data.tags["barrage.error"]) == ("KILLED", "KeyboardInterrupt")


def test_what_the_process_takes_of_the_machine_is_logged_where_mlflow_is_set_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("psutil")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")  # as enable_… does
    with published() as work:
        train_epoch(work, 1)
        run_id = str(work.record.run_id)
        wait_for(lambda: "system/cpu_utilization_percentage" in mlflow.get_run(run_id).data.metrics)
        package(work, 1)
    assert mlflow.get_run(run_id).info.status == "FINISHED"
    assert not any(each.name == "SystemMetricsMonitor" for each in threading.enumerate())
    found = held(sync("out"))["metrics"]
    assert [each for each in found if not each[0].startswith(("best_", "system/"))] == [
        ("loss", 1, 1.0),
        ("val_loss", 1, 2.0),
    ]


def test_two_threads_train_at_once() -> None:
    def train_in_thread(number: int) -> str:
        with published(f"out{number}", experiment="birds") as work:
            for epoch in range(1, 20):
                train_epoch(work, epoch, loss=number + epoch / 100)
            mlflow.log_param("component", number)
            package(work, 1)
        return str(work.record.run_id)

    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(train_in_thread, range(2)))
    for number, run_id in enumerate(runs):
        found = held(run_id)
        assert (found["status"], found["params"]["component"]) == ("FINISHED", str(number))
        expected = [("loss", epoch, number + epoch / 100) for epoch in range(1, 20)]
        best = figures(1, loss=number + 0.01)
        assert found["metrics"] == [*[(name, 1, best[name]) for name in best], *expected]


@pytest.mark.slow
def test_two_processes_begin_on_one_new_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/new.db")
    code = "import trained; print(trained.train({!r}, experiment='birds'))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code.format(name)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    for output, _ in outputs:
        assert held(output.split()[-1])["status"] == "FINISHED"
