"""One epoch trains, and the packaged model scores every record."""

import os
import subprocess
import sys

from barrage_mlflow.dataset import Records
from conftest import CONFIG,<% if cookiecutter.kind == "image" %> PROJECT,<% endif %> TRAIN, VALIDATION


def barrage(*arguments, folder):
    variables = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    command = [sys.executable, "-m", "barrage_mlflow", *arguments]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_one_epoch_trains_packages_and_scores(tmp_path):
    options = ["--artifact-dir", tmp_path / "artifacts", "--solver.epochs", "1"]
    printed = barrage("train", CONFIG, TRAIN, VALIDATION, *options, folder=tmp_path)
    (model,) = (line.split()[1] for line in printed.splitlines() if line.startswith("model:"))

    scores = tmp_path / "scores.jsonl"
    options = ["-o", scores<% if cookiecutter.kind == "image" %>, "--root", PROJECT / "data" / "images"<% endif %>]
    barrage("predict", VALIDATION, model, *options, folder=tmp_path)
    assert len(Records.read(scores)) == len(Records.read(VALIDATION))
