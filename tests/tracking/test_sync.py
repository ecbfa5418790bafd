"""MLflow brought up to an artifact folder: after a training offline, or without its server."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from runs import Call, Terminate, history, only_run
from servers import MlflowServer, deaf_server
from small import small_config, small_frame

from barrage_mlflow import ArtifactError, TrackingError, sync, train
from barrage_mlflow.tracking import find_holder
from barrage_mlflow.workspace.lock import locked

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)


def offline(folder: str = "out", **options: Any) -> Any:
    return train(small_config(), TRAIN, VALIDATION, artifact_dir=folder, offline=True, **options)


def told(run_id: str) -> dict[str, Any]:
    """All that MLflow holds of a run, but what is the run's alone."""
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    own = ("mlflow.", "barrage.git")
    (model,) = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    steps = {output.model_id: output.step for output in run.outputs.model_outputs}
    metrics = {metric.key: metric.value for metric in model.metrics}
    return {
        "status": run.info.status,
        "params": run.data.params,
        "metrics": history(run_id),
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith(own)},
        "inputs": sorted((i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs),
        "files": sorted(file.path for file in client.list_artifacts(run_id)),
        "model": (model.name, str(model.status), steps[model.model_id], metrics),
    }


def test_a_training_offline_is_logged_later_as_it_would_have_been(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "barrage_mlflow")
    result = offline(experiment="small", run_name="first", register="small")
    assert (result.run_id, result.model_uri) == (None, None)
    assert not Path("mlflow.db").exists()
    assert caplog.messages[-1] == "log it to MLflow with: barrage-mlflow sync out"
    run_id = sync("out")
    run = mlflow.get_run(run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert mlflow.get_experiment(run.info.experiment_id).name == "small"
    about = json.loads(Path("out/run.json").read_text("utf-8"))
    assert (about["run_id"], about["complete"]) == (run_id, True)
    assert (run.info.start_time, run.info.end_time) == (about["started"], about["ended"])
    points = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    assert all(about["started"] < point.timestamp < about["ended"] for point in points)
    assert mlflow.MlflowClient().get_model_version("small", "1").run_id == run_id
    model_uri = json.loads(Path("out/result.json").read_text("utf-8"))["model_uri"]
    scores = mlflow.pyfunc.load_model(model_uri).predict(VALIDATION)
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    assert told(run_id) == told(online.run_id)
    assert scores.equals(mlflow.pyfunc.load_model(online.model_uri).predict(VALIDATION))


def test_syncing_again_changes_nothing() -> None:
    offline(register="small")
    run_id = sync("out")
    before = told(run_id)
    assert sync("out") == run_id
    assert told(run_id) == before
    assert only_run().info.run_id == run_id
    versions = mlflow.MlflowClient().search_model_versions("name = 'small'")
    assert len(versions) == 1


def test_a_finished_training_is_registered_when_asked_later() -> None:
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out")
    assert result.version_uri is None
    before = told(result.run_id)
    client = mlflow.MlflowClient()
    again: dict[str, Any] = {"artifact_dir": "out", "resume": True}
    for wishes, version_uri in (
        ({"register": "small"}, "models:/small/1"),
        ({"register": "small", "alias": "champion"}, "models:/small/1"),
        ({"register": "small"}, "models:/small/1"),
        ({}, "models:/small/1"),
        ({"register": "other"}, "models:/other/1"),
    ):
        found = train(small_config(), TRAIN, VALIDATION, **again, **wishes)
        assert (found.version_uri, found.model_uri) == (version_uri, result.model_uri)
    assert find_holder("small", "champion") == "1"
    assert client.get_registered_model("other").aliases == {}
    versions = client.search_model_versions()
    assert sorted(each.name for each in versions) == ["other", "small"]
    assert {each.source for each in versions} == {result.model_uri}
    assert told(result.run_id) == before


def test_a_sync_that_was_cut_off_is_completed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    offline()
    with monkeypatch.context() as broken:
        broken.setattr(mlflow.MlflowClient, "log_model_artifacts", _fail)
        with pytest.raises(TrackingError, match=r"could not log the model: disk full$"):
            sync("out")
    run_id = sync("out")
    assert told(run_id)["status"] == "FINISHED"
    (model,) = mlflow.search_logged_models(output_format="list")
    assert str(model.status) == "READY"


def _fail(*_: Any, **__: Any) -> None:
    raise OSError("disk full")


def test_a_training_that_was_killed_offline_is_logged_as_killed() -> None:
    with pytest.raises(KeyboardInterrupt):
        offline(callbacks=[Terminate(1, 1)])
    run_id = sync("out")
    run = mlflow.get_run(run_id)
    assert (run.info.status, run.data.tags["barrage.error"]) == (
        "KILLED",
        "KeyboardInterrupt: SIGTERM",
    )
    assert sorted({step for _, step, _ in history(run_id)}) == [1]
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out", resume=True)
    assert result.run_id == run_id
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    assert history(run_id) == history(online.run_id)
    assert "barrage.error" not in mlflow.get_run(run_id).data.tags


def test_a_process_that_was_killed_is_told_by_sync() -> None:
    offline()
    about = json.loads(Path("out/run.json").read_text("utf-8"))
    Path("out/run.json").write_text(json.dumps({**about, "status": "RUNNING"}), "utf-8")
    Path("out/result.json").unlink()
    run = mlflow.get_run(sync("out"))
    assert (run.info.status, run.data.tags["barrage.error"]) == (
        "KILLED",
        "the process was killed",
    )


def test_a_training_goes_on_without_mlflow_and_with_it_again() -> None:
    with pytest.raises(KeyboardInterrupt):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="out", callbacks=[Terminate(1, 1)])
    run = only_run()
    result = offline(resume=True)
    assert (result.run_id, result.model_uri) == (run.info.run_id, None)
    assert mlflow.get_run(result.run_id).info.status == "KILLED"
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out", resume=True)
    assert result.model_uri is not None
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    found, expected = told(run.info.run_id), told(online.run_id)
    assert found["tags"].pop("barrage.resumed_at") == "epoch 2, batch 3"
    assert found == expected


def test_a_training_that_began_offline_goes_on_in_a_run() -> None:
    with pytest.raises(KeyboardInterrupt):
        offline(callbacks=[Terminate(1, 1)])
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out", resume=True)
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    assert result.run_id is not None
    found, expected = told(result.run_id), told(online.run_id)
    assert found["tags"].pop("barrage.resumed_at") == "epoch 2, batch 3"
    assert found == expected
    about = json.loads(Path("out/run.json").read_text("utf-8"))
    assert mlflow.get_run(result.run_id).info.start_time == about["started"]


def test_what_is_no_training_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"^nowhere: holds no training; expected an artifact"):
        sync("nowhere")
    offline()
    with locked(Path("out")), pytest.raises(ArtifactError, match="out is in use by process"):
        sync("out")


def test_a_store_that_lost_the_run_gets_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(small_config(), TRAIN, VALIDATION, artifact_dir="out")
    assert first.run_id is not None
    before = told(first.run_id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    mlflow.MlflowClient().search_experiments()
    with pytest.raises(TrackingError, match=rf"has no run '{first.run_id}'") as caught:
        sync("out")
    assert caught.value.__notes__[0].startswith(f"run {first.run_id} was begun at sqlite:///")
    run_id = sync("out", new_run=True)
    assert run_id != first.run_id
    assert told(run_id) == before


def test_the_callers_own_run_stays_open() -> None:
    offline()
    with mlflow.start_run() as own:
        sync("out")
        active = mlflow.active_run()
        assert active is not None
        assert active.info.run_id == own.info.run_id
        assert mlflow.get_run(own.info.run_id).info.status == "RUNNING"


def test_a_run_that_was_finished_elsewhere_is_left_alone() -> None:
    with pytest.raises(KeyboardInterrupt):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="here", callbacks=[Terminate(1, 1)])
    run_id = str(only_run().info.run_id)
    train(small_config(), TRAIN, VALIDATION, artifact_dir="there", resume=run_id)
    before = told(run_id)
    with pytest.raises(ArtifactError, match=f"^run {run_id} was finished elsewhere: here holds an"):
        sync("here")
    assert told(run_id) == before


def test_a_new_run_is_remembered_though_the_sync_breaks_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    offline()
    with monkeypatch.context() as broken:
        broken.setattr("barrage_mlflow.tracking.attach_run", _fail)
        with pytest.raises(OSError, match="disk full"):
            sync("out")
    assert sync("out") == only_run().info.run_id


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with MlflowServer(tmp_path) as started:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", started.uri)
        monkeypatch.setattr(
            "barrage_mlflow.tracking.run._FLUSH_TIMEOUTS",
            dict.fromkeys(("FINISHED", "FAILED", "KILLED"), 2),
        )
        yield started


@pytest.mark.slow
def test_a_server_that_is_gone_at_the_end_costs_nothing_but_a_word(
    server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    result = train(
        small_config(), TRAIN, VALIDATION, artifact_dir="out", callbacks=[Call(0, server.kill)]
    )
    assert result.model_uri is None
    assert result.run_id is not None
    assert caplog.messages[-1].endswith(
        "\nthe training is complete and kept in out; log it to MLflow with: barrage-mlflow sync out"
    )
    assert mlflow.active_run() is None
    server.start()
    assert mlflow.get_run(result.run_id).info.status == "RUNNING"
    assert sync("out") == result.run_id
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    assert told(result.run_id) == told(online.run_id)


@pytest.mark.slow
def test_a_server_that_restarts_in_mid_training_gets_it_all(
    server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = small_config(solver__epochs=6)
    result = train(
        config,
        TRAIN,
        VALIDATION,
        artifact_dir="out",
        callbacks=[Call(1, server.kill), Call(3, server.start)],
    )
    online = train(config, TRAIN, VALIDATION, artifact_dir="online")
    assert result.run_id is not None
    assert told(result.run_id) == told(online.run_id)


@pytest.mark.slow
def test_an_interrupted_training_ends_in_time_whatever_its_server_does(
    server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = []

    def hang() -> None:
        server.kill()
        stack.append(deaf_server(server.port))
        stack[-1].__enter__()
        began.append(time.monotonic())

    stack: list[Any] = []
    with pytest.raises(KeyboardInterrupt):
        train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="out",
            callbacks=[Call(0, hang), Terminate(1, 1)],
        )
    ended = time.monotonic()
    stack[-1].__exit__(None, None, None)
    assert ended - began[0] < 10
    assert json.loads(Path("out/run.json").read_text("utf-8"))["status"] == "KILLED"
    server.start()
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out", resume=True)
    online = train(small_config(), TRAIN, VALIDATION, artifact_dir="online")
    assert result.run_id is not None
    assert history(result.run_id) == history(online.run_id)
