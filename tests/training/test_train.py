"""What a training leaves in its artifact folder."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import small_config
from trainings import OUT, TRAIN, VALIDATION, Finished, files, outcome, record_of

from barrage_mlflow import ComponentError, RecordError, Records, Scorer
from barrage_mlflow.evaluation.evaluate import evaluate
from barrage_mlflow.training.train import train
from barrage_mlflow.workspace.record import Dataset


def test_a_training_leaves_exactly_these_files(finished: Finished) -> None:
    resume = [path.name for path in (finished.folder / "checkpoints" / "resume").iterdir()]
    assert len(resume) == 2
    assert files(finished.folder) - {f"checkpoints/resume/{name}" for name in resume} == {
        "config.json",
        "resolved_config.json",
        "run.json",
        "metrics.jsonl",
        "model/MLmodel",
        "model/conda.yaml",
        "model/input_example.json",
        "model/python_env.yaml",
        "model/requirements.txt",
        "model/serving_input_example.json",
        "model/code/barrage_mlflow",
        "model/data/config.json",
        "model/data/columns.json",
        "model/data/signature.json",
        "model/data/network",
        "checkpoints/best.weights.h5",
        "tensorboard",
        "training_report.csv",
        "network_summary.txt",
        "learning_curves.png",
    }
    assert json.loads((finished.folder / "config.json").read_text("utf-8")) == small_config()


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_training_leaves_no_graph_in_memory(policy: str) -> None:
    """One of trainings that follow each other in a process took seven megabytes each."""
    optimizer = {"import": "AdamW", "learning_rate": 0.01, "params": {"use_ema": True}}
    config = small_config(solver__optimizer=optimizer, solver__epochs=1)

    def graphs_after(folder: str) -> int:
        keras.config.set_dtype_policy(policy)
        train(config, TRAIN, VALIDATION, artifact_dir=folder, packages=False)
        keras.backend.clear_session()
        gc.collect()
        return sum(issubclass(type(each), tf.Graph) for each in gc.get_objects())

    try:
        assert graphs_after("one") == graphs_after("two")
    finally:
        keras.config.set_dtype_policy("float32")


def test_the_record_tells_how_it_went(finished: Finished) -> None:
    record = record_of(finished.folder)
    assert record.ended is not None
    assert record.started <= record.ended
    assert (record.status, record.error, record.published) == ("FINISHED", None, True)
    assert record.tags == {"by": "a test"}
    columns = {"a": "float64", "b": "float64", "label": "int64"}
    assert record.datasets == tuple(
        Dataset(name, Records.read(frame).digest(), "", columns, len(frame))
        for name, frame in (("train", TRAIN), ("validation", VALIDATION))
    )
    result = finished.result
    assert (result.run_id, result.best_epoch) == ("1f0c", record.best_epoch)
    assert (result.model_uri, result.version_uri) == (None, None)


def test_every_metric_of_every_epoch_is_reported(finished: Finished) -> None:
    report = pd.read_csv(finished.folder / "training_report.csv", index_col="epoch")
    lines = (finished.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    for line, (epoch, row) in zip(map(json.loads, lines), report.iterrows(), strict=True):
        assert (line["step"], line["metrics"]) == (epoch, pytest.approx(dict(row)))
    names = ["accuracy", "learning_rate", "loss", "val_accuracy", "val_loss"]
    assert sorted(report.columns) == names
    assert finished.result.best_epoch == report["val_loss"].idxmin()
    assert finished.result.metrics == pytest.approx(dict(report.loc[finished.result.best_epoch]))


def test_the_publisher_follows_from_the_run_record_to_the_true_status(finished: Finished) -> None:
    begun, ended = finished.publisher.records
    assert (begun.status, begun.run_id, begun.best_epoch) == ("RUNNING", None, None)
    assert finished.publisher.files[0] == {
        "run.json", "config.json", "resolved_config.json", "lock"
    }  # fmt: skip
    assert (ended.status, ended.run_id) == ("FINISHED", "1f0c")
    assert ended.best_epoch == finished.result.best_epoch
    assert finished.publisher.files[1] - {"lock"} == files(finished.folder)


def test_a_folder_is_named_a_seed_drawn_and_nothing_of_the_caller_changed() -> None:
    config = small_config(solver__epochs=1)
    del config["dataset"]["seed"]
    given = config, TRAIN.copy(), VALIDATION.copy()
    result = train(*given, overrides={"solver.batch_size": 8})
    assert result.artifact_dir.parent == Path("artifacts")
    resolved = json.loads((result.artifact_dir / "resolved_config.json").read_text("utf-8"))
    assert 0 <= resolved["dataset"]["seed"] < 2**31
    assert resolved["solver"]["batch_size"] == 8
    written = json.loads((result.artifact_dir / "config.json").read_text("utf-8"))
    assert "seed" not in written["dataset"]
    assert "seed" not in config["dataset"]
    pd.testing.assert_frame_equal(given[1], TRAIN)
    pd.testing.assert_frame_equal(given[2], VALIDATION)


@pytest.mark.parametrize(
    "way",
    [
        {"solver.steps_per_execution": 2, "services.tensorboard": {"update_freq": 3}},
        {"dataset.cache": "disk", "dataset.workers": 1},
        {},
    ],
)
def test_how_it_is_run_does_not_change_what_is_trained(
    way: dict[str, Any], finished: Finished
) -> None:
    source: Any = TRAIN
    if not way:
        TRAIN.to_parquet("train.parquet", row_group_size=16)
        source = "train.parquet"
    result = train(small_config(), source, VALIDATION, artifact_dir=OUT, overrides=way)
    assert result.metrics == finished.result.metrics
    assert outcome(OUT) == outcome(finished.folder)
    assert not (OUT / "cache").exists()


def test_training_leaves_the_process_as_it_was() -> None:
    def state() -> tuple[Any, ...]:
        threads = {thread.name for thread in threading.enumerate()}
        return list(sys.path), dict(os.environ), threads

    before = None
    for name in ("first", "second"):
        train(small_config(solver__epochs=1), TRAIN, VALIDATION, artifact_dir=name)
        before = before or state()
    assert state() == before


def test_a_training_in_mixed_precision_compiled_by_xla(finished: Finished) -> None:
    import keras

    overrides = {"solver.dtype_policy": "mixed_bfloat16", "solver.jit_compile": True}
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir=OUT, overrides=overrides)
    assert keras.config.dtype_policy().name == "float32"
    assert abs(result.metrics["val_loss"] - finished.result.metrics["val_loss"]) < 0.02
    assert "label_as_float32" in (OUT / "network_summary.txt").read_text("utf-8")
    scores = Scorer.load(OUT).score(VALIDATION)["label"]
    assert scores.dtype == np.float32
    assert np.allclose(scores.sum(axis=1), 1, atol=0.02)


def test_averages_of_the_weights_are_packaged_as_they_were_validated() -> None:
    import keras

    averaging = {"use_ema": True, "ema_momentum": 0.9}
    optimizer = {"import": "Adam", "learning_rate": 0.1, "params": averaging}
    config = small_config(solver__optimizer=optimizer)
    result = train(config, TRAIN, VALIDATION, artifact_dir=OUT)
    measured = evaluate(Scorer.load(OUT), VALIDATION).metrics
    assert measured["label_log_loss"] == pytest.approx(result.metrics["val_loss"], 1e-6)
    swap = {"callbacks": [keras.callbacks.SwapEMAWeights()], "artifact_dir": "swapped"}
    with pytest.raises(ComponentError, match=r"^callbacks: 'SwapEMAWeights' is done already: "):
        train(config, TRAIN, VALIDATION, **swap)


def test_larger_than_memory_in_windows_until_a_file_is_changed() -> None:
    import keras

    file = Path("train/part=1/0.parquet")
    file.parent.mkdir(parents=True)
    TRAIN.to_parquet(file, row_group_size=16)
    VALIDATION.to_parquet("validation.parquet", row_group_size=16)
    overrides = {"dataset.shuffle_window": 20, "solver.optimizer.learning_rate": 0.1}

    def run(folder: str, function: Any = None) -> Any:
        call = keras.callbacks.LambdaCallback(on_epoch_begin=function)
        return train(
            small_config(),
            f"file://{Path('train').resolve()}/",
            "validation.parquet",
            artifact_dir=folder,
            overrides=overrides,
            callbacks=[call],
        )

    def mark(epoch: int, logs: object) -> None:
        file.with_name("_SUCCESS").touch()

    once, again = run("once"), run("again", mark)
    assert once.metrics == again.metrics
    assert once.metrics["val_accuracy"] >= 0.75

    def overwrite(epoch: int, logs: object) -> None:
        if epoch == 1:
            file.write_bytes(file.read_bytes())

    message = r"^file://.*/train/part=1/0\.parquet was changed while it was trained on"
    with pytest.raises(RecordError, match=message):
        run("changed", overwrite)
