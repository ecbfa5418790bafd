"""Many models in one process, each with its own code: modules of one name, the engine's version."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small import small_config, small_frame

PARTS = '''
import keras
import numpy as np

from barrage_mlflow import IdentityTransformer


@keras.saving.register_keras_serializable("project")
class Scale(keras.layers.Layer):
    """One name for Keras, another factor in each project."""

    def call(self, x):
        return x * {factor}


class Transformer(IdentityTransformer):
    def postprocess(self, score):
        import project_late  # imported while it scores

        layer = keras.saving.deserialize_keras_object(
            {{"class_name": "project>Scale", "config": {{}}, "registered_name": "project>Scale"}}
        )
        scaled = float(layer(np.ones(1))[0])
        return {{"late": project_late.NAME, "own": {factor}, "registered": scaled}}
'''
SCORE = """
import json, sys, threading
import mlflow, pandas
from barrage_mlflow import BarrageModel

uris, records = json.loads(sys.argv[1]), pandas.read_json(sys.argv[2])[["a", "b"]]
models = {}
for uri in [*uris, uris[0]]:
    models[uri] = mlflow.pyfunc.load_model(uri)
answers = {uri: [] for uri in uris}

def score(uri):
    for _ in range(10):
        answers[uri].append(models[uri].predict(records).to_dict("records"))

threads = [threading.Thread(target=score, args=[uri]) for uri in uris for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert all(len(scores) == 20 for scores in answers.values())
folders = [BarrageModel(uri).predict(records) for uri in uris]
pairs = [[answers[uri], folder] for uri, folder in zip(uris, folders)]
print(json.dumps(pairs, default=lambda number: number.item()))
"""

pytestmark = pytest.mark.slow


def run(command: list[Any], folder: Path) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def package(home: Path, factor: int) -> Path:
    """Train a project of its own in a process of its own; the folder of its model."""
    home.mkdir()
    (home / "project_parts.py").write_text(PARTS.format(factor=factor), "utf-8")
    (home / "project_late.py").write_text(f"NAME = 'late {factor}'", "utf-8")
    config = small_config(
        solver__epochs=1, dataset__transformer={"import": "project_parts.Transformer"}
    )
    (home / "config.json").write_text(json.dumps(config), "utf-8")
    small_frame(20).to_csv(home / "train.csv", index=False)
    command = [sys.executable, "-m", "barrage_mlflow", "train", "config.json"]
    run([*command, "train.csv", "train.csv", "--offline", "--artifact-dir", "out"], home)
    return home / "out" / "model"


def with_another_engine(model: Path, copy: Path) -> Path:
    """A copy whose engine answers otherwise, and has files of its own."""
    shutil.copytree(model, copy)
    (copy / "data" / "columns.json").rename(copy / "data" / "known.json")
    layout = copy / "code" / "barrage_mlflow" / "workspace" / "layout.py"
    text = layout.read_text("utf-8")
    assert text.count('"columns.json"') == 1
    layout.write_text(text.replace('"columns.json"', '"known.json"'), "utf-8")
    engine = copy / "code" / "barrage_mlflow" / "scoring" / "scorer.py"
    text = engine.read_text("utf-8")
    called = "self._pipeline.postprocess(scores, records, params)"
    assert text.count(called) == 1
    older = "{'engine': np.array(['older'] * len(records), object)}"
    engine.write_text(text.replace(called, older), "utf-8")
    return copy


def test_models_of_one_name_each_run_their_own_code_and_engine(tmp_path: Path) -> None:
    models = [package(tmp_path / str(factor), factor) for factor in (2, 3)]
    models.append(with_another_engine(models[0], tmp_path / "older"))
    small_frame(5, seed=1).to_json(tmp_path / "records.json", orient="records")
    uris = json.dumps([str(model) for model in models])
    printed = run([sys.executable, "-c", SCORE, uris, tmp_path / "records.json"], tmp_path)
    expected: list[dict[str, Any]] = [
        {"late": f"late {factor}", "own": factor, "registered": float(factor)} for factor in (2, 3)
    ]
    expected.append({"engine": "older"})
    for (served, predicted), own in zip(
        json.loads(printed.splitlines()[-1]), expected, strict=True
    ):
        assert served == [[own] * 5] * 20
        assert predicted == [own] * 5
