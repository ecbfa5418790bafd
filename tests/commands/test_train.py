"""Which folder a training goes on in, and what is found before it begins."""

from __future__ import annotations

import http.server
import json
import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest
import tensorflow as tf
from outside import run
from small import small_config
from trainings import TRAIN, VALIDATION, kill, record_of

from barrage_mlflow import ArtifactError, ConfigError, Scorer, TrackingError, train
from barrage_mlflow.commands import train as command
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.config import read_config
from barrage_mlflow.evaluation.evaluate import evaluate
from barrage_mlflow.training.train import TrainingResult
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import RunRecord

HOME = Path("artifacts")


@pytest.fixture(scope="module")
def _killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = small_config(solver__epochs=2)
    del config["dataset"]["seed"]
    return kill(tmp_path_factory.mktemp("killed") / "out", (0, 1), config=config)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the recipe is called with, which is not run."""
    made: list[dict[str, Any]] = []

    def run(*arguments: Any, **options: Any) -> TrainingResult:
        made.append(options)
        return TrainingResult(Path("out"), None, None, 1, {})

    monkeypatch.setattr(command.recipe, "train", run)
    return made


@pytest.fixture
def home(_killed: Path) -> Path:
    """Two killed trainings of one config, the newer one last, and one of another."""
    import shutil

    for age, name in enumerate(("newer", "older", "other")):
        shutil.copytree(_killed, HOME / name)
        moment = time.time() - 100 * age
        os.utime(HOME / name / "run.json", (moment, moment))
    config = HOME / "other" / "resolved_config.json"
    config.write_text(config.read_text("utf-8").replace('"epochs": 2', '"epochs": 5'), "utf-8")
    os.utime(HOME / "other" / "run.json")
    return HOME


def auto(**options: Any) -> TrainingResult:
    config = small_config(solver__epochs=2)
    del config["dataset"]["seed"]
    return train(config, TRAIN, VALIDATION, resume="auto", offline=True, **options)


def test_auto_goes_on_with_the_newest_unfinished_training_of_the_same(home: Path) -> None:
    result = auto()
    assert result.artifact_dir == home / "newer"
    assert record_of(home / "newer").status == "FINISHED"


def test_auto_takes_one_after_the_other_and_then_begins_one(
    home: Path, calls: list[dict[str, Any]]
) -> None:
    auto()
    for name in ("newer", "older"):
        (home / name / "resolved_config.json").unlink()
        auto()
    auto(artifact_dir="mine")
    folders = [call["artifact_dir"] for call in calls]
    assert folders == [home / "newer", home / "older", None, Path("mine")]
    assert all(call["resume"] and call["publisher"] is None for call in calls)


def test_auto_waits_for_the_process_that_was_stopped(
    home: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = threading.Event()

    def occupy() -> None:
        with locked(home / "newer"):
            ready.set()
            time.sleep(0.5)

    thread = threading.Thread(target=occupy)
    thread.start()
    assert ready.wait(10)
    auto()
    thread.join()
    assert calls[0]["artifact_dir"] == home / "newer"
    monkeypatch.setattr(command, "_PATIENCE", 0)
    with locked(home / "newer"), pytest.raises(ArtifactError, match="in use by process"):
        auto()


def test_a_run_is_found_or_fetched(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(run_id: str, folder: Path) -> None:
        RunRecord(run_id=run_id).write(folder)

    monkeypatch.setattr(command, "fetch_training", fetch)

    def resume(run_id: str, folder: str | None = None) -> Path:
        train(small_config(), [], [], resume=run_id, artifact_dir=folder)
        found: Path = calls[-1]["artifact_dir"]
        return found

    fetched = resume("1f0c")
    assert fetched.parent == HOME
    assert resume("1f0c") == fetched
    assert resume("1f0c", "other") == Path("other")
    assert resume("2f0c") not in (fetched, Path("other"))
    message = r"^other has the run 1f0c, not 2f0c: name another folder$"
    with pytest.raises(ArtifactError, match=message):
        resume("2f0c", "other")


@pytest.mark.parametrize("options", [{"resume": True}, {"resume_anyway": True}])
def test_resuming_needs_a_folder(options: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match=r"^resume needs an artifact_dir \(--artifact-dir\)"):
        train(small_config(), TRAIN, VALIDATION, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"register": "a/b"}, r"could not register a model 'a/b'"),
        (
            {"register": "small", "alias": "latest"},
            r"^MLflow refuses the alias 'latest': expected letters, digits, _ and -, and not "
            r"latest, v1, v2 …, which are reserved; take one such as champion$",
        ),
        (
            {"alias": "champion"},
            r"^the alias 'champion' needs a registered model: name one by register \(--register "
            r"NAME\), or leave the alias out$",
        ),
    ],
)
def test_a_name_that_mlflow_refuses_opens_no_run(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TrackingError, match=message):
        train(small_config(), TRAIN, VALIDATION, **options)
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []
    assert not HOME.exists()


def test_what_breaks_before_the_run_is_opened_ends_the_one_that_mlflow_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with mlflow.start_run() as opened:
        pass
    monkeypatch.setenv("MLFLOW_RUN_ID", opened.info.run_id)
    with pytest.raises(Exception, match=r"^missing\.csv: no such file"):
        train(small_config(), "missing.csv", VALIDATION)
    run = mlflow.get_run(opened.info.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["barrage.error"].startswith("missing.csv: no such file")


def test_a_faulty_config_is_found_before_mlflow_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"^\$\.solver\.epochs: expected an integer ≥ 1, got 0$"):
        train(small_config(solver__epochs=0), TRAIN, VALIDATION)


def test_params_show_what_fills_the_placeholders() -> None:
    transformer = {"import": "check_parts.Coding"}
    config = small_config(dataset__transformer=transformer, solver__epochs=1)
    config["$schema"] = "./schema.json"
    config["model"]["network"]["params"]["layers"][2]["params"]["units"] = "{{classes}}"
    records = TRAIN.assign(label=["cat", "dog"] * 30)
    params = mlflow.get_run(str(train(config, records, records).run_id)).data.params
    assert params["model.network.params.layers.2.params.units"] == "2"
    assert [name for name in params if "schema" in name] == []


@pytest.mark.parametrize(
    "run",
    [
        lambda: train(small_config(solver__epochs=1), TRAIN, VALIDATION, offline=True),
        lambda: dry_run(read_config(small_config()), TRAIN),
    ],
    ids=["training", "dry run"],
)
def test_the_random_generators_of_the_caller_are_as_before(run: Callable[[], object]) -> None:
    def draws() -> list[float]:
        drawn = keras.random.uniform(()), tf.random.uniform(())
        return [random.random(), np.random.rand(), *map(float, drawn)]

    keras.utils.set_random_seed(3)
    expected = draws()
    keras.utils.set_random_seed(3)
    run()
    assert draws() == expected


def test_trainings_in_a_loop_have_draws_and_names_of_their_own() -> None:
    keras.utils.set_random_seed(3)
    drawn, names = set(), set()
    for _ in range(2):
        run_id = str(train(small_config(solver__epochs=1), TRAIN, VALIDATION).run_id)
        drawn.add((random.random(), np.random.rand()))
        names.add(mlflow.get_run(run_id).info.run_name)
    assert (len(drawn), len(names)) == (2, 2)


def test_a_used_folder_is_refused_before_anything_heavy_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").touch()
    (tmp_path / "config.json").write_text(json.dumps(small_config()), "utf-8")
    code = (
        "import sys\n"
        "from barrage_mlflow import ArtifactError, train\n"
        "try:\n"
        "    train('config.json', 'missing.csv', 'missing.csv', artifact_dir='out')\n"
        "except ArtifactError as error:\n"
        "    print(error, [name for name in ('keras', 'mlflow') if name in sys.modules])\n"
    )
    assert run([sys.executable, "-c", code], tmp_path) == (
        "out is not empty; nothing is overwritten: name a new folder []\n"
    )


def test_two_threads_train_at_once() -> None:
    barrier = threading.Barrier(2)

    def run(name: str) -> TrainingResult:
        barrier.wait(60)
        return train(small_config(solver__epochs=2), TRAIN, VALIDATION, artifact_dir=name)

    def environment() -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if "MLFLOW" not in name}

    before = environment()
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(run, ["one", "other"]))
    assert environment() == before
    for result in results:
        found = mlflow.get_run(str(result.run_id))
        best = {name: found.data.metrics[f"best_{name}"] for name in result.metrics}
        assert (found.info.status, best) == ("FINISHED", result.metrics)
        loss = evaluate(Scorer.load(result.artifact_dir), VALIDATION).metrics["label_log_loss"]
        assert loss == pytest.approx(result.metrics["val_loss"], 1e-6)


def test_what_gives_access_to_records_is_kept_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "barrage_mlflow")
    TRAIN.to_csv("train.csv", index=False)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{server.server_port}/train.csv"
        url = f"http://ann:s3cr3t@{place}?X-Amz-Signature=s3cr3t"
        result = train(small_config(solver__epochs=1), url, VALIDATION)
        with pytest.raises(ConfigError, match=r"no column 'c'") as error:
            train(small_config(dataset__loader__params__inputs={"x": "c"}), url, VALIDATION)
        server.shutdown()
    (source,) = [
        each.dataset.source
        for each in mlflow.get_run(str(result.run_id)).inputs.dataset_inputs
        if each.dataset.name == "train"
    ]
    assert json.loads(source) == {"url": f"http://{place}?…"}
    assert "inputs.x: train.csv?…: no column 'c'" in str(error.value)
    assert "s3cr3t" not in caplog.text
    assert [path for path in tmp_path.rglob("*.*") if b"s3cr3t" in read(path)] == []


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""
