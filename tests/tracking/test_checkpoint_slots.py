"""Resume checkpoints among a run's artifacts, and going on from them as another machine would."""

from __future__ import annotations

import json
import logging
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import mlflow
import pytest
from outside import wait_for
from runs import Terminate, history
from small import TRAIN, VALIDATION, small_config
from trained import (
    IN_MLFLOW,
    files,
    interrupt,
    package,
    published,
    run_of,
    train_epoch,
    write,
)

import barrage_mlflow
from barrage_mlflow import ArtifactError, TrackingError
from barrage_mlflow.tracking import checkpoint_slots
from barrage_mlflow.tracking.checkpoint_slots import fetch_training
from barrage_mlflow.tracking.store import Store


def slot_files(run_id: str) -> dict[str, Path]:
    """The slots' files in MLflow's store."""
    home = Path(mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"), "resume")
    return {path.name: path for path in sorted(home.glob("*"))}


def checkpoints_of(run_id: str) -> set[str]:
    """The names of the checkpoints in the slots, as far as they are there and whole."""
    found = set()
    for path in slot_files(run_id).values():
        if path.suffix == ".json":
            with suppress(ValueError):
                found.add(json.loads(path.read_text("utf-8"))["checkpoint"])
    return found


@pytest.mark.usefixtures("quick")
def test_the_last_two_are_there_while_training_goes_on_and_gone_when_it_has_finished() -> None:
    with published(config=IN_MLFLOW) as work:
        for epoch in (1, 2, 3):
            train_epoch(work, epoch)
            wait_for(lambda name=f"step-{epoch:09}.npz": name in checkpoints_of(run_of()))
        found = checkpoints_of(run_of())
        assert sorted(slot_files(run_of())) == ["a.json", "a.zip", "b.json", "b.zip"]
        package(work, 3)
    assert found == {"step-000000002.npz", "step-000000003.npz"}
    assert not any(name.startswith("resume/") for name in files(run_of()))


def test_they_are_sent_only_where_the_config_asks_for_it() -> None:
    run_id = interrupt()
    assert not any(name.startswith("resume/") for name in files(run_id))
    message = (
        rf"^run {run_id} \(KILLED\) has no whole resume checkpoint in MLflow, which gets them with "
        r'\{"services": \{"resume_checkpoint": \{"in_mlflow": true\}\}\}: train from the start, in '
        r"a new folder$"
    )
    with pytest.raises(ArtifactError, match=message):
        fetch_training(run_id, Path("there"))
    with pytest.raises(TrackingError, match=rf"has no run '{'0' * 32}': correct the ID"):
        fetch_training("0" * 32, Path("there"))
    assert [path.name for path in Path().iterdir() if path.is_dir()] == ["mlruns", "out"]


def test_what_is_fetched_is_all_that_a_training_needs(caplog: pytest.LogCaptureFixture) -> None:
    run_id = interrupt(config=IN_MLFLOW, act=lambda work: write(work.folder / TRANSFORMER, "{}"))
    fetch_training(run_id, Path("there"))
    fetched = sorted(p.relative_to("there").as_posix() for p in Path("there").rglob("*.*"))
    assert fetched == [
        "checkpoints/resume/step-000000001.npz",
        "code/project/loaders.py",
        "config.json",
        "metrics.jsonl",
        TRANSFORMER,
        "resolved_config.json",
        "run.json",
    ]
    for name in fetched:
        if name != "run.json":
            assert Path("there", name).read_bytes() == Path("out", name).read_bytes()
    assert run_of("there") == run_id
    with pytest.raises(ArtifactError, match=r"^there already holds a run; nothing is overwritten"):
        fetch_training(run_id, Path("there"))
    # It goes on in its run, in the other slot.
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), published("there", IN_MLFLOW) as work:
        go_on(work)
    assert checkpoints_of(run_id) == {"step-000000001.npz", "step-000000002.npz"}
    write(slot_files(run_id)["b.zip"], "cut off")
    fetch_training(run_id, Path("elsewhere"))
    assert Path("elsewhere/checkpoints/resume/step-000000001.npz").exists()
    assert f"resume checkpoint resume/b of run {run_id} is damaged" in caplog.messages
    write(slot_files(run_id)["a.json"], "torn")
    with pytest.raises(ArtifactError, match="has no whole resume checkpoint in MLflow"):
        fetch_training(run_id, Path("nowhere"))
    assert not Path("nowhere").exists()


def test_the_last_that_was_sent_is_the_newest_whatever_its_steps() -> None:
    """As after `--resume-anyway` with fewer records."""
    newest = "checkpoints/resume/step-000000009.npz"
    run_id = interrupt(config=IN_MLFLOW, act=lambda work: write(work.folder / newest, "9"))
    Path("out", newest).unlink()
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), published(config=IN_MLFLOW) as work:
        go_on(work)
    assert checkpoints_of(run_id) == {"step-000000002.npz", "step-000000009.npz"}
    fetch_training(run_id, Path("there"))
    assert Path("there/checkpoints/resume/step-000000002.npz").exists()


def test_a_checkpoint_may_be_replaced_while_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = interrupt(config=IN_MLFLOW)
    checkpoint = Path("out/checkpoints/resume/step-000000003.npz")
    write(checkpoint, "3")
    numbers = checkpoint_slots._manifests

    def look(*arguments: Any) -> dict[str, int]:
        checkpoint.unlink()
        return numbers(*arguments)

    monkeypatch.setattr(checkpoint_slots, "_manifests", look)
    checkpoint_slots.send_checkpoint(Store(), run_id, Path("out"), checkpoint)
    assert checkpoints_of(run_id) == {"step-000000001.npz", "step-000000003.npz"}


def test_nothing_of_a_checkpoint_of_somebody_else_leads_outside() -> None:
    run_id = interrupt(config=IN_MLFLOW)
    slots = slot_files(run_id)
    with zipfile.ZipFile(slots["a.zip"], "a") as archive:
        archive.writestr("../../evil.py", "")
    write(slots["a.json"], '{"number": 1, "checkpoint": "../../evil.py"}')
    fetch_training(run_id, Path("there"))
    assert Path("there/checkpoints/resume/step-000000001.npz").exists()
    assert [*Path("..").glob("evil.py"), *Path().glob("evil.py")] == []
    for manifest in ("[]", "{}"):
        write(slots["a.json"], manifest)
        with pytest.raises(ArtifactError, match="has no whole resume checkpoint in MLflow"):
            fetch_training(run_id, Path("elsewhere"))


TRANSFORMER = "model/data/transformer/vocabulary.json"


def go_on(work: Any) -> None:
    train_epoch(work, 2)
    raise KeyboardInterrupt("SIGTERM")


# The whole path, through a real training.


def interrupt_training(epoch: int = 1) -> str:
    """Begin a training and interrupt it; give the id of its run, whose folder is gone."""
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train_here("here", callbacks=[Terminate(epoch, 1)])
    run_id = run_of("here")
    shutil.rmtree("here")
    return run_id


def train_here(folder: str | None = None, **options: Any) -> Any:
    config = small_config(services__resume_checkpoint={"in_mlflow": True})
    options |= {"artifact_dir": folder, "experiment": "other"}
    return barrage_mlflow.train(config, TRAIN, VALIDATION, **options)


@pytest.mark.usefixtures("quick")
def test_a_run_goes_on_elsewhere_as_if_it_had_never_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "barrage_mlflow")
    run_id = interrupt_training()
    whole = train_here("whole")
    mlflow.set_experiment("scratch")  # that of the caller's own runs
    # The process was killed some epochs later, with no checkpoint of them in MLflow.
    client = mlflow.MlflowClient()
    for key, step, value in history(whole.run_id):
        if step > 1:
            client.log_metric(run_id, key, float(value), timestamp=1, step=step)
    with pytest.raises(ArtifactError, match=r"what was begun there has changed since:\n"):
        train_here("there", resume=run_id, overrides={"solver.epochs": 4})
    result = train_here("there", resume=run_id)
    assert f"run {run_id} is fetched into there" in caplog.messages
    assert (result.run_id, result.artifact_dir) == (run_id, Path("there"))
    assert (result.best_epoch, result.metrics) == (whole.best_epoch, whole.metrics)
    assert history(run_id) == history(whole.run_id)
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["barrage.resumed_at"]) == (
        "FINISHED",
        "epoch 2, batch 3",
    )
    model = client.get_logged_model(result.model_uri.removeprefix("models:/"))
    best = {"best_epoch": result.best_epoch}
    best |= {f"best_{name}": value for name, value in result.metrics.items()}
    assert {point.key: point.value for point in model.metrics} == best
    scores = [
        mlflow.pyfunc.load_model(one.model_uri).predict(VALIDATION) for one in (whole, result)
    ]
    assert scores[0].equals(scores[1])


def test_a_run_goes_on_in_its_own_folder_where_that_is_still_there() -> None:
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train_here(callbacks=[Terminate(1, 1)])
    (folder,) = Path("artifacts").iterdir()
    run_id = run_of(str(folder))
    assert train_here(resume=run_id).artifact_dir == folder
    with pytest.raises(ArtifactError, match=rf"{folder} has the run {run_id}, not {'0' * 32}"):
        train_here(str(folder), resume="0" * 32)
