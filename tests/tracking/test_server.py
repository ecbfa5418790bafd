"""Stores that do not answer, and a real server that goes and comes back."""

import math
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from contextlib import closing
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import mlflow
import pytest
from barrage_mlflow.stopping import StopSignals
from servers import MlflowServer, free_port

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking import open_run, server
from barrage_mlflow.tracking.server import call, check_store, no_patience, post, shown_uri

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(server, "_PAUSE", 0.01)
    monkeypatch.setattr(server, "_RETRIES", (0.01, 0.01))


@pytest.fixture
def use(monkeypatch):
    """Point MLflow at a store, as a user would."""
    return lambda uri: monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:secret@host:5000/a", "http://host:5000/a"),
        ("http://host:5000", "http://host:5000"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("postgresql://ann:secret@host/db", "postgresql://host/db"),
        ("databricks", "databricks"),
    ],
)
def test_a_shown_uri_holds_no_password(uri, shown):
    assert shown_uri(uri) == shown


def test_a_dead_server_is_known_within_seconds(port, use):
    use(f"http://ann:secret@127.0.0.1:{port}")
    start = time.perf_counter()
    message = (
        rf"^the MLflow server http://127\.0\.0\.1:{port} does not answer "
        r"\(\[Errno \d+\] Connection refused\): start it, correct MLFLOW_TRACKING_URI, or unset it "
        r"to log to mlflow\.db in the working folder$"
    )
    with pytest.raises(TrackingError, match=message):
        open_run("birds")
    assert time.perf_counter() - start < 15
    assert mlflow.active_run() is None


def test_a_server_that_hangs_is_known_too(monkeypatch, quick):
    monkeypatch.setattr(server, "_TIMEOUT", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        message = r"does not answer \(Read timed out\. \(read timeout=0\.2\)\): start it"
        with pytest.raises(TrackingError, match=message):
            check_store(f"http://127.0.0.1:{deaf.getsockname()[1]}")


def test_the_users_own_patience_counts(port, monkeypatch):
    pauses = []
    monkeypatch.setattr(server.time, "sleep", pauses.append)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    with pytest.raises(TrackingError, match="Connection refused"):
        check_store(f"http://127.0.0.1:{port}")
    assert pauses == [1, 1, 1, 1]


@pytest.fixture
def answering():
    """A server that gives statuses in turn."""
    statuses = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"error_code": "INVALID_STATE", "message": "no"}'
            self.send_response(statuses.pop(0))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", statuses
        http.shutdown()
        thread.join()


@pytest.mark.parametrize("answers", [[200], [401], [404], [503, 200]])
def test_any_answer_of_a_living_server_will_do(answering, quick, answers):
    uri, statuses = answering
    statuses += answers
    check_store(uri)
    assert statuses == []


def test_a_proxy_before_a_dead_server(answering, quick):
    uri, statuses = answering
    statuses += [502, 503, 503]
    with pytest.raises(TrackingError, match=r"does not answer \(status 503\): start it"):
        check_store(uri)


def test_a_file_that_is_no_database(tmp_path, use):
    (tmp_path / "notes.txt").write_text("not a database")
    uri = f"sqlite:///{tmp_path}/notes.txt"
    use(uri)
    message = (
        rf"^{tmp_path}/notes\.txt is not an SQLite database, but the tracking URI is {uri}: "
        r"correct MLFLOW_TRACKING_URI, or move the file away$"
    )
    with pytest.raises(TrackingError, match=message):
        open_run()


@pytest.mark.parametrize(
    "uri", ["databricks", "file:///x", "postgresql:///by-socket", "sqlite://", "sqlite:///new.db"]
)
def test_other_stores_are_left_to_mlflow(uri):
    check_store(uri)


def test_a_database_server(port):
    message = (
        rf"^the tracking database postgresql\+psycopg2://127\.0\.0\.1:{port}/db does not answer "
        r"\(\[Errno \d+\] Connection refused\): start it, or correct MLFLOW_TRACKING_URI$"
    )
    with pytest.raises(TrackingError, match=message):
        check_store(f"postgresql+psycopg2://ann:secret@127.0.0.1:{port}/db")
    with socket.create_server(("127.0.0.1", port)):
        check_store(f"mysql://127.0.0.1:{port}/db")


def test_a_database_file_is_let_through(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"SQLite format 3\0 and so on")
    check_store(f"sqlite:///{tmp_path}/mlflow.db")


class BusyError(Exception):
    """Stands for MLflow's error from a database that is busy."""

    error_code = "TEMPORARILY_UNAVAILABLE"


def test_a_busy_database_is_asked_again(quick):
    failures = [BusyError("locked"), BusyError("locked")]

    def write():
        if failures:
            raise failures.pop()
        return "written"

    assert call("sqlite://", "write", write) == "written"


def test_a_database_that_stays_busy(quick):
    def write():
        raise BusyError("locked")

    with pytest.raises(TrackingError, match=r"^MLflow at sqlite:// could not write: locked$") as e:
        call("sqlite://", "write", write)
    assert e.value.error_code == "TEMPORARILY_UNAVAILABLE"


@pytest.fixture
def terminate_after():
    """Have this process receive SIGTERM in so many seconds."""
    terminate = {
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGALRM: lambda *_: signal.raise_signal(signal.SIGTERM),
    }
    before = {number: signal.signal(number, handler) for number, handler in terminate.items()}
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_call_to_a_database_ends_before_a_signal_is_raised(tmp_path, terminate_after):
    """MLflow takes some interrupts for errors, and leaves the database locked after others."""
    path = tmp_path / "mlflow.db"
    client = mlflow.MlflowClient(f"sqlite:///{path}")
    run_id = client.create_run("0").info.run_id
    interrupts, locked, unwritten = 0, 0, 0

    def write(moment):
        terminate_after((moment + 1) * 1e-4)
        client.set_tag(run_id, str(moment), "written")
        terminate_after(0)

    for moment in range(60):
        try:
            with StopSignals():
                call(f"sqlite:///{path}", "tag it", partial(write, moment))
        except KeyboardInterrupt:
            interrupts += 1
            # While the exception is handled, as where a training ends its run.
            with closing(sqlite3.connect(path, timeout=0)) as database:
                try:
                    database.execute("BEGIN EXCLUSIVE")
                except sqlite3.OperationalError:
                    locked += 1
            unwritten += str(moment) not in client.get_run(run_id).data.tags
    assert interrupts > 0
    assert (locked, unwritten) == (0, 0)


def test_a_call_to_a_server_is_interrupted(answering, terminate_after):
    uri, statuses = answering
    statuses.append(200)
    reached = []

    def hang():
        terminate_after(0.01)
        time.sleep(60)
        reached.append("never")

    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), StopSignals():
        call(uri, "write", hang)
    assert reached == []


def test_a_request_is_made_once(port):
    start = time.perf_counter()
    with pytest.raises(
        TrackingError, match=r"does not answer \(\[Errno \d+\] Connection refused\)"
    ):
        post(f"http://127.0.0.1:{port}", "write", "runs/log-batch", {})
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (200, None),
        (400, "^MLflow at http.* could not write: INVALID_STATE: no$"),
        (503, "does not answer .*503 error responses"),
    ],
)
def test_a_request_is_answered(answering, status, message):
    uri, statuses = answering
    statuses.append(status)
    if message is None:
        post(uri, "write", "runs/log-batch", {})
    else:
        with pytest.raises(TrackingError, match=message):
            post(uri, "write", "runs/log-batch", {})
    assert statuses == []


def test_no_password_in_what_mlflow_says(answering):
    uri, statuses = answering
    statuses.append(200)
    uri = uri.replace("//", "//ann:secret@")

    def fail():
        raise OSError(f"API request to {uri}/api failed")

    with pytest.raises(TrackingError) as caught:
        call(uri, "write", fail)
    assert "secret" not in str(caught.value)


def test_no_patience_leaves_the_users_settings_alone(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    with no_patience():
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "1"
        raise OSError
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert "MLFLOW_HTTP_REQUEST_MAX_RETRIES" not in os.environ


@pytest.fixture
def mlflow_server(tmp_path, port, use):
    """A server that a test may kill and start again."""
    with MlflowServer(tmp_path, port) as server:
        use(server.uri)
        yield server.kill, server.start


@pytest.mark.slow
def test_a_server_that_is_killed_and_restarted_loses_and_doubles_nothing(mlflow_server, tmp_path):
    kill, restart = mlflow_server
    run = open_run("birds", tags={"team": "a"})
    run.log_params({f"long.{number}": "é" * 6_000 for number in range(150)})
    run.log_dataset("train", "train", "5f2b", "train.csv", {"age": "int64"}, 3)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.txt").write_text("a")
    run.log_artifact("logs")

    odd = {"nan": float("nan"), "inf": float("inf"), "low": -float("inf")}
    slowest = 0.0

    def train(first):
        nonlocal slowest
        for step in range(first, first + 200):
            start = time.perf_counter()
            run.log_metrics({"loss": 1 / (step + 1), "acc": 0.5, **odd}, step=step)
            slowest = max(slowest, time.perf_counter() - start)
            time.sleep(0.01)

    threads = [threading.Thread(target=train, args=(first,)) for first in (0, 200)]
    for thread in threads:
        thread.start()
    time.sleep(0.7)
    kill()
    for thread in threads:
        thread.join()
    with pytest.raises(TrackingError, match=r"metric values were not logged: the MLflow server"):
        run.flush(1)
    with pytest.raises(TrackingError, match="does not answer"):
        run.set_tags({"a": "b"})
    restart()
    run.finish("FINISHED")

    client = mlflow.MlflowClient()
    for key in ("loss", "acc", *odd):
        steps = [point.step for point in client.get_metric_history(run.run_id, key)]
        assert sorted(steps) == list(range(400))
    found = client.get_run(run.run_id)
    assert math.isnan(found.data.metrics["nan"])
    assert found.data.metrics["inf"] == -found.data.metrics["low"] == sys.float_info.max
    assert found.info.status == "FINISHED"
    assert len(found.data.params) == 150
    assert found.inputs.dataset_inputs[0].dataset.digest == "5f2b"
    assert client.list_artifacts(run.run_id, "logs")[0].path == "logs/a.txt"
    assert slowest < 0.5


@pytest.mark.slow
def test_a_server_refuses_metrics_of_a_deleted_run(mlflow_server):
    run = open_run()
    mlflow.delete_run(run.run_id)
    run.log_metrics({"loss": 1.0}, step=1)
    message = r"^1 metric values were not logged: MLflow at http.* could not write metrics: INVALID"
    with pytest.raises(TrackingError, match=message):
        run.finish("FINISHED")


@pytest.mark.slow
def test_a_server_that_is_gone_at_the_end_is_known_within_seconds(mlflow_server, monkeypatch):
    kill, _ = mlflow_server
    monkeypatch.setattr(
        "barrage_mlflow.tracking.run._FLUSH_TIMEOUTS", {"FINISHED": 2, "FAILED": 2, "KILLED": 2}
    )
    parent = mlflow.start_run()
    run = open_run()
    kill()
    run.log_metrics({"loss": 1.0}, step=1)
    error = KeyboardInterrupt()
    start = time.perf_counter()
    run.finish("KILLED", error)
    assert time.perf_counter() - start < 30
    assert mlflow.active_run().info.run_id == parent.info.run_id
    assert [note.partition(": ")[0] for note in error.__notes__] == ["besides"]
    with no_patience():
        mlflow.end_run()
