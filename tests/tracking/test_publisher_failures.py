"""A run in a real SQLite store, whatever MLflow refuses, loses or takes too long for."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import ErrorCode
from runs import history, only_run
from trained import (
    figures,
    held,
    package,
    published,
    train,
    train_and_raise,
    train_epoch,
)

from barrage_mlflow import RecordError, TrackingError, sync

pytestmark = pytest.mark.usefixtures("quick")


def fail(*_: Any, **__: Any) -> None:
    raise OSError("disk full")


def refuse(code: str) -> Any:
    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("no such luck", error_code=ErrorCode.Value(code))

    return refuse


def test_an_experiment_that_cannot_be_made_or_was_made_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = MlflowClient.create_experiment

    def make_twice(self: Any, name: str, **more: Any) -> str:
        made(self, name, **more)
        return made(self, name, **more)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_experiment", refuse("INVALID_PARAMETER_VALUE"))
        with pytest.raises(TrackingError, match=r"could not open the experiment: no such luck$"):
            train(experiment="birds")
        patch.setattr(MlflowClient, "create_experiment", make_twice)
        experiment_id = mlflow.get_run(train(experiment="birds")).info.experiment_id
    experiment = mlflow.get_experiment(experiment_id)
    assert experiment.name == "birds"
    # Without it MLflow's page takes the experiment for one of prompts and agents.
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    mlflow.delete_experiment(experiment_id)
    message = (
        r"^experiment 'birds' is deleted: choose another name, or bring it back with "
        rf"`mlflow experiments restore --experiment-id {experiment_id}`$"
    )
    with pytest.raises(TrackingError, match=message):
        train("again", experiment="birds")


def test_an_odd_config_cannot_break_logging() -> None:
    long = {f"long.{number}": "é" * 7_000 for number in range(60)}
    odd = {"a[0]": "b", "a]0[": "c", "": "d", "x" * 400: "\ud800", "n": "nul \0", "e": ""}
    tags = {"odd[0]": "x", "m": "é", "note": "x" * 9_000}
    metrics = {"a//b": 1, "y" * 300: 2.5, "nan": math.nan, "inf": math.inf, "low": -math.inf}
    with pytest.raises(RecordError, match="xxx"):
        train_and_raise(
            RecordError("x" * 100_000),
            act=lambda work: work.history.add(1, metrics),
            config=long | odd,
            tags=tags,
        )
    run_id = sync("out")
    found = mlflow.get_run(run_id)
    assert len(found.data.params) == 66
    assert found.data.params["long.0"].endswith(" characters in resolved_config.json)")
    assert sorted(found.data.params.values())[:5] == ["", "\\ud800", "b", "c", "d"]
    assert found.data.params["n"] == "nul \\x00"
    values = [value for _, _, value in history(run_id)]
    assert len(values) in (5, 7)  # the epoch's first metrics may have been sent
    assert {sys.float_info.max, -sys.float_info.max, 1.0, 2.5} <= set(values)
    assert math.isnan(found.data.metrics["nan"])
    assert len(found.data.tags["note"]) <= 5_000
    assert len(found.data.tags["barrage.error"]) <= 5_000


def test_a_request_that_arrived_but_failed_is_not_doubled(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log, failures = MlflowClient.log_batch, [OSError("reset")] * 2

    def lose_the_answer(self: Any, run_id: str, **batch: Any) -> Any:
        answer = log(self, run_id, **batch)
        if failures and "metrics" in batch:
            raise failures.pop()
        return answer

    monkeypatch.setattr(MlflowClient, "log_batch", lose_the_answer)
    with published() as work:
        train_epoch(work, 1, loss=0.5, nan=math.nan, inf=math.inf)
        while failures:
            time.sleep(0.01)
        package(work, 1)
    assert len(history(str(work.record.run_id))) == 3 + 4
    assert [message.splitlines()[-1] for message in caplog.messages] == [
        "meanwhile all is kept in out, and sent when it does",
        "MLflow answers again",
    ]


def test_a_model_that_was_half_logged_is_made_good(monkeypatch: pytest.MonkeyPatch) -> None:
    message = (
        # Which of the files are named depends on whose thread was first.
        r"could not store \S+, \S+, \S+: disk full\nthe training is "
        r"complete; it is kept in out; log it to MLflow with: barrage-mlflow sync out$"
    )
    with monkeypatch.context() as broken:
        broken.setattr(MlflowClient, "log_model_artifact", fail)
        with pytest.raises(TrackingError, match=message):
            train()
    run_id = str(only_run().info.run_id)
    before = held(run_id)
    assert (before["status"], before["models"]) == ("FAILED", [("PENDING", 3, figures(3))])
    assert json.loads(Path("out/run.json").read_text("utf-8"))["published"] is False
    assert sync("out") == run_id
    assert held(run_id) == held(train("whole"))


def test_a_version_that_is_refused_is_an_error_that_names_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(mlflow, "register_model", refuse("PERMISSION_DENIED"))
        message = r"could not register the model models:/m-\w+ as 'birds': no such luck\n"
        with pytest.raises(TrackingError, match=message) as caught:
            train(register="birds")
    assert caught.value.__notes__ == [
        "the training is complete; it is kept in out; log it to MLflow with: "
        "barrage-mlflow sync out"
    ]
    sync("out")
    model_uri = json.loads(Path("out/run.json").read_text("utf-8"))["model_uri"]
    assert MlflowClient().get_model_version("birds", "1").source == model_uri


def test_a_failure_of_mlflow_does_not_hide_that_of_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ValueError, match="bad") as caught:
        train_and_raise(
            ValueError("bad"), act=lambda work: MlflowClient().delete_run(str(work.record.run_id))
        )
    (note,) = caught.value.__notes__
    assert note.startswith("besides: MLflow at sqlite:///")
    assert "must be in the 'active' state. Current state is deleted.; it is kept in out" in note
