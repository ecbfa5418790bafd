"""The main job with real components: ``mlflow run``, then all the ways to score, that must agree.

Each example is trained by ``mlflow run`` in a fresh process, then scored from its artifact
folder, and by ``mlflow.pyfunc``, ``barrage-mlflow predict``, a Spark cluster of two workers and a
real ``mlflow models serve``, each in fresh processes elsewhere.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from barrage_mlflow import BarrageModel
from barrage_mlflow.services import find_checkpoint
from barrage_mlflow.workspace.history import History

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
SCORE_BY_MLFLOW = """
import sys
import mlflow, pandas
records = pandas.read_csv(sys.argv[2])
mlflow.pyfunc.load_model(sys.argv[1]).predict(records).to_json(sys.argv[3], orient="records",
                                                              double_precision=15)
"""
PREDICT = """
import sys
from barrage_mlflow.cli import main
main(["predict", *sys.argv[1:]])
"""
SCORE_BY_SPARK = """
import json, sys
import mlflow.pyfunc
from pyspark.sql import SparkSession
from pyspark.sql.functions import monotonically_increasing_id
model, path, result_type, scores = sys.argv[1:]
spark = SparkSession.builder.master("local-cluster[2,1,1024]").getOrCreate()
read = spark.read.csv(path, header=True, inferSchema=True)
records = read.withColumn("row", monotonically_increasing_id()).repartition(4)
score = mlflow.pyfunc.spark_udf(spark, model, result_type or None, env_manager="local")
columns = mlflow.models.get_model_info(model).signature.inputs.input_names()
rows = records.select("row", score(*columns).alias("score")).orderBy("row").collect()
with open(scores, "w") as file:
    json.dump([row.score.asDict() for row in rows], file)
spark.stop()
"""
# Without one, MLflow takes the only output of a model for the whole score of a record.
RESULT_TYPES = {"iris": "struct<species: array<double>>", "penguins": ""}
NOBODY = 65534
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # Python itself may lie where only root can read.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]

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


@pytest.fixture(scope="session")
def pyspark(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The variables with which a process finds Spark: in a folder of its own, as it is large."""
    assert shutil.which("java"), "Spark needs Java 17 or 21"
    folder = tmp_path_factory.mktemp("pyspark")
    install = [sys.executable, "-m", "pip", "install", "-q", "--target", folder, "pyspark>=4,<5"]
    subprocess.run(install, check=True)
    return {
        "PYTHONPATH": str(folder),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


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


def test_all_ways_to_score_agree_on_every_record(
    trained, tmp_path: Path, pyspark: dict[str, str]
) -> None:
    example, home, run = trained
    path = ROOT / "examples" / example / "validation.csv"
    uri = f"runs:/{run.info.run_id}/model"
    offline = [
        {name: np.asarray(value).tolist() for name, value in score.items()}
        for score in BarrageModel(home / "out").predict(path)
    ]
    signature = mlflow.models.get_model_info(uri).signature
    frame = pd.read_csv(path)[signature.inputs.input_names()]

    def ask_elsewhere(code: str, *arguments: object, **variables: str) -> list[dict]:
        """What a fresh process writes, in a folder that holds nothing else."""
        elsewhere = Path(tempfile.mkdtemp(dir=tmp_path))
        ended = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments), "scores.json"],
            cwd=elsewhere,
            env=environment(home) | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        scores: list[dict] = json.loads((elsewhere / "scores.json").read_text("utf-8"))
        return scores

    copied = shutil.copytree(home / "out" / "model", tmp_path / "copied")
    ways = {
        "artifact folder": ask_elsewhere(SCORE_BY_MLFLOW, home / "out" / "model", path),
        "a copy of it": ask_elsewhere(SCORE_BY_MLFLOW, copied, path),
        "pyfunc": ask_elsewhere(SCORE_BY_MLFLOW, uri, path),
        "predict": ask_elsewhere(PREDICT, path, uri, "-o"),
        "Spark": ask_elsewhere(SCORE_BY_SPARK, uri, path, RESULT_TYPES[example], **pyspark),
    }
    split = json.loads(frame.to_json(orient="split", index=False))
    records = json.loads(frame.to_json(orient="records"))
    columns = {name: [record[name] for record in records] for name in frame}
    requests = {
        "dataframe_split": split,
        "dataframe_records": records,
        "inputs": columns,
        "instances": records,
    }
    with serve(home, uri) as address:
        for form, payload in requests.items():
            ways[f"HTTP, {form}"] = invoke(address, json.dumps({form: payload}).encode())
        parquet = frame.to_parquet()
        ways["HTTP, Parquet"] = invoke(address, parquet, "application/vnd.apache.parquet")
        if example == "iris":  # MLflow reads CSV for numbers and strings alone
            csv = frame.to_csv(index=False).encode()
            ways["HTTP, CSV"] = invoke(address, csv, "text/csv")
        alone = [
            score
            for record in records[:3]
            for score in invoke(address, json.dumps({"dataframe_records": [record]}).encode())
        ]
    assert_agree(alone, offline[:3])
    for scores in ways.values():
        assert_agree(scores, offline)


@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="only root can become another user"
)
def test_another_user_serves_the_model_where_no_training_file_is(trained, tmp_path: Path) -> None:
    example, home, _ = trained
    path = ROOT / "examples" / example / "validation.csv"
    offline = [
        {name: np.asarray(value).tolist() for name, value in score.items()}
        for score in BarrageModel(home / "out").predict(path)
    ]
    records = json.loads(pd.read_csv(path).to_json(orient="records"))
    elsewhere = Path(tempfile.mkdtemp(prefix="another-user-"))
    try:
        elsewhere.chmod(0o755)
        model = shutil.copytree(home / "out" / "model", elsewhere / "model")
        own = elsewhere / "home"
        own.mkdir()
        os.chown(own, NOBODY, NOBODY)
        home.rename(f"{home}-gone")
        try:
            with serve(own, str(model), AS_NOBODY, HOME=str(own)) as address:
                body = json.dumps({"dataframe_records": records}).encode()
                scores = invoke(address, body)
        finally:
            Path(f"{home}-gone").rename(home)
    finally:
        shutil.rmtree(elsewhere)
    assert_agree(scores, offline)


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
def serve(home: Path, uri: str, prefix: Sequence[str] = (), **variables: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [BIN / "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*prefix, *command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=home,
            env=environment(home) | variables,
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


def invoke(address: str, body: bytes, content_type: str = "application/json") -> list[dict]:
    request = urllib.request.Request(f"{address}/invocations", body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as response:
        predictions: list[dict] = json.load(response)["predictions"]
        return predictions


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
    checkpoint = find_checkpoint(out, History(out / "metrics.jsonl"))
    assert checkpoint is not None
    assert 0 < checkpoint.epochs < 200

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
