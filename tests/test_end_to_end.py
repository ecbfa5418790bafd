"""The main job with real components, each command in a process of its own, as a person runs it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from outside import BIN, ROOT, assert_scores_agree, environment, invoke, run, serving, wait_for
from pages import blocks, commands
from runs import only_run
from workshop import ENGINE_PARTS

from barrage_mlflow import BarrageModel

PAGE = (ROOT / "docs" / "mlflow-run.md").read_text("utf-8")
SCORE = """
import sys
import mlflow, pandas
records = pandas.read_csv(sys.argv[1])
for number, model in enumerate(sys.argv[2:]):
    scores = mlflow.pyfunc.load_model(model).predict(records)
    scores.to_json(f"scores{number}.json", orient="records", double_precision=15)
"""
SCORE_BY_SPARK = """
import json, sys
import mlflow.pyfunc
from pyspark.sql import SparkSession
from pyspark.sql.functions import monotonically_increasing_id
model, path, result_type = sys.argv[1:]
spark = SparkSession.builder.master("local-cluster[2,1,1024]").getOrCreate()
read = spark.read.csv(path, header=True, inferSchema=True)
records = read.withColumn("row", monotonically_increasing_id()).repartition(4)
score = mlflow.pyfunc.spark_udf(spark, model, result_type or None, env_manager="local")
columns = mlflow.models.get_model_info(model).signature.inputs.input_names()
rows = records.select("row", score(*columns).alias("score")).orderBy("row").collect()
with open("scores.json", "w") as file:
    json.dump([row.score.asDict() for row in rows], file)
spark.stop()
"""
# Without one, MLflow takes the only output of a model for the whole score of a record.
RESULT_TYPES = {"iris": "struct<species: array<double>>", "penguins": ""}


def store(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


def examples(name: str) -> list[Path]:
    files = ("config.json", "train.csv", "validation.csv")
    return [ROOT / "examples" / name / file for file in files]


def plain(scores: Any) -> list[dict[str, Any]]:
    return [{name: np.asarray(value).tolist() for name, value in row.items()} for row in scores]


# docs/mlflow-run.md


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What a person clones, as far as the page's commands need it."""
    folder = tmp_path / "a checkout"
    for name in ("barrage_mlflow", "examples"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.slow
def test_a_page_does_what_it_describes_and_all_ways_to_score_agree(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {" ".join(shlex.split(command)[:2]): command for command in commands(PAGE)}
    assert named.keys() == {
        *("mlflow run", "barrage-mlflow train", "barrage-mlflow check", "mlflow ui"),
        *("mlflow models", "curl -s", "barrage-mlflow predict"),
    }
    for name in ("mlflow run", "barrage-mlflow train", "barrage-mlflow check"):
        run(named[name], checkout)
    run(named["barrage-mlflow predict"], checkout)
    path = examples("penguins")[-1]
    scores = pd.read_csv(checkout / "scores.csv")
    assert list(scores) == ["species", "species_probability", "body_mass_g"]
    expected = scores.to_dict("records")
    assert len(expected) == 103

    (first, second) = sorted((checkout / "artifacts").iterdir())
    copied = shutil.copytree(first / "model", tmp_path / "copied")
    run([sys.executable, "-c", SCORE, path, second / "model", copied], tmp_path)
    ways = [json.loads((tmp_path / f"scores{n}.json").read_text("utf-8")) for n in range(2)]
    ways.append(plain(BarrageModel(first).predict(path)))

    serve = shlex.split(named["mlflow models"])
    assert serve[:5] == ["mlflow", "models", "serve", "-m", "models:/penguins/1"]
    frame = pd.read_csv(path).drop(columns=["species", "body_mass_g"])
    records = json.loads(frame.to_json(orient="records"))
    requests = {
        "dataframe_split": json.loads(frame.to_json(orient="split", index=False)),
        "dataframe_records": records,
        "inputs": {name: [record[name] for record in records] for name in frame},
        "instances": records,
    }
    _, _, _, _, header, _, body = shlex.split(named["curl -s"])
    with serving(serve[4], checkout, *serve[5:7]) as address:
        (score,) = invoke(address, body.encode(), header.split(": ")[1])
        for form, payload in requests.items():
            ways.append(invoke(address, {form: payload}))
        parquet = frame.to_parquet()
        ways.append(invoke(address, parquet, "application/vnd.apache.parquet"))
        alone = [invoke(address, {"dataframe_records": [record]})[0] for record in records[:3]]
    assert score["species"] == "Gentoo"
    assert 4000 < score["body_mass_g"] < 5500
    assert_scores_agree(alone, expected[:3])
    for scored in ways:
        assert_scores_agree(scored, expected)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{checkout}/mlflow.db")
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    assert [one.info.status for one in runs] == ["FINISHED"] * 2
    assert {item.dataset.name for item in runs[0].inputs.dataset_inputs} == {"train", "validation"}
    assert [len(one.outputs.model_outputs) for one in runs] == [1, 1]


# Signals


def stopped(
    command: list[Any], folder: Path, out: Path, number: signal.Signals
) -> tuple[int, list[str]]:
    """Start a training and signal it after some epochs; its status, and the lines it printed."""
    log = out.with_name("training.log")
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(**store(out.parent)),
            stderr=file,
            # Where these tests run in the background, the shell has SIGINT ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    wait_for(lambda: epochs_in(out) > 3 or process.poll() is not None)
    process.send_signal(number)
    return process.wait(), log.read_text("utf-8").splitlines()


def epochs_in(out: Path) -> int:
    """How many epochs an artifact folder's history has."""
    metrics = out / "metrics.jsonl"
    return len(metrics.read_text("utf-8").splitlines()) if metrics.exists() else 0


PATIENCE = {f"services.{name}_early_stopping.patience": 99_999 for name in ("train", "validation")}


@pytest.mark.slow
def test_ctrl_c_ends_a_training_killed_and_prints_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"artifact-dir": out, "solver.epochs": 99_999, **PATIENCE}
    command = [BIN / "barrage-mlflow", "train", *examples("iris")]
    command += [f"--{name}={value}" for name, value in options.items()]
    status, lines = stopped(command, tmp_path, out, signal.SIGINT)
    assert status == 130, lines
    assert "Traceback" not in "".join(lines)
    assert lines[-1] == f"go on with: --artifact-dir {out} --resume"
    assert (out / "checkpoints" / "best.weights.h5").exists()
    assert only_run().info.status == "KILLED"


@pytest.mark.slow
def test_mlflow_run_with_overrides_goes_on_after_sigterm_when_it_is_started_again(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    inputs = {"flower": ["petal_width", "petal_length", "sepal_width", "sepal_length"]}
    options = {
        "artifact-dir": out,
        "resume": "auto",
        "solver.epochs": 200,
        "solver.optimizer.learning_rate": "1e-3",
        "dataset.loader.params.inputs": json.dumps(inputs),
        **PATIENCE,
    }
    parameters = [word for name, value in options.items() for word in ("-P", f"{name}={value}")]
    command = [BIN / "mlflow", "run", ".", "--env-manager", "local", *parameters]
    stopped(command, ROOT, out, signal.SIGTERM)
    wait_for(lambda: "barrage.error" in only_run().data.tags)  # it comes after the status
    killed = only_run()
    assert killed.info.status == "KILLED"
    assert killed.data.tags["barrage.error"] == "KeyboardInterrupt: SIGTERM"
    assert 3 < epochs_in(out) < 200

    run(command, ROOT, **store(tmp_path))
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    (opened,) = [other for other in runs if other.info.run_id != killed.info.run_id]
    assert opened.data.tags["barrage.resumed_run"] == killed.info.run_id
    assert (opened.info.status, opened.data.metrics) == ("FINISHED", {})
    finished = mlflow.get_run(killed.info.run_id)
    assert finished.info.status == "FINISHED"
    report = pd.read_csv(out / "training_report.csv")
    points = mlflow.MlflowClient().get_metric_history(finished.info.run_id, "val_loss")
    points = [point for point in points if not point.model_id]
    assert [point.step for point in points] == list(report["epoch"]) == list(range(1, 201))
    assert [point.value for point in points] == pytest.approx(list(report["val_loss"]))

    resolved = json.loads((out / "resolved_config.json").read_text("utf-8"))
    assert resolved["solver"]["optimizer"]["learning_rate"] == 0.001
    assert resolved["dataset"]["loader"]["params"]["inputs"] == inputs
    params = finished.data.params
    assert (params["solver.epochs"], params["solver.optimizer.learning_rate"]) == ("200", "1e-3")
    assert params["solver.batch_size"] == str(resolved["solver"]["batch_size"])


# Where else a model scores


@pytest.fixture(scope="module", params=["iris", "penguins"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, list[dict[str, Any]]]:
    """An example's name, the folder of its packaged model, and the scores of its validation set."""
    home = tmp_path_factory.mktemp(request.param)
    command = [BIN / "barrage-mlflow", "train", *examples(request.param), "--offline"]
    run([*command, "--artifact-dir", home / "out"], home)
    scores = BarrageModel(home / "out").predict(examples(request.param)[-1])
    return request.param, home, plain(scores)


@pytest.mark.nightly(part="clusters")
def test_a_spark_cluster_of_two_workers_scores_alike(trained, tmp_path: Path) -> None:
    name, home, expected = trained
    assert shutil.which("java"), "Spark needs Java 17 or 21"
    folder = home.parent / "pyspark"  # one of its own, as it is large
    if not folder.exists():
        install = [sys.executable, "-m", "pip", "install", "-q", "--target", folder]
        run([*install, "pyspark>=4,<5"], tmp_path)
    spark = {"PYTHONPATH": str(folder), "PYSPARK_PYTHON": sys.executable}
    command = [sys.executable, "-c", SCORE_BY_SPARK, home / "out" / "model", examples(name)[-1]]
    run([*command, RESULT_TYPES[name]], tmp_path, SPARK_LOCAL_IP="127.0.0.1", **spark)
    assert_scores_agree(json.loads((tmp_path / "scores.json").read_text("utf-8")), expected)


NOBODY = 65534
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    # Python itself may lie where only root can read.
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]


@pytest.mark.nightly(part="environments")
@pytest.mark.skipif(
    os.name != "posix" or os.getuid() != 0, reason="only root can become another user"
)
def test_another_user_serves_the_model_where_no_training_file_is(trained, tmp_path: Path) -> None:
    name, home, expected = trained
    frame = pd.read_csv(examples(name)[-1])
    elsewhere = Path(tempfile.mkdtemp(prefix="another-user-"))
    try:
        elsewhere.chmod(0o755)
        model = shutil.copytree(home / "out" / "model", elsewhere / "model")
        own = elsewhere / "home"
        own.mkdir()
        os.chown(own, NOBODY, NOBODY)
        home.rename(f"{home}-gone")
        try:
            with serving(model, own, prefix=AS_NOBODY, HOME=str(own)) as address:
                records = json.loads(frame.to_json(orient="records"))
                scores = invoke(address, {"dataframe_records": records})
        finally:
            Path(f"{home}-gone").rename(home)
    finally:
        shutil.rmtree(elsewhere)
    assert_scores_agree(scores, expected)


@pytest.mark.nightly(part="environments")
def test_the_packages_are_carried_to_a_machine_without_an_index(tmp_path: Path) -> None:
    for name in ENGINE_PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    page = (ROOT / "docs" / "machines.md").read_text("utf-8")
    wheels, install = (block for block in blocks(page, "sh") if "wheels" in block)
    run(wheels, tmp_path)
    run([sys.executable, "-m", "venv", "other"], tmp_path)
    run(f". other/bin/activate && {install} barrage-mlflow schema > schema.json", tmp_path)
    assert "solver" in (tmp_path / "schema.json").read_text("utf-8")


@pytest.mark.nightly(part="environments")
@pytest.mark.parametrize("trained", ["iris"], indirect=True)
@pytest.mark.parametrize("manager", ["uv", "virtualenv", "conda"])
def test_mlflow_builds_the_models_environment_and_scores_in_it(
    manager: str, trained, tmp_path: Path
) -> None:
    if not shutil.which(manager, path=environment()["PATH"]):
        pytest.skip(f"there is no {manager}")
    _, home, expected = trained
    command = ["mlflow", "models", "predict", "-m", home / "out" / "model"]
    options = ["--env-manager", manager, "-t", "csv", "-o", "scores.json"]
    environments = str(tmp_path / "environments")
    run([*command, "-i", examples("iris")[-1], *options], tmp_path, MLFLOW_ENV_ROOT=environments)
    scores = json.loads((tmp_path / "scores.json").read_text("utf-8"))["predictions"]
    assert_scores_agree(scores, expected)
