"""Going on with a run from MLflow's artifacts, in another folder, as another machine would."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from runs import Call, Terminate, history, only_run
from small import small_config, small_frame
from test_resuming import outcome

from barrage_mlflow import ArtifactError, TrackingError, train

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)


def interrupt(epoch: int = 1, **options: Any) -> str:
    """Begin a training and interrupt it; give the id of its run, whose folder is gone."""
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="here",
            **{"callbacks": [Terminate(epoch, 1)], **options},
        )
    shutil.rmtree("here")
    run = only_run()
    assert run.info.status == "KILLED"
    return str(run.info.run_id)


def go_on(run_id: str, folder: str | None = "there", **options: Any) -> Any:
    return train(small_config(), TRAIN, VALIDATION, artifact_dir=folder, resume=run_id, **options)


def slots(run_id: str) -> dict[str, Path]:
    """The folders of the slots in MLflow's store."""
    home = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"), "resume")
    return {path.name: path for path in sorted(home.iterdir())}


def test_a_run_goes_on_elsewhere_as_if_it_had_never_stopped() -> None:
    run_id = interrupt()
    result = go_on(run_id)
    assert (result.run_id, result.artifact_dir) == (run_id, Path("there"))
    run = mlflow.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["barrage.resumed_at"] == "epoch 2, batch 3"
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("there") == outcome("whole")
    assert history(run_id) == history(whole.run_id)
    assert result.metrics == whole.metrics


def test_what_mlflow_has_beyond_the_checkpoint_is_not_doubled() -> None:
    run_id = interrupt()
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    # The process was killed some epochs later, with no checkpoint of them in MLflow.
    client = mlflow.MlflowClient()
    for key, step, value in history(whole.run_id):
        if step > 1:
            client.log_metric(run_id, key, float(value), timestamp=1, step=step)
    result = go_on(run_id)
    assert result.best_epoch > 1
    assert history(run_id) == history(whole.run_id)
    model = client.get_logged_model(result.model_uri.removeprefix("models:/"))
    assert {(point.key, point.value) for point in model.metrics} == set(result.metrics.items())


def test_it_goes_on_in_its_own_folder_where_that_is_still_there() -> None:
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(small_config(), TRAIN, VALIDATION, callbacks=[Terminate(1, 1)])
    run_id = only_run().info.run_id
    (folder,) = Path("artifacts").iterdir()
    assert go_on(run_id, None).artifact_dir == folder
    with pytest.raises(ArtifactError, match=rf"{folder} holds the run {run_id}, not {'0' * 32}"):
        go_on("0" * 32, str(folder))


def test_a_run_is_fetched_into_a_folder_of_its_name() -> None:
    run_id = interrupt()
    folder = go_on(run_id, None, callbacks=[]).artifact_dir
    assert folder.name.endswith(run_id)
    assert folder.parent == Path("artifacts")


def test_two_slots_are_written_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Every checkpoint is copied, though the last was only just.
    monkeypatch.setattr("barrage_mlflow.tracking.checkpoints._REST", 0)
    run_id = interrupt(2)
    assert list(slots(run_id)) == ["a", "b"]
    files = {
        path.relative_to(slot).as_posix()
        for slot in slots(run_id).values()
        for path in slot.rglob("*")
        if path.is_file()
    }
    assert files == {
        "manifest.json",
        "config.json",
        "resolved_config.json",
        "run.json",
        "metrics.jsonl",
        "training_report.csv",
        "checkpoints/best.weights.h5",
        "checkpoints/resume/newest.npz",
    }


def damage(slot: Path) -> None:
    with (slot / "checkpoints/resume/newest.npz").open("r+b") as file:
        file.seek(200)
        file.write(b"damaged")


def test_a_damaged_slot_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "barrage_mlflow")
    run_id = interrupt()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        go_on(run_id, "second", callbacks=[Terminate(2, 1)])
    newest = max(
        slots(run_id).values(), key=lambda slot: (slot / "manifest.json").stat().st_mtime_ns
    )
    damage(newest)
    go_on(run_id, "third")
    assert (
        f"a resume checkpoint of run {run_id} is damaged (resume/{newest.name}: "
        "checkpoints/resume/newest.npz)"
    ) in caplog.messages
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("third") == outcome("whole")
    assert history(run_id) == history(whole.run_id)


def test_a_run_without_a_whole_checkpoint_is_refused() -> None:
    run_id = interrupt()
    for slot in slots(run_id).values():
        damage(slot)
    message = (
        rf"^run {run_id} \(KILLED\) holds no whole resume checkpoint \(resume/b: checkpoints/"
        r"resume/newest\.npz; resume/a: checkpoints/resume/newest\.npz\); train from the start, "
        r"in a new folder$"
    )
    with pytest.raises(ArtifactError, match=message):
        go_on(run_id)
    assert not Path("there").exists()
    with mlflow.start_run() as other:
        pass
    with pytest.raises(ArtifactError, match=r"holds no whole resume checkpoint \(it was killed"):
        go_on(other.info.run_id)
    with pytest.raises(TrackingError, match=rf"has no run '{'0' * 32}': correct the ID"):
        go_on("0" * 32)


def test_a_change_is_refused_there_too() -> None:
    run_id = interrupt()
    with pytest.raises(ArtifactError, match=r"^there: what was begun there has changed since:\n"):
        go_on(run_id, overrides={"solver.epochs": 4})


def test_a_failed_copy_does_not_hurt(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "barrage_mlflow")
    monkeypatch.setattr("barrage_mlflow.tracking.checkpoints._REST", 0)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("store is full")

    with monkeypatch.context() as broken:

        def begin() -> None:
            broken.setattr("mlflow.MlflowClient.log_artifact", fail)

        result = train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="out",
            callbacks=[Call(0, begin), Call(2, broken.undo)],
        )
    assert mlflow.get_run(result.run_id).info.status == "FINISHED"
    assert [record for record in caplog.records if record.name.startswith("barrage")] == []


def test_a_slot_is_sent_whole_by_each_process() -> None:
    run_id = interrupt()
    for slot in slots(run_id).values():
        # As an upload leaves it that was killed after it had replaced the best weights.
        (slot / "checkpoints/best.weights.h5").write_bytes(b"of a later epoch")
        (slot / "checkpoints/resume/newest.npz").unlink()
    with pytest.raises(ArtifactError, match="holds no whole resume checkpoint"):
        go_on(run_id)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="again", callbacks=[Terminate(1, 1)])
    other = {run.info.run_id for run in mlflow.search_runs(output_format="list")} - {run_id}
    (again,) = other
    (slots(again)["a"] / "checkpoints/best.weights.h5").write_bytes(b"of a later epoch")
    (slots(again)["b"] / "checkpoints/best.weights.h5").write_bytes(b"of a later epoch")
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="again",
            resume=True,
            callbacks=[Terminate(2, 1)],
        )
    go_on(again)
    train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("there") == outcome("whole")


def test_a_process_that_was_killed_while_it_fetched_is_made_good() -> None:
    run_id = interrupt()
    Path("there/fetching").mkdir(parents=True)
    Path("there/checkpoints").mkdir()
    Path("there/config.json").write_text("{}")
    go_on(run_id)
    train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("there") == outcome("whole")
    assert not Path("there/fetching").exists()
