"""The main job with real components: ``mlflow run``, then three ways to score that must agree.

Each example is trained by ``mlflow run`` in a fresh process, then scored from its artifact
folder, by ``mlflow.pyfunc`` in a fresh process elsewhere, and by a real ``mlflow models serve``.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from barrage_mlflow import BarrageModel
from barrage_mlflow.services import find_checkpoint

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PARAMETERS = {
    "iris": [],
    "penguins": [
        *("-P", "config=examples/penguins/config.json"),
        *("-P", "train=examples/penguins/train.csv"),
        *("-P", "validation=examples/penguins/validation.csv"),
    ],
}
SCORE_ELSEWHERE = """
import sys
import mlflow, pandas
records = pandas.read_csv(sys.argv[2])
mlflow.pyfunc.load_model(sys.argv[1]).predict(records).to_json(sys.argv[3], orient="records",
                                                              double_precision=15)
"""

pytestmark = pytest.mark.slow


def environment(home: Path) -> dict[str, str]:
    variables = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return {name: value for name, value in variables.items() if name != "MLFLOW_RUN_ID"}


def mlflow_run(home: Path, *parameters: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "mlflow", "run", ".", "--env-manager", "local", *parameters],
        cwd=ROOT,
        env=environment(home),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module", params=sorted(PARAMETERS))
def job(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Name of an example that ``mlflow run`` trained, and the folder with store and artifacts."""
    home = tmp_path_factory.mktemp(request.param)
    ended = mlflow_run(home, *PARAMETERS[request.param], "-P", f"artifact-dir={home}/out")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return request.param, home


@pytest.fixture
def trained(
    job: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> tuple[str, Path, mlflow.entities.Run]:
    """The example, its folder, and the one run in its store."""
    example, home = job
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    return example, home, only_run()


def only_run() -> mlflow.entities.Run:
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return run


def test_the_run_is_finished_and_whole(trained) -> None:
    _, home, run = trained
    assert run.info.status == "FINISHED"
    assert run.data.params["solver.optimizer.import"]
    assert {item.dataset.name for item in run.inputs.dataset_inputs} == {"train", "validation"}
    assert len(run.outputs.model_outputs) == 1
    report = pd.read_csv(home / "out" / "training_report.csv")
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "val_loss")
    values = {point.step: point.value for point in history if not point.model_id}
    assert values == pytest.approx(dict(zip(report["epoch"], report["val_loss"], strict=True)))


def test_offline_pyfunc_and_server_agree_on_every_record(trained, tmp_path: Path) -> None:
    example, home, run = trained
    path = ROOT / "examples" / example / "validation.csv"
    records = pd.read_csv(path)
    uri = f"runs:/{run.info.run_id}/model"
    offline = [
        {name: np.asarray(value).tolist() for name, value in score.items()}
        for score in BarrageModel(home / "out").predict(path)
    ]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run(
        [sys.executable, "-c", SCORE_ELSEWHERE, uri, path, elsewhere / "scores.json"],
        cwd=elsewhere,
        env=environment(home),
        check=True,
    )
    fresh = json.loads((elsewhere / "scores.json").read_text("utf-8"))

    columns = [column.name for column in mlflow.models.get_model_info(uri).signature.inputs]
    with serve(home, uri) as address:
        rows = json.loads(records[columns].to_json(orient="split", index=False))
        answer = post(f"{address}/invocations", {"dataframe_split": rows})
        one = post(
            f"{address}/invocations",
            {"dataframe_records": json.loads(records[columns][:1].to_json(orient="records"))},
        )
    assert_agree(fresh, offline)
    assert_agree(answer["predictions"], offline)
    assert_agree(one["predictions"], offline[:1])


def assert_agree(scores: list[dict], expected: list[dict]) -> None:
    assert len(scores) == len(expected)
    assert [list(score) for score in scores] == [list(score) for score in expected]
    for name, value in expected[0].items():
        left, right = ([score[name] for score in side] for side in (scores, expected))
        if isinstance(value, str):
            assert left == right
        elif isinstance(value, dict):
            assert_agree(left, right)
        else:
            np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)


@contextmanager
def serve(home: Path, uri: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [BIN / "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=home,
            env=environment(home),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            if server.poll() is not None or answers(f"{address}/ping"):
                break
            time.sleep(0.5)
        assert server.poll() is None, (home / "server.log").read_text("utf-8")
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, OSError):
        return False


def post(url: str, payload: dict) -> dict:
    request = urllib.request.Request(
        url, json.dumps(payload).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict = json.load(response)
        return answer


INPUTS = {"flower": ["petal_width", "petal_length", "sepal_width", "sepal_length"]}


def test_an_override_reaches_the_config_and_mlflows_params_stay(tmp_path: Path) -> None:
    ended = mlflow_run(
        tmp_path,
        *("-P", "solver.epochs=2"),
        *("-P", "solver.optimizer.learning_rate=1e-3"),
        *("-P", f"dataset.loader.params.inputs={json.dumps(INPUTS)}"),
        *("-P", "model.outputs.0.loss_weight=0.5"),
        *("-P", f"artifact-dir={tmp_path}/out"),
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    resolved = json.loads((tmp_path / "out" / "resolved_config.json").read_text("utf-8"))
    assert (resolved["solver"]["epochs"], resolved["solver"]["optimizer"]["learning_rate"]) == (
        2,
        0.001,
    )
    assert resolved["dataset"]["loader"]["params"]["inputs"] == INPUTS
    assert resolved["model"]["outputs"][0]["loss_weight"] == 0.5
    run = only_run()
    assert run.info.status == "FINISHED"
    assert run.data.params["solver.epochs"] == "2"
    assert run.data.params["solver.optimizer.learning_rate"] == "1e-3"
    assert run.data.params["solver.batch_size"] == str(resolved["solver"]["batch_size"])


def test_bad_input_fails_the_run_with_its_message(tmp_path: Path) -> None:
    ended = mlflow_run(tmp_path, "-P", "train=missing.csv", "-P", f"artifact-dir={tmp_path}/out")
    assert ended.returncode != 0
    run = only_run()
    assert run.info.status == "FAILED"
    assert "missing.csv: no such file" in run.data.tags["barrage.error"]


@pytest.mark.parametrize(
    "sent", [pytest.param(signal.SIGINT, id="SIGINT"), pytest.param(signal.SIGTERM, id="SIGTERM")]
)
def test_a_signal_ends_the_run_killed_with_its_checkpoints(
    tmp_path: Path, sent: signal.Signals
) -> None:
    command = [sys.executable, "-m", "barrage_mlflow", "train"]
    example = ["config.json", "train.csv", "validation.csv"]
    process = subprocess.Popen(
        [
            *command,
            *(ROOT / "examples" / "iris" / name for name in example),
            *("--artifact-dir", tmp_path / "out", "--solver.epochs", "100000"),
            *("--services.train_early_stopping.patience", "100000"),
            *("--services.validation_early_stopping.patience", "100000"),
        ],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        # Where these tests run in the background, the shell has SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    report = tmp_path / "out" / "training_report.csv"
    for _ in range(240):
        if report.exists() and len(report.read_text("utf-8").splitlines()) > 3:
            break
        time.sleep(0.5)
    process.send_signal(sent)
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    kept = f"go on with: --artifact-dir {tmp_path}/out --resume"
    assert errors.splitlines()[-1] == kept
    assert (tmp_path / "out" / "checkpoints" / "best.weights.h5").exists()
    run = only_run()
    assert run.info.status == "KILLED"


def test_mlflow_run_that_was_terminated_goes_on_when_it_is_started_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    extra = {
        "artifact-dir": out,
        "resume": "auto",
        "solver.epochs": 200,
        "services.train_early_stopping.patience": 1_000,
        "services.validation_early_stopping.patience": 1_000,
    }
    parameters = [word for name, value in extra.items() for word in ("-P", f"{name}={value}")]
    process = subprocess.Popen(
        [BIN / "mlflow", "run", ".", "--env-manager", "local", *parameters],
        cwd=ROOT,
        env=environment(tmp_path),
    )
    report = out / "training_report.csv"
    for _ in range(240):
        if report.exists() and len(report.read_text("utf-8").splitlines()) > 3:
            break
        time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    for _ in range(120):
        if "barrage.error" in (run := only_run()).data.tags:  # it comes after the status
            break
        time.sleep(0.5)
    assert run.info.status == "KILLED"
    assert run.data.tags["barrage.error"] == "KeyboardInterrupt: SIGTERM"
    checkpoint = find_checkpoint(out / "checkpoints" / "resume")
    assert checkpoint is not None
    assert 0 < checkpoint.epoch < 200

    ended = mlflow_run(tmp_path, *parameters)
    assert ended.returncode == 0, ended.stderr
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    (opened,) = [other for other in runs if other.info.run_id != run.info.run_id]
    assert opened.data.tags["barrage.resumed_run"] == run.info.run_id
    assert (opened.info.status, opened.data.metrics) == ("FINISHED", {})
    client = mlflow.MlflowClient()
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "val_loss")]
    assert steps == list(range(1, 201))
