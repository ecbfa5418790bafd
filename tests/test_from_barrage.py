"""A project that was written for barrage 0.6, brought over as docs/from-barrage.md says."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from outside import ROOT
from small import small_config

from barrage_mlflow import BarrageModel
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.config import find_faults, read_config, resolve_config

PAGE = (ROOT / "docs" / "from-barrage.md").read_text("utf-8")
IMPORTS = re.findall(r"^\| `((?:from|import) [^`]*)` \| `([^`]*)` \|$", PAGE, re.M)
"""The page's table of imports: in 0.6, now."""
(IO_UTILS,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
FRAME = pd.DataFrame(
    {"rooms": [1, 2, 3, 4] * 16, "area": range(20, 148, 2), "rent": range(300, 1580, 20)}
)
PARTS, NET = Path("rents", "parts.py"), Path("rents", "net.py")


@pytest.fixture(autouse=True)
def _old_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(Path(__file__).with_name("old_project"), tmp_path, dirs_exist_ok=True)
    monkeypatch.syspath_prepend(str(tmp_path))


def edit(path: Path, changes: list[tuple[str, str]]) -> None:
    text = path.read_text("utf-8")
    for old, new in changes:
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    for name in [name for name in sys.modules if name.partition(".")[0] == "rents"]:
        del sys.modules[name]


def change_what_check_finds() -> None:
    edit(PARTS, IMPORTS)
    Path("io_utils.py").write_text(IO_UTILS, "utf-8")
    config = json.loads(Path("config.json").read_text("utf-8"))
    optimizer = config["solver"]["optimizer"]
    rate, decay = optimizer["learning_rate"], optimizer.pop("params")["decay"]
    params = {"initial_learning_rate": rate, "decay_steps": 1, "decay_rate": decay}
    optimizer["learning_rate"] = {"import": "InverseTimeDecay", "params": params}
    config["services"]["best_checkpoint"]["monitor"] = "val_RootMeanSquaredError"
    Path("config.json").write_text(json.dumps(config), "utf-8")


def faults() -> list[str]:
    return [str(fault).split("  ")[1] for fault in find_faults(read_config("config.json"))]


def test_check_says_what_to_write():
    imports = (
        "importing module 'rents.parts' raised ModuleNotFoundError: No module named 'barrage'; "
        "in parts.py, write 'from barrage_mlflow.dataset import RecordLoader, RecordMode, "
        "RecordTransformer'; do without barrage.utils.io_utils"
    )
    assert faults() == [
        f"$.dataset.loader.import: 'rents.parts.Loader': {imports}",
        f"$.dataset.transformer.import: 'rents.parts.Scaler': {imports}",
        "$.solver.optimizer.params: unknown param 'decay'; write the learning_rate as an "
        "InverseTimeDecay of decay_steps 1, with this as decay_rate",
        "$.services.best_checkpoint.monitor: no output produces 'val_root_mean_squared_error'; "
        'did you mean "val_RootMeanSquaredError"?',
    ]
    change_what_check_finds()
    assert faults() == []


def test_metrics_are_monitored_as_the_config_writes_them():
    row = "`AUC` monitored as `val_auc`, `MeanSquaredError` as `val_mean_squared_error`"
    assert f"\n| {row} | as the config writes the metric" in PAGE
    change_what_check_finds()
    config = json.loads(Path("config.json").read_text("utf-8"))
    best = config["services"]["best_checkpoint"]
    for name, old in {"AUC": "val_auc", "MeanSquaredError": "val_mean_squared_error"}.items():
        config["model"]["outputs"][0]["metrics"] = [{"import": name}]
        best["monitor"] = old
        Path("config.json").write_text(json.dumps(config), "utf-8")
        assert faults() == [
            f"$.services.best_checkpoint.monitor: no output produces {old!r}; did you mean "
            f'"val_{name}"?'
        ]


def test_the_page_says_that_epochs_are_fewer_where_none_are_given():
    config = small_config()
    del config["solver"]["epochs"]
    epochs = resolve_config(config)["solver"]["epochs"]
    assert f"| no `epochs` | 50 in 0.6, {epochs} here: " in PAGE


def test_a_dry_run_says_the_rest_and_then_it_trains_packages_and_scores():
    change_what_check_finds()
    _, error = dry_run(read_config("config.json"), FRAME)
    assert isinstance(error, TypeError)
    assert "records are no list; make one of them: list(records)" in error.__notes__

    edit(PARTS, [("(self, records):\n", "(self, records):\n        records = list(records)\n")])
    _, error = dry_run(read_config("config.json"), FRAME)
    assert str(error) == (
        "$.model.network: rents.net.build gave a "
        "tensorflow.python.keras.engine.functional.Functional, expected a keras.Model; "
        "in net.py, write 'from keras import layers, models'"
    )

    edit(NET, IMPORTS)
    assert dry_run(read_config("config.json"), FRAME)[1] is None

    model = BarrageModel("artifacts")
    result = model.train("config.json", FRAME, FRAME[::4])
    (score,) = model.load().predict([{"rooms": 2, "area": 40}])
    assert (result.best_epoch in (1, 2), list(score)) == (True, ["rent"])
    # What fit gave the network, and load does not restore: 7 units.
    assert " Trainable params: 29 " in Path("artifacts", "network_summary.txt").read_text("utf-8")
