"""MLflow brought up to an artifact folder after a training, offline or without its server."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from runs import Terminate, history, only_run
from small import TRAIN, VALIDATION, small_config
from trained import begun, held, interrupt, run_of, train, train_epoch, train_offline

import barrage_mlflow
from barrage_mlflow import ArtifactError, TrackingError, sync
from barrage_mlflow.tracking import publisher
from barrage_mlflow.tracking.registry import find_holder
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import read_record


def test_a_training_offline_is_logged_later_as_it_would_have_been() -> None:
    train_offline(experiment="small", run_name="first", register="small", alias="champion")
    assert not Path("mlflow.db").exists()
    with mlflow.start_run() as own:
        run_id = sync("out")
        # The caller's own run stays open.
        mlflow.log_param("mine", 1)
        assert mlflow.get_run(own.info.run_id).data.params == {"mine": "1"}
        assert mlflow.get_run(own.info.run_id).info.status == "RUNNING"
    run, record = mlflow.get_run(run_id), read_record(Path("out"))
    assert record is not None
    assert run.info.run_name == "first"
    assert mlflow.get_experiment(run.info.experiment_id).name == "small"
    assert (record.run_id, record.published) == (run_id, True)
    assert (run.info.start_time, run.info.end_time) == (record.started, record.ended)
    points = MlflowClient().get_metric_history(run_id, "loss")
    assert all(record.started <= point.timestamp <= int(record.ended or 0) for point in points)
    assert find_holder("small", "champion") == "1"
    assert held(run_id) == held(train("online"))


def test_a_sync_that_was_cut_off_is_completed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it was: of every call that it makes each is the last of one sync."""
    train_offline(register="small")
    calls = 0
    call = publisher.Store.call

    def cut_off(self: Any, act: str, *given: Any, **options: Any) -> Any:
        nonlocal calls
        calls -= 1
        if calls == 0:
            raise KeyboardInterrupt
        return call(self, act, *given, **options)

    monkeypatch.setattr(publisher.Store, "call", cut_off)
    for last in range(1, 100):
        calls = last
        try:
            sync("out")
        except KeyboardInterrupt:
            continue
        break
    assert 10 < last < 40
    monkeypatch.setattr(publisher.Store, "call", call)
    found = held(sync("out"))
    assert found == held(train("online"))
    assert len(MlflowClient().search_model_versions("name = 'small'")) == 1


def test_a_process_that_was_killed_is_reported_by_sync() -> None:
    with begun() as work:
        train_epoch(work, 1)
    found = held(sync("out"))
    assert (found["status"], found["tags"]["barrage.error"]) == (
        "KILLED",
        "the process was killed",
    )
    assert found["metrics"] == [("loss", 1, 1.0), ("val_loss", 1, 2.0)]
    # It had come to its end, and was killed while that was published.
    train_offline("other")
    with begun("other", best_epoch=3):
        pass
    found = held(sync("other"))
    assert (found["status"], len(found["models"])) == ("FINISHED", 1)
    assert "barrage.error" not in found["tags"]


def test_what_is_no_training_cannot_be_synced() -> None:
    with pytest.raises(ArtifactError, match=r"^nowhere: holds no training; expected an artifact"):
        sync("nowhere")
    assert not Path("nowhere").exists()
    train_offline()
    with locked(Path("out")), pytest.raises(ArtifactError, match="out is in use by process"):
        sync("out")


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    private = tmp_path / "private" / "key.json"
    private.parent.mkdir()
    private.write_text('{"key": "private"}')
    train_offline()
    for name in ("notes.txt", "partial-run.json", "model/data/key", "tensorboard/key"):
        Path("out", name).symlink_to(private)
    Path("out/evaluation").symlink_to(private.parent)
    found = held(sync("out"))
    assert found == held(train("online"))
    record = read_record(Path("out"))
    assert record is not None
    fetched = mlflow.artifacts.download_artifacts(str(record.model_uri))
    assert not Path(fetched, "data/key").exists()
    Path("out/resolved_config.json").unlink()
    for name in ("lock", "resolved_config.json"):
        Path("out", name).symlink_to(private)
    with pytest.raises(ArtifactError, match=r"^out: the folder cannot be written to \(.* links"):
        sync("out")
    Path("out/lock").unlink()
    assert "key" not in held(sync("out", new_run=True))["params"]
    assert private.read_text() == '{"key": "private"}'


def test_a_store_that_lost_the_run_gets_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = train(register="small")
    before = held(first)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    with pytest.raises(TrackingError, match=rf"has no run '{first}'") as caught:
        sync("out")
    assert caught.value.__notes__[0].startswith(f"run {first} was begun at sqlite:///")
    second = sync("out", new_run=True)
    assert second != first
    assert held(second) == before
    assert MlflowClient().get_model_version("small", "1").run_id == second


def test_a_run_that_was_finished_elsewhere_is_left_alone() -> None:
    run_id = interrupt("here")
    train("there", run_id=run_id)
    before = held(run_id)
    with pytest.raises(ArtifactError, match=f"^run {run_id} was finished elsewhere: here has an"):
        sync("here")
    assert held(run_id) == before


# The whole path, through a real training.


def train_here(folder: str = "out", **options: Any) -> Any:
    return barrage_mlflow.train(small_config(), TRAIN, VALIDATION, artifact_dir=folder, **options)


def test_a_training_that_began_offline_goes_on_in_a_run_and_without_it_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "barrage_mlflow")
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train_here(offline=True, callbacks=[Terminate(0, 1)])
    assert not Path("mlflow.db").exists()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train_here(resume=True, callbacks=[Terminate(1, 1)])
    run_id = run_of()
    assert only_run().info.status == "KILLED"
    result = train_here(resume=True, offline=True, register="small")
    assert (result.run_id, result.model_uri) == (run_id, None)
    assert caplog.messages[-1] == "log it to MLflow with: barrage-mlflow sync out"
    assert sync("out") == run_id
    online = train_here("online", register="small")
    found, expected = held(run_id), held(online.run_id)
    assert found["tags"].pop("barrage.resumed_at") == "epoch 2, batch 3"
    # Each process writes a file of its own for TensorBoard.
    tops = [{name.partition("/")[0] for name in each.pop("files")} for each in (found, expected)]
    assert tops[0] == tops[1]
    assert found == expected
    model_uri = MlflowClient().get_model_version("small", "1").source
    scores = [
        mlflow.pyfunc.load_model(uri).predict(VALIDATION) for uri in (model_uri, online.model_uri)
    ]
    assert scores[0].equals(scores[1])
    assert history(run_id) == history(online.run_id)


def test_a_finished_training_is_registered_when_asked_later() -> None:
    result = train_here()
    assert result.version_uri is None
    before = held(result.run_id)
    for wishes, version_uri in (
        ({"register": "small"}, "models:/small/1"),
        ({"register": "small", "alias": "champion"}, "models:/small/1"),
        ({"register": "small"}, "models:/small/1"),
        ({}, "models:/small/1"),
        ({"register": "other"}, "models:/other/1"),
    ):
        found = train_here(resume=True, **wishes)
        assert (found.version_uri, found.model_uri) == (version_uri, result.model_uri)
    assert find_holder("small", "champion") == "1"
    versions = MlflowClient().search_model_versions()
    assert sorted(each.name for each in versions) == ["other", "small"]
    assert {each.source for each in versions} == {result.model_uri}
    assert held(result.run_id) == before
