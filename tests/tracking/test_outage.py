"""A real server that goes, hangs and comes back while a training goes on."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from outside import free_port, wait_for
from servers import MlflowServer, deaf_server
from trained import (
    IN_MLFLOW,
    figures,
    held,
    interrupt,
    package,
    published,
    run_of,
    train,
    train_epoch,
)

from barrage_mlflow import TrackingError, sync
from barrage_mlflow.tracking import publisher
from barrage_mlflow.workspace.record import read_record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    with MlflowServer(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(started: MlflowServer, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """It runs, whatever a test before has done to it."""
    if not started.is_there:
        started.start()
    monkeypatch.setattr(publisher, "_PATIENCE", 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", started.uri)
    return started


def test_a_server_that_goes_and_comes_back_gets_it_all(
    server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    whole = held(train("whole", IN_MLFLOW, epochs=8))
    with published("out", IN_MLFLOW) as work:
        for epoch in range(1, 9):
            if epoch == 3:
                server.kill()
            train_epoch(work, epoch)
            time.sleep(0.5)
        wait_for(lambda: own_messages(caplog))
        server.start()
        package(work, 8)
    assert held(run_of()) == whole
    assert not any(name.startswith("resume/") for name in whole["files"])
    first, last = (message.splitlines()[0] for message in own_messages(caplog))
    assert first.startswith(f"the MLflow server {server.uri} does not answer ([Errno 111] Connec")
    assert last == "MLflow answers again"


def own_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the engine itself has logged."""
    return [each.getMessage() for each in caplog.records if each.name.startswith("barrage")]


def test_a_server_that_is_gone_at_the_end_costs_a_warning(
    server: MlflowServer, caplog: pytest.LogCaptureFixture
) -> None:
    with published(register="small") as work:
        train_epoch(work, 1, loss=math.inf, val_loss=math.nan)
        package(work, 1)
        server.kill()
    assert caplog.messages[-1].endswith(
        "\nthe training is complete; it is kept in out; log it to MLflow with: barrage-mlflow sync "
        "out"
    )
    assert mlflow.active_run() is None
    with pytest.raises(TrackingError, match=r"does not answer \(\[Errno 111\] Connection refused"):
        sync("out")
    server.start()
    assert mlflow.get_run(run_of()).info.status == "RUNNING"
    for _ in range(2):
        assert sync("out") == run_of()
        found = held(run_of())
        assert found["status"] == "FINISHED"
        assert [key for key, _, _ in found["metrics"]] == [*figures(1), "loss", "val_loss"]
        assert [status for status, *_ in found["models"]] == ["READY"]
    assert len(mlflow.MlflowClient().search_model_versions("name = 'small'")) == 1


def test_an_interrupted_training_does_not_wait_for_a_server_that_hangs(
    server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_KILLED_PATIENCE", 1)
    run_id = interrupt(act=lambda work: server.signal(signal.SIGSTOP))
    record = read_record(Path("out"))
    assert record is not None
    assert (record.status, record.published) == ("KILLED", False)
    server.signal(signal.SIGCONT)
    assert held(run_id)["status"] == "RUNNING"
    sync("out")
    found = held(run_id)
    assert (found["status"], len(found["metrics"])) == ("KILLED", 2)


def test_a_store_that_does_not_answer_is_known_when_a_training_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:secret@127.0.0.1:{free_port()}")
    message = (
        r"^the MLflow server http://127\.0\.0\.1:\d+ does not answer \(\[Errno 111\] Connection "
        r"refused\): start it, correct MLFLOW_TRACKING_URI, or unset it to log to mlflow\.db in "
        r"the working folder$"
    )
    with pytest.raises(TrackingError, match=message):
        train()
    with deaf_server() as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", silent)
        for timeout, seconds in (("30", 3), ("1", 1)):
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", timeout)
            with pytest.raises(TrackingError, match=rf"\(read timeout={seconds}\)\)"):
                train(f"silent-{timeout}")
