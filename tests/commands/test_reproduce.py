"""A run that is trained again."""

from __future__ import annotations

from pathlib import Path

import mlflow
import pytest
from runs import Terminate, history, only_run
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow import ArtifactError, TrackingError, reproduce, train


@pytest.fixture
def files() -> None:
    TRAIN.to_csv("train.csv", index=False)
    VALIDATION.to_csv("validation.csv", index=False)


def test_a_run_is_reproduced_from_its_id_alone(files: None) -> None:
    first = train(small_config(), "train.csv", "validation.csv")
    assert first.run_id is not None
    then = history(first.run_id)
    # As `evaluate --run` does, later.
    mlflow.MlflowClient().log_metric(first.run_id, "new_label_accuracy", 0.5)
    found = reproduce(first.run_id)
    assert found.report == (
        "packages, commit, code and records are as they were\nidentical: every metric of 3 epochs"
    )
    again = found.result.run_id
    assert again not in (None, first.run_id)
    assert history(str(again)) == then
    assert mlflow.get_run(str(again)).data.tags["barrage.reproduces"] == first.run_id


def test_a_run_with_a_test_set_is_evaluated_on_it_again(
    files: None, evaluated_models: None
) -> None:
    VALIDATION.to_csv("test.csv", index=False)
    config = small_config(services__evaluation={"plots": False, "importance": False})
    first = train(config, "train.csv", "validation.csv", records_test="test.csv")
    assert first.run_id is not None
    found = reproduce(first.run_id)
    assert (found.changes, found.difference) == ([], "")
    again = history(str(found.result.run_id))
    assert again == history(first.run_id)
    assert any(name.startswith("test_") for name, _, _ in again)
    VALIDATION[::-1].to_csv("other.csv", index=False)
    found = reproduce(first.run_id, records_test="other.csv")
    (change,) = found.changes
    assert change.startswith("test records: digest ")


def test_what_differs_is_told(files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    first = train(small_config(), "train.csv", "validation.csv")
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    assert first.run_id is not None
    frame = TRAIN.copy()
    frame.loc[0, "a"] = 7.0
    frame.to_csv("train.csv", index=False)
    found = reproduce(first.run_id)
    threads, records = found.changes
    assert threads == "threads: 3 → 5"
    assert records.startswith("train records: digest ")
    then, now = (
        {(name, step): value for name, step, value in history(str(run))}
        for run in (first.run_id, found.result.run_id)
    )
    of_epoch = [name for name, step in then if step == 1 and not name.startswith("best_")]
    name = min(name for name in of_epoch if then[name, 1] != now[name, 1])
    assert found.difference == f"epoch 1: {name} {then[name, 1]!r} → {now[name, 1]!r}"
    assert found.report == f"{threads}\n{records}\n{found.difference}"


def test_records_that_were_in_memory_are_to_be_given() -> None:
    first = train(small_config(), TRAIN, VALIDATION)
    assert first.run_id is not None
    message = (
        f"^run {first.run_id} was made of train records that were handed over in memory: give them$"
    )
    with pytest.raises(ArtifactError, match=message):
        reproduce(first.run_id)
    assert reproduce(first.run_id, TRAIN, VALIDATION).difference == ""


def test_a_run_that_was_killed_is_compared_as_far_as_it_went(files: None) -> None:
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        train(
            small_config(),
            "train.csv",
            "validation.csv",
            artifact_dir="out",
            callbacks=[Terminate(2, 1)],
        )
    found = reproduce(only_run().info.run_id)
    assert found.report.endswith("identical: every metric of 2 epochs")


def test_a_run_of_something_else_is_refused() -> None:
    with mlflow.start_run() as run:
        pass
    with pytest.raises(ArtifactError, match=r"\(FINISHED\) has no run\.json and resolved_config"):
        reproduce(run.info.run_id)
    with pytest.raises(TrackingError, match="has no run 'nowhere': correct the ID"):
        reproduce("nowhere")
    assert not Path("artifacts").exists()
