"""docs/errors.md: each message on it is the one that a user gets."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_messages import messages
from outside import ROOT, free_port
from pages import assert_shown, blocks
from small import TRAIN, VALIDATION, small_config

import barrage_mlflow
from barrage_mlflow import BarrageModel, errors
from barrage_mlflow.dataset import RecordMode, build_loader
from barrage_mlflow.pyfunc import load_scorer

PAGE = (ROOT / "docs" / "errors.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.M | re.S))


def train(config: Any = None, records: Any = TRAIN, **options: Any) -> None:
    options = {"offline": True, "artifact_dir": "new", **options}
    barrage_mlflow.train(config or small_config(), records, VALIDATION, **options)


def faulty_config() -> None:
    config = small_config()
    config["solver"]["epoch"] = config["solver"].pop("epochs")
    config["model"]["outputs"][0]["loss"]["import"] = "msee"
    config["services"]["best_checkpoint"] = {"monitor": "loss", "mode": "min"}
    Path("config.json").write_text(json.dumps(config, indent=2), "utf-8")
    train("config.json")


def other_loss() -> None:
    config = small_config()
    config["model"]["outputs"][0]["loss"]["import"] = "categorical_crossentropy"
    train(config)


def own_code() -> None:
    Path("shop.py").write_text(SHOP, "utf-8")
    train(small_config(dataset__loader={"import": "shop.Loader"}))


def bad_cell() -> None:
    cells = VALIDATION["b"].astype(object)
    cells[3] = "n.d."
    VALIDATION.assign(b=cells).to_csv("validation.csv", index=False)
    TRAIN.to_csv("train.csv", index=False)
    barrage_mlflow.train(small_config(), "train.csv", "validation.csv", offline=True)


def diverging() -> None:
    config = small_config(solver__optimizer={"import": "SGD", "learning_rate": 1e30})
    config["model"]["outputs"][0] = {"name": "label", "loss": {"import": "mse"}}
    config["model"]["network"]["params"]["layers"][2]["params"] = {"units": 1, "name": "label"}
    train(config)


def unanswered() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", uri)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        train(offline=False)


def mistyped_metric() -> None:
    train(offline=False, register="flowers")
    barrage_mlflow.promote("models:/flowers/1", VALIDATION, alias="champion", metric="acuracy")


def unmet() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_CONFIG", '{"worker": ["10.0.0.1:7001"]}')
        train()


def unseeded_search() -> None:
    config = small_config()
    del config["dataset"]["seed"]
    search = {"space": {"solver.batch_size": [16, 32]}}
    storage = "sqlite:///trials.db"
    barrage_mlflow.tune(config, search, TRAIN, VALIDATION, artifact_dir="s", storage=storage)


SHOP = """
import numpy as np
from barrage_mlflow.dataset import RecordLoader


class Loader(RecordLoader):
    def load(self, record):
        x = {"x": np.array([record["a"], record["b"] / record["label"]])}
        return x, {"label": np.array(record["label"])}
"""
CASES: dict[str, Callable[[], object]] = {
    "Faults in a config": faulty_config,
    "An import path that leads nowhere": lambda: build_loader(
        {"dataset": {"loader": {"import": "shop.Loader"}}}, RecordMode.TRAIN
    ),
    "Stages that do not fit together": other_loss,
    "An error in your own code": own_code,
    "A cell that is not of its column's kind": bad_cell,
    "A column that is not there": lambda: train(records=TRAIN.drop(columns="b")),
    "A file that is not there": lambda: train(records="trian.csv"),
    "A record that a model refuses": lambda: BarrageModel("done").predict([{"a": "x", "b": 1}]),
    "A folder that is taken": lambda: train(artifact_dir="done"),
    "What was begun has changed": lambda: train(
        small_config(solver__batch_size=8), artifact_dir="done", resume=True
    ),
    "No model there": lambda: load_scorer("models:/flowers/9"),
    "A server that does not answer": unanswered,
    "A run that is not there": lambda: barrage_mlflow.reproduce("0" * 32),
    "A loss that is not a number": diverging,
    "A metric that is not there": mistyped_metric,
    "A search that cannot begin": unseeded_search,
    "Processes that do not meet": unmet,
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training."""
    folder = tmp_path_factory.mktemp("done") / "done"
    with contextlib.chdir(folder.parent):
        train(artifact_dir=folder)
    return folder


def test_every_kind_of_error_has_its_remedy() -> None:
    tree = re.findall(r"── (\w+)", errors.__doc__ or "")
    assert [name for name in tree if f"`{name}`" not in PAGE] == []
    assert [*SECTIONS] == [*CASES]


@pytest.mark.parametrize("name", CASES)
def test_a_message_is_what_a_user_gets(name: str, done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, "done")
    (shown,) = blocks(SECTIONS[name], "text")
    assert_shown(shown, messages({name: CASES[name]}))
