"""One epoch trains, and the packaged model scores in a process and a folder of its own."""

import json
import os
import subprocess
import sys

import pandas as pd
from barrage_mlflow import BarrageModel
from conftest import CONFIG, TRAIN, VALIDATION

SCORE = """
import sys
import mlflow
from barrage_mlflow.dataset import Records

model, records, scores = sys.argv[1:]
frame = mlflow.pyfunc.load_model(model).predict(Records.read(records).to_frame())
frame.to_json(scores, orient="records", double_precision=15)
"""


def run(*command, folder):
    variables = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_epoch_trains_packages_and_scores(tmp_path):
    artifacts = tmp_path / "artifacts"
    options = ["--artifact-dir", artifacts, "--solver.epochs", "1"]
    train = ["-m", "barrage_mlflow", "train", CONFIG, TRAIN, VALIDATION, *options]
    printed = run(*train, folder=tmp_path)
    (model,) = (line.split()[1] for line in printed.splitlines() if line.startswith("model:"))

    elsewhere = tmp_path / "scores.json"
    run("-c", SCORE, model, VALIDATION, elsewhere, folder=tmp_path)
    scores = pd.DataFrame(json.loads(elsewhere.read_text("utf-8")))
    expected = pd.DataFrame(BarrageModel(artifacts).predict(VALIDATION))
    expected = pd.DataFrame(json.loads(expected.to_json(orient="records", double_precision=15)))
    pd.testing.assert_frame_equal(scores, expected, rtol=1e-5, atol=1e-6)
