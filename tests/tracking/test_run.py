"""A run in a real SQLite store: opened, written to, ended with its true status."""

import contextlib
import logging
import math
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from barrage_mlflow.errors import (
    ArtifactError,
    BarrageError,
    RecordError,
    TrackingError,
    describe_error,
)
from barrage_mlflow.tracking import (
    end_project_run,
    environment_tags,
    open_run,
)
from barrage_mlflow.tracking import run as run_module
from barrage_mlflow.tracking.metrics import MetricQueue
from barrage_mlflow.tracking.run import TrackedRun

ROOT = Path(__file__).parents[2]

# MLflow's own use of SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    """Tables take seconds to make: once for all tests."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    with contextlib.chdir(path.parent):  # where the default experiment puts its artifacts
        MlflowClient(f"sqlite:///{path}").search_experiments()
    return path.read_bytes()


@pytest.fixture(autouse=True)
def store(empty_store, tmp_path):
    (tmp_path / "mlflow.db").write_bytes(empty_store)
    mlflow.set_experiment(experiment_id="0")
    yield MlflowClient()
    while mlflow.active_run():
        mlflow.end_run()


def stored(run):
    return MlflowClient().get_run(run.run_id)


def history(run, key):
    return [
        (point.step, point.value) for point in MlflowClient().get_metric_history(run.run_id, key)
    ]


def break_server(monkeypatch, error=None):
    """Let each attempt to write metrics fail, and the last of them soon."""

    def fail(self, points):
        raise error or OSError("no route")

    monkeypatch.setattr(
        run_module, "_FLUSH_TIMEOUTS", {"FINISHED": 1, "FAILED": 0.1, "KILLED": 0.1}
    )
    monkeypatch.setattr(TrackedRun, "_send_metrics", fail)


def test_a_run_holds_what_was_written(tmp_path):
    run = open_run("birds", "first", {"team": "a"})
    run.log_params({"solver.epochs": "3"})
    run.log_metrics({"loss": 0.5, "val_loss": 0.25}, step=1)
    run.log_metrics({"loss": 0.4}, step=2)
    run.set_tags({"note": "x" * 9_000})
    run.log_dataset("train", "train", "5f2b", "train.csv", {"age": "int64"}, 3)
    run.finish("FINISHED")

    found = stored(run)
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "first"
    assert found.data.params == {"solver.epochs": "3"}
    assert history(run, "loss") == [(1, 0.5), (2, 0.4)]
    assert history(run, "val_loss") == [(1, 0.25)]
    assert found.data.tags["team"] == "a"
    assert len(found.data.tags["note"]) <= 5_000
    (entry,) = found.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("train", "5f2b")
    assert MlflowClient().get_experiment(run.experiment_id).name == "birds"
    assert run.tracking_uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert mlflow.active_run() is None


def test_an_experiment_is_found_again_and_the_callers_choice_stays():
    other = mlflow.set_experiment("other")
    first, second = open_run("birds"), open_run("birds")
    assert first.experiment_id == second.experiment_id != other.experiment_id
    second.finish("FINISHED")
    first.finish("FINISHED")
    with mlflow.start_run() as run:
        assert run.info.experiment_id == other.experiment_id


def test_without_a_name_the_experiment_is_mlflows_choice():
    chosen = mlflow.set_experiment("chosen")
    run = open_run()
    run.finish("FINISHED")
    assert run.experiment_id == chosen.experiment_id


def test_an_experiment_that_another_process_makes_meanwhile(monkeypatch):
    made = MlflowClient.create_experiment

    def make_twice(self, name):
        made(self, name)
        return made(self, name)

    monkeypatch.setattr(MlflowClient, "create_experiment", make_twice)
    run = open_run("birds")
    run.finish("FINISHED")
    assert MlflowClient().get_experiment(run.experiment_id).name == "birds"


@pytest.mark.parametrize("code", ["RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE"])
def test_an_experiment_that_cannot_be_made(monkeypatch, code):
    from mlflow.protos.databricks_pb2 import ErrorCode

    def refuse(self, name):
        raise MlflowException("no such luck", error_code=ErrorCode.Value(code))

    monkeypatch.setattr(MlflowClient, "create_experiment", refuse)
    with pytest.raises(TrackingError, match=r"could not open the experiment: no such luck$"):
        open_run("birds")


def test_a_deleted_experiment_is_not_used():
    experiment_id = mlflow.create_experiment("birds")
    mlflow.delete_experiment(experiment_id)
    message = (
        r"could not open the experiment: experiment 'birds' is deleted: choose another name, or "
        rf"bring it back with `mlflow experiments restore --experiment-id {experiment_id}`$"
    )
    with pytest.raises(TrackingError, match=message):
        open_run("birds")


def test_within_an_active_run_it_is_a_child():
    with mlflow.start_run() as parent:
        run = open_run("birds")
        run.finish("FAILED", RecordError("train.csv holds no records"))
        assert mlflow.active_run().info.run_id == parent.info.run_id
    assert stored(run).data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert stored(run).info.status == "FAILED"
    assert mlflow.get_run(parent.info.run_id).info.status == "FINISHED"


@pytest.fixture
def project_run(store, monkeypatch):
    """The run that `mlflow run` opens, with the params as they were typed."""
    run = store.create_run("0")
    store.log_param(run.info.run_id, "solver.learning_rate", "1e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    return run


def test_under_mlflow_run_its_run_is_used_and_its_params_stay(project_run, caplog):
    run = open_run("birds", "named")
    assert run.run_id == project_run.info.run_id
    assert "MLFLOW_RUN_ID" not in os.environ
    assert caplog.messages == [
        "the experiment 'birds' is left aside: the run was opened by `mlflow run`, whose "
        "--experiment-name says where"
    ]
    run.log_params({f"p{number}": "x" for number in range(250)} | {"solver.learning_rate": "0.001"})
    run.log_params({"p0": "y", "new": "z"})
    run.finish("FINISHED")
    params = stored(run).data.params
    assert len(params) == 252
    assert params["solver.learning_rate"] == "1e-3"
    assert (params["p0"], params["new"]) == ("x", "z")
    assert stored(run).info.run_name == "named"
    second = open_run()
    second.finish("FINISHED")
    assert second.run_id != run.run_id


def test_a_run_that_is_not_there(monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    with pytest.raises(
        TrackingError, match=r"could not take up run abc: Run with id=abc not found$"
    ):
        open_run()


def test_an_error_before_the_run_is_opened_fails_the_project_run(project_run):
    end_project_run(BarrageError("config.json:3:5  $.solver: unknown key 'epoch'"))
    found = mlflow.get_run(project_run.info.run_id)
    assert found.info.status == "FAILED"
    assert found.data.tags["barrage.error"] == "config.json:3:5  $.solver: unknown key 'epoch'"


def test_an_interrupt_before_the_run_is_opened_kills_the_project_run(project_run):
    end_project_run(KeyboardInterrupt())
    found = mlflow.get_run(project_run.info.run_id)
    assert found.info.status == "KILLED"
    assert found.data.tags["barrage.error"] == "KeyboardInterrupt"


def test_an_interrupt_while_the_run_is_opened_kills_it(monkeypatch):
    start = mlflow.start_run

    def interrupted(**options):
        start(**options)
        raise KeyboardInterrupt

    monkeypatch.setattr(mlflow, "start_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_run()
    (found,) = mlflow.search_runs(output_format="list")
    assert (found.info.status, mlflow.active_run()) == ("KILLED", None)


def test_an_error_before_the_run_is_not_hidden_by_the_next(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    error = BarrageError("bad config")
    end_project_run(error)
    assert error.__notes__ == [f"besides: {caplog.messages[0]}"]


def test_an_odd_config_cannot_break_logging():
    long = {f"long.{number}": "é" * 7_000 for number in range(60)}
    odd = {"a[0]": "b", "a]0[": "c", "": "d", "x" * 400: "\ud800", "n": "nul \0", "e": ""}
    run = open_run()
    run.log_params(long | odd)
    run.set_tags({"odd[0]": "\ud800", "m": "é"})
    run.log_metrics({"a//b": 1, "y" * 300: 2.5}, step=1)
    run.finish("FINISHED")
    found = stored(run)
    assert len(found.data.params) == 66
    assert found.data.params["long.0"].endswith(" more characters in resolved_config.json)")
    assert sorted(found.data.params.values())[:5] == ["", "\\ud800", "b", "c", "d"]
    assert found.data.params["n"] == "nul \\x00"
    assert sorted(found.data.metrics.values()) == [1.0, 2.5]


def test_nan_and_infinity_are_logged():
    run = open_run()
    run.log_metrics({"nan": math.nan, "inf": math.inf, "low": -math.inf}, step=1)
    run.finish("FINISHED")
    metrics = stored(run).data.metrics
    assert math.isnan(metrics["nan"])
    assert (metrics["inf"], metrics["low"]) == (sys.float_info.max, -sys.float_info.max)


def test_a_value_keeps_the_time_when_it_was_made(monkeypatch):
    send, held = TrackedRun._send_metrics, threading.Event()
    monkeypatch.setattr(
        TrackedRun, "_send_metrics", lambda self, points: held.wait() and send(self, points)
    )
    run = open_run()
    before = time.time() * 1_000
    run.log_metrics({"loss": 1.0}, step=1)
    after = time.time() * 1_000
    time.sleep(0.05)
    held.set()
    run.finish("FINISHED")
    (point,) = MlflowClient().get_metric_history(run.run_id, "loss")
    assert before - 1 <= point.timestamp <= after


def test_a_request_that_arrived_but_failed_is_not_doubled(monkeypatch):
    monkeypatch.setattr("barrage_mlflow.tracking.metrics._PAUSES", (0.01,))
    send, failures = TrackedRun._send_metrics, [OSError("reset")] * 2

    def lose_the_answer(self, points):
        send(self, points)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(TrackedRun, "_send_metrics", lose_the_answer)
    run = open_run()
    run.log_metrics({"loss": 0.5, "nan": math.nan, "inf": math.inf}, step=1)
    run.log_metrics({"loss": 0.5}, step=2)
    run.finish("FINISHED")
    assert not failures
    assert history(run, "loss") == [(1, 0.5), (2, 0.5)]
    assert len(history(run, "nan")) == len(history(run, "inf")) == 1


def test_artifacts_keep_their_names(tmp_path):
    folder = tmp_path / "logs"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "a.txt").write_text("a")
    run = open_run()
    run.log_artifact("logs/")
    run.log_artifact(folder / "train" / "a.txt", "copies")
    run.finish("FINISHED")
    root = Path(run.artifact_uri)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    assert files == ["copies/a.txt", "logs/train/a.txt"]


def test_an_artifact_that_is_not_there():
    run = open_run()
    with pytest.raises(ArtifactError, match=r"^missing\.csv: no such file or folder to log$"):
        run.log_artifact("missing.csv")
    run.finish("FINISHED")


@pytest.mark.parametrize("found", [False, True])
def test_mlflows_own_commit_stays(found):
    tags = {"mlflow.source.git.commit": "mlflows"} if found else {}
    run = open_run(tags=tags)
    run.set_tags({**environment_tags("."), "mlflow.source.git.commit": "ours"})
    run.finish("FINISHED")
    assert stored(run).data.tags["mlflow.source.git.commit"] == ("mlflows" if found else "ours")


def test_logging_of_a_component_goes_to_the_run():
    run = open_run()
    mlflow.log_param("by_a_component", 1)
    run.finish("FINISHED")
    assert stored(run).data.params == {"by_a_component": "1"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RecordError("train.csv, record 5: no column 'age'"),
            "train.csv, record 5: no column 'age'",
        ),
        (ValueError("bad"), "ValueError: bad"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
    ],
)
def test_a_failure_leaves_its_message(error, message):
    error.add_note("in record 5, stage load")
    run = open_run()
    run.finish("FAILED", error)
    assert stored(run).info.status == "FAILED"
    assert stored(run).data.tags["barrage.error"] == f"{message}\nin record 5, stage load"
    assert len(error.__notes__) == 1


def test_an_error_that_cannot_be_told_is_named():
    class BrokenError(Exception):
        def __str__(self):
            raise RuntimeError

    assert describe_error(BrokenError()) == "BrokenError"


def test_an_endless_message_is_shortened():
    run = open_run()
    run.finish("FAILED", BarrageError("x" * 100_000))
    tag = stored(run).data.tags["barrage.error"]
    assert tag.endswith(" more characters)")
    assert len(tag) <= 5_000


def test_killed_stays_killed():
    run = open_run()
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("KILLED", KeyboardInterrupt())
    run.finish("FINISHED")
    mlflow.end_run()
    assert stored(run).info.status == "KILLED"
    assert history(run, "loss") == [(1, 1.0)]


def test_killed_is_written_before_all_else(monkeypatch):
    statuses = []
    close = MetricQueue.close

    def note_status(self, timeout, patient):
        statuses.append(stored(run).info.status)
        close(self, timeout, patient)

    monkeypatch.setattr(MetricQueue, "close", note_status)
    run = open_run()
    run.finish("KILLED")
    assert statuses == ["KILLED"]
    assert "barrage.error" not in stored(run).data.tags


def test_an_ended_run_takes_no_metrics():
    run = open_run()
    run.finish("FINISHED")
    message = rf"^run {run.run_id} has been ended: it takes no more metrics$"
    with pytest.raises(TrackingError, match=message):
        run.log_metrics({"loss": 1.0}, step=1)


def test_a_component_that_ends_the_run_does_not_have_the_last_word():
    run = open_run()
    mlflow.end_run()
    run.finish("FAILED", ValueError("bad"))
    assert stored(run).info.status == "FAILED"


def test_a_run_that_a_component_left_open_ends_too():
    with mlflow.start_run() as parent:
        run = open_run()
        left = mlflow.start_run(nested=True)
        run.finish("FAILED", ValueError("bad"))
        assert mlflow.active_run().info.run_id == parent.info.run_id
    assert mlflow.get_run(left.info.run_id).info.status == "FAILED"
    assert stored(run).info.status == "FAILED"


def test_a_component_that_ends_too_much_leaves_the_callers_run_alone():
    with mlflow.start_run() as parent:
        run = open_run()
        mlflow.end_run()
        run.finish("KILLED")
        assert mlflow.active_run().info.run_id == parent.info.run_id
    assert stored(run).info.status == "KILLED"


def test_a_component_that_turns_to_another_store(tmp_path, empty_store):
    (tmp_path / "other.db").write_bytes(empty_store)
    here = mlflow.get_tracking_uri()
    run = open_run()
    try:
        mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/other.db")
        run.log_metrics({"loss": 1.0}, step=1)
        run.finish("KILLED")
        assert mlflow.active_run() is None
    finally:
        mlflow.set_tracking_uri(None)
    os.environ["MLFLOW_TRACKING_URI"] = here  # which MLflow has changed as well
    assert stored(run).info.status == "KILLED"
    assert history(run, "loss") == [(1, 1.0)]


def test_metrics_that_are_lost_fail_the_run(monkeypatch):
    break_server(monkeypatch)
    run = open_run()
    run.log_metrics({"loss": 1.0}, step=1)
    with pytest.raises(TrackingError, match=r"^1 metric values were not logged: no route$"):
        run.finish("FINISHED")
    assert stored(run).info.status == "FAILED"
    assert stored(run).data.tags["barrage.error"] == "1 metric values were not logged: no route"


def test_metrics_that_are_lost_do_not_hide_the_error(monkeypatch, caplog):
    break_server(monkeypatch)
    run = open_run()
    run.log_metrics({"loss": 1.0}, step=1)
    error = ValueError("bad")
    run.finish("FAILED", error)
    assert error.__notes__ == ["besides: 1 metric values were not logged: no route"]
    assert caplog.messages == [
        "no route\nmeanwhile metrics are kept, and sent when it does",
        "1 metric values were not logged: no route",
    ]
    assert stored(run).data.tags["barrage.error"] == "ValueError: bad"


def test_a_run_that_cannot_be_ended_is_told(monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    run = open_run()
    message = rf"^MLflow at sqlite.* could not end run {run.run_id} as FINISHED: disk full$"
    with monkeypatch.context() as broken:
        broken.setattr(mlflow, "end_run", fail)
        with pytest.raises(TrackingError, match=message):
            run.finish("FINISHED")


def test_ctrl_c_while_metrics_are_written(monkeypatch):
    def interrupt(self, timeout, patient):
        raise KeyboardInterrupt

    monkeypatch.setattr(MetricQueue, "close", interrupt)
    run = open_run()
    with pytest.raises(KeyboardInterrupt):
        run.finish("FINISHED")
    assert stored(run).info.status == "KILLED"


def test_a_deleted_run_refuses_at_once(store):
    run = open_run()
    store.delete_run(run.run_id)
    run.log_metrics({"loss": 1.0}, step=1)
    start = time.perf_counter()
    message = r"^1 metric values were not logged: MLflow at sqlite.* must be in the 'active' state"
    with pytest.raises(TrackingError, match=message):
        run.flush()
    assert time.perf_counter() - start < 10
    with pytest.raises(TrackingError, match="1 metric values were not logged") as caught:
        run.finish("FINISHED")
    assert "besides: MLflow at" in caught.value.__notes__[0]


def test_two_threads_train_at_once():
    runs, failures = [], []

    def train(number):
        try:
            run = open_run("birds", f"thread {number}")
            run.log_params({"number": str(number)})
            for step in range(50):
                run.log_metrics({"loss": number + step / 100}, step=step)
            mlflow.log_param("component", number)
            run.finish("FINISHED")
            runs.append((number, run))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=train, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for number, run in runs:
        assert stored(run).data.params == {"number": str(number), "component": str(number)}
        assert history(run, "loss") == [(step, number + step / 100) for step in range(50)]
    assert len({run.experiment_id for _, run in runs}) == 1


def test_a_run_can_be_ended_by_another_thread():
    run = open_run()
    thread = threading.Thread(target=run.finish, args=("KILLED",))
    thread.start()
    thread.join()
    assert stored(run).info.status == "KILLED"
    run._at_exit()
    assert mlflow.active_run() is None
    assert stored(run).info.status == "KILLED"


def test_a_process_that_just_ends_leaves_a_failed_run():
    run = open_run()
    run.log_metrics({"loss": 1.0}, step=1)
    run._at_exit()
    assert stored(run).info.status == "FAILED"
    assert history(run, "loss") == [(1, 1.0)]


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("run.finish('KILLED')", "KILLED"),
        ("raise SystemExit(0)", "FAILED"),
        ("import threading; t = threading.Thread(target=run.finish, args=('KILLED',)); t.start()",
         "KILLED"),
    ],
)  # fmt: skip
def test_the_status_is_true_after_the_process(ending, status):
    code = (
        "from barrage_mlflow.tracking import open_run\n"
        f"run = open_run()\nprint(run.run_id)\nrun.log_metrics({{'loss': 1.0}}, step=1)\n{ending}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = mlflow.get_run(done.stdout.split()[0])
    assert found.info.status == status
    assert found.data.metrics == {"loss": 1.0}


def test_importing_tracking_imports_no_mlflow():
    code = "import sys, barrage_mlflow.tracking; print({'mlflow', 'keras'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"


def test_nothing_is_logged_where_all_is_well(caplog):
    caplog.set_level(logging.INFO, "barrage_mlflow")
    run = open_run("birds")
    run.finish("FINISHED")
    assert [record for record in caplog.records if record.name.startswith("barrage_mlflow")] == []
