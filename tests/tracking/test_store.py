"""What is asked of a store before MLflow waits for it, and what a failed call says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow
import pytest
from outside import free_port

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking import store
from barrage_mlflow.tracking.store import Store, check_store


@pytest.fixture
def answering() -> Iterator[tuple[str, list[int]]]:
    """A server that gives statuses in turn."""
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"error_code": "INVALID_STATE", "message": "no"}'
            self.send_response(statuses.pop(0))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", statuses
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("answers", [[200], [401], [404], [503, 200]])
def test_any_answer_of_a_living_server_will_do(
    answering: tuple[str, list[int]], answers: list[int]
) -> None:
    uri, statuses = answering
    statuses += answers
    check_store(uri)
    assert statuses == []


def test_a_proxy_before_a_dead_server(
    answering: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, statuses = answering
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    statuses += [502, 503]
    with pytest.raises(TrackingError, match=r"does not answer \(status 503\): start it"):
        check_store(uri)


def test_the_users_own_settings_of_mlflow_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    Store()
    names = ("MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    assert [store.os.environ[name] for name in names] == ["7", "2"]


def test_a_call_to_a_server_that_has_gone_says_so_and_shows_no_password(
    answering: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    uri, statuses = answering
    statuses += [200, 200, 200]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("//", "//ann:secret@"))
    opened = Store()
    with pytest.raises(TrackingError, match=r"^MLflow at http://127\.\S+ could not write: ") as e:
        opened.call("write", fail_with, f"API request to {opened.uri} failed")
    assert "secret" not in str(e.value)
    opened.uri = f"http://ann:secret@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError, match=r"^the MLflow server http://127\.0\.0\.1:\d+ does not"):
        opened.call("write", fail_with, "refused")


def fail_with(message: str) -> None:
    raise OSError(message)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("locked", "TEMPORARILY_UNAVAILABLE"),
        ("locked", "INTERNAL_ERROR"),
        ("UNIQUE constraint failed: datasets.name", "BAD_REQUEST"),
    ],
)
def test_a_busy_database_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, message: str, code: str
) -> None:
    monkeypatch.setattr(store, "_PAUSES", (0.01, 0.01))
    failures: list[Exception] = []

    def write() -> str:
        if failures:
            raise failures.pop()
        return "written"

    failures += [TrackingError(message, code)] * 2
    opened = Store()
    assert opened.call("write", write) == "written"
    failures += [TrackingError(message, code)] * 3
    with pytest.raises(TrackingError, match=r"^MLflow at sqlite:\S+ could not write: \S+") as e:
        opened.call("write", write)
    assert e.value.error_code == code


def test_a_database_that_is_killed_while_it_is_made_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/my runs.db?timeout=5"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    def killed(uri: str) -> None:
        Path(urlsplit(uri).path[1:]).write_bytes(b"half of it")
        raise KeyboardInterrupt("killed")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "MlflowClient", killed)
        with pytest.raises(KeyboardInterrupt, match=r"^killed$"):
            Store()
    experiment = Store().client.get_experiment("0")
    assert (experiment.name, [*tmp_path.iterdir()]) == ("Default", [tmp_path / "my runs.db"])
    plain = mlflow.MlflowClient(f"sqlite:///{tmp_path}/plain.db").get_experiment("0")
    assert experiment.artifact_location == plain.artifact_location


def test_files_are_listed_fetched_and_deleted() -> None:
    with mlflow.start_run() as run:
        mlflow.log_text("a", "logs/a.txt")
    opened = Store()
    run_id = run.info.run_id
    assert opened.list_files(run_id) == ["logs"]
    assert opened.fetch(run_id, "logs/a.txt", ".").read_text("utf-8") == "a"
    opened.delete_files(run, "logs")
    opened.delete_files(run, "logs")  # what is not there, or a store that cannot, is no error
    assert opened.list_files(run_id) == []
    with pytest.raises(TrackingError, match=rf"could not fetch logs of run {run_id}: "):
        opened.fetch(run_id, "logs", ".")


def test_eight_files_are_sent_at_once() -> None:
    together = threading.Barrier(8)
    sent = []

    def log(path: str, folder: str | None) -> None:
        together.wait(60)  # for seven others, or it breaks
        sent.append((path, folder))

    files = {f"code/part{number}.py": Path(f"{number}.py") for number in range(16)}
    Store().send(log, files)
    assert sorted(sent) == sorted((f"{number}.py", "code") for number in range(16))
