"""What a training leaves: files, the MLflow run, and how each way to fail ends."""

from __future__ import annotations

import json
import math
import os
import sys
import textwrap
import threading
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from small import small_config, small_frame

from barrage_mlflow import (
    ArtifactError,
    BarrageModel,
    ComponentError,
    ConfigError,
    RecordError,
    TrackingError,
    TrainingError,
    train,
)
from barrage_mlflow.dataset import Records

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)


APART = ("model/data/network", "model/code/barrage_mlflow", "tensorboard")
"""Folders whose files are not told one by one."""


def files(folder: Path) -> set[str]:
    """Names of all files below a folder."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {
        next(
            (
                own
                for own in ("model/data/network", "model/code/barrage_mlflow", "tensorboard")
                if name.startswith(own)
            ),
            name,
        )
        for name in found
    }


def only_run() -> mlflow.entities.Run:
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return run


def test_a_training_leaves_exactly_these_files(tmp_path: Path) -> None:
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out")
    assert files(result.artifact_dir) == {
        "config.json",
        "resolved_config.json",
        "run.json",
        "result.json",
        "metrics.jsonl",
        "model/MLmodel",
        "model/conda.yaml",
        "model/input_example.json",
        "model/python_env.yaml",
        "model/requirements.txt",
        "model/serving_input_example.json",
        "model/code/barrage_mlflow",
        "model/data/config.json",
        "model/data/signature.json",
        "model/data/network",
        "checkpoints/best.weights.h5",
        "checkpoints/resume/epoch-00002.npz",
        "checkpoints/resume/epoch-00003.npz",
        "tensorboard",
        "training_report.csv",
        "network_summary.txt",
        "learning_curves.png",
    }
    assert json.loads((result.artifact_dir / "config.json").read_text("utf-8")) == small_config()
    about = json.loads((result.artifact_dir / "run.json").read_text("utf-8"))
    run = only_run()
    assert about.pop("started") - 10_000 < run.info.start_time < about.pop("ended")
    tags = about.pop("tags")
    assert {name: run.data.tags[name] for name in tags} == tags
    assert about == {
        "run_id": result.run_id,
        "experiment_id": run.info.experiment_id,
        "tracking_uri": mlflow.get_tracking_uri(),
        "experiment": None,
        "run_name": None,
        "register": None,
        "alias": None,
        "status": "FINISHED",
        "error": None,
        "complete": True,
        "datasets": [
            {
                "name": name,
                "context": name,
                "digest": Records.read(frame).digest(),
                "source": "",
                "columns": {"a": "float64", "b": "float64", "label": "int64"},
                "rows": len(frame),
            }
            for name, frame in (("train", TRAIN), ("validation", VALIDATION))
        ],
    }
    told = json.loads((result.artifact_dir / "result.json").read_text("utf-8"))
    assert told == {
        "model_uri": result.model_uri,
        "version_uri": None,
        "best_epoch": result.best_epoch,
        "metrics": result.metrics,
    }


def test_the_artifact_folder_has_a_default_name(tmp_path: Path) -> None:
    result = train(small_config(solver__epochs=1), TRAIN, VALIDATION)
    assert result.artifact_dir.parent == Path("artifacts")
    assert result.artifact_dir.name.endswith(f"-{result.run_id}")


def test_the_run_holds_what_was_trained(tmp_path: Path) -> None:
    result = train(
        small_config(), TRAIN, VALIDATION, experiment="small", run_name="first", register="small"
    )
    run = only_run()
    assert (run.info.run_id, run.info.status) == (result.run_id, "FINISHED")
    assert run.info.run_name == "first"
    assert mlflow.get_experiment(run.info.experiment_id).name == "small"
    assert run.data.params["solver.epochs"] == "3"
    assert run.data.params["solver.optimizer.import"] == "Adam"
    assert run.data.params["dataset.seed"] == "7"
    assert run.data.params["dataset.loader.params.inputs.x"] == '["a", "b"]'
    assert {(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs} == {
        ("train", _digest(TRAIN)),
        ("validation", _digest(VALIDATION)),
    }
    logged = {item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert logged == {
        "config.json",
        "resolved_config.json",
        "run.json",
        "result.json",
        "metrics.jsonl",
        "resume",
        "checkpoints",
        "tensorboard",
        "training_report.csv",
        "network_summary.txt",
        "learning_curves.png",
    }
    model = mlflow.get_logged_model(result.model_uri.removeprefix("models:/"))
    assert (model.name, model.source_run_id) == ("model", run.info.run_id)
    assert {m.key: m.value for m in model.metrics} == pytest.approx(result.metrics)
    assert mlflow.MlflowClient().get_model_version("small", "1").run_id == run.info.run_id


def _digest(frame: pd.DataFrame) -> str:
    from barrage_mlflow import Records

    return Records.read(frame).digest()


def test_every_metric_of_every_epoch_is_logged_and_reported(tmp_path: Path) -> None:
    result = train(small_config(), TRAIN, VALIDATION)
    report = pd.read_csv(result.artifact_dir / "training_report.csv", index_col="epoch")
    assert list(report.index) == [1, 2, 3]
    assert sorted(report.columns) == [
        "accuracy",
        "learning_rate",
        "loss",
        "val_accuracy",
        "val_loss",
    ]
    for name in report.columns:
        history = mlflow.MlflowClient().get_metric_history(result.run_id, name)
        logged = {point.step: point.value for point in history if not point.model_id}
        assert logged == pytest.approx(dict(report[name])), name
    assert result.best_epoch == report["val_loss"].idxmin()
    assert result.metrics == pytest.approx(dict(report.loc[result.best_epoch]))


def test_the_same_seed_gives_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    scores = []
    for name in ("first", "second"):
        model = BarrageModel(name)
        model.train(small_config(), TRAIN, VALIDATION)
        scores.append(np.stack([score["label"] for score in model.predict(VALIDATION)]))
        checkpoints = Path(name, "checkpoints", "resume", "epoch-00003.npz")
        assert checkpoints.exists()
    assert np.array_equal(*scores)
    first, second = (
        np.load(Path(name, "checkpoints", "resume", "epoch-00003.npz"))
        for name in ("first", "second")
    )
    weights = [key for key in first.files if first[key].dtype.kind == "f"]
    assert weights
    assert all(np.array_equal(first[key], second[key]) for key in weights)


def test_a_seed_is_drawn_and_kept_where_the_config_has_none(tmp_path: Path) -> None:
    config = small_config(solver__epochs=1)
    del config["dataset"]["seed"]
    result = train(config, TRAIN, VALIDATION)
    resolved = json.loads((result.artifact_dir / "resolved_config.json").read_text("utf-8"))
    seed = resolved["dataset"]["seed"]
    assert 0 <= seed < 2**31
    assert only_run().data.params["dataset.seed"] == str(seed)
    assert (
        "seed"
        not in json.loads((result.artifact_dir / "config.json").read_text("utf-8"))["dataset"]
    )


def test_what_the_caller_gave_is_not_changed(tmp_path: Path) -> None:
    config, train_frame, validation = (
        small_config(solver__epochs=1),
        TRAIN.copy(),
        VALIDATION.copy(),
    )
    train(config, train_frame, validation, overrides={"solver.batch_size": 8})
    assert config == small_config(solver__epochs=1)
    pd.testing.assert_frame_equal(train_frame, TRAIN)
    pd.testing.assert_frame_equal(validation, VALIDATION)


def test_a_faulty_config_opens_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^\$\.solver\.epochs: expected an integer ≥ 1, got 0$"):
        train(small_config(solver__epochs=0), TRAIN, VALIDATION)
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []
    assert not Path("artifacts").exists()


def test_a_used_artifact_folder_is_never_overwritten(tmp_path: Path) -> None:
    train(small_config(solver__epochs=1), TRAIN, VALIDATION, artifact_dir="out")
    before = files(Path("out"))
    message = (
        r"^out already holds a run; nothing is overwritten: name a new folder, or go on "
        r"with that run: --resume$"
    )
    with pytest.raises(ArtifactError, match=message):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="out")
    assert files(Path("out")) == before
    assert only_run().info.status == "FINISHED"
    Path("other").mkdir()
    Path("other", "notes.txt").touch()
    with pytest.raises(ArtifactError, match=r"^other is not empty; nothing is overwritten"):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="other")
    with pytest.raises(ArtifactError, match=r"^other/notes\.txt: expected a folder, got a file$"):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="other/notes.txt")


def assert_failed(error: pytest.ExceptionInfo[BaseException]) -> None:
    run = only_run()
    assert run.info.status == "FAILED"
    assert str(error.value) in run.data.tags["barrage.error"]


def test_records_that_cannot_be_read_fail_the_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"missing\.csv: no such file") as error:
        train(small_config(), "missing.csv", VALIDATION)
    assert_failed(error)


def test_a_missing_column_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"train: no column 'b'") as error:
        train(small_config(), TRAIN.drop(columns="b"), VALIDATION)
    assert_failed(error)


def test_an_empty_validation_set_fails_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        RecordError, match=r"^validation holds no records; give at least one$"
    ) as error:
        train(small_config(), TRAIN, VALIDATION[:0])
    assert_failed(error)


NAN_IN_B = (
    r"^train, record 5: input 'x', column 'b': expected a number, got a missing value \(NaN\) "
    r"\(stage feed, component KeySelector\)$"
)


def test_nan_in_a_record_fails_the_run(tmp_path: Path) -> None:
    broken = TRAIN.copy()
    broken.loc[5, "b"] = math.nan
    with pytest.raises(RecordError, match=NAN_IN_B) as error:
        train(small_config(), broken, VALIDATION)
    assert_failed(error)


def test_a_loss_that_becomes_nan_fails_the_run(tmp_path: Path) -> None:
    config = small_config(
        solver__optimizer={"import": "SGD", "learning_rate": 1e38},
        model__outputs=[{"name": "label", "loss": {"import": "mse"}}],
        dataset__loader={
            "import": "KeySelector",
            "params": {"inputs": {"x": ["a", "b"]}, "outputs": {"label": ["a", "b"]}},
        },
    )
    with pytest.raises(TrainingError, match=r"epoch 1.*batch [12]") as error:
        train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert_failed(error)


def write_project(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(textwrap.dedent(text), "utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on sys.path for modules of a test's own, each with a name of its own."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


FORGETFUL = """
    from barrage_mlflow.dataset import RecordTransformer

    class Forgetful(RecordTransformer):
        def fit(self, records):
            self.mean = float(sum(r["a"] for r in records)) / len(records)

        def transform(self, data_record):
            x, *rest = data_record
            return ({"x": x["x"] - getattr(self, "mean", 0.0)}, *rest)

        def postprocess(self, score):
            return score

        def save(self, path):
            pass

        def load(self, path):
            pass
"""


def test_a_transformer_that_forgets_is_found_before_training(project: Path) -> None:
    write_project(project, "forgetful", FORGETFUL)
    message = (
        r"^forgetful\.Forgetful: expected transform to give the same arrays after save and load, "
        r"got others; "
        r"save must write all that fit learnt, and load must restore it$"
    )
    config = small_config(dataset__transformer={"import": "forgetful.Forgetful"})
    with pytest.raises(ComponentError, match=message) as error:
        train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert_failed(error)
    assert not Path("out", "training_report.csv").exists()


BREAKS_AT_THE_END = """
    import sys

    from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, RecordMode

    class NeedsTargets(RecordLoader):
        def load(self, record):
            x = {"x": [record["a"], record["b"]]}
            if self.mode is RecordMode.SCORE:
                raise ZeroDivisionError("no targets")
            return x, {"label": record["label"]}

    class BrokenPostprocess(IdentityTransformer):
        def postprocess_batch(self, scores):
            raise ZeroDivisionError("no scores")

    class RefusesUntrained(IdentityTransformer):
        calls = 0

        def postprocess_batch(self, scores):
            RefusesUntrained.calls += 1
            # In the process that trains: the batch, then its first record alone.
            if "pytest" in sys.modules and RefusesUntrained.calls <= 2:
                raise OverflowError("exp of a huge number")
            return scores
"""


@pytest.mark.parametrize(
    ("component", "place"),
    [
        ("loader", "in train, record 0, stage load, component late.NeedsTargets"),
        (
            "transformer",
            "in train, record 0, stage postprocess, component late.BrokenPostprocess\n"
            "found before training, on scores of the untrained network",
        ),
    ],
)
def test_what_would_break_after_training_is_found_before(
    project: Path, component: str, place: str
) -> None:
    write_project(project, "late", BREAKS_AT_THE_END)
    name = place.splitlines()[0].split()[-1]
    config = small_config(**{f"dataset__{component}": {"import": name}})
    with pytest.raises(ZeroDivisionError) as error:
        train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert "\n".join(error.value.__notes__) == place
    assert only_run().data.tags["barrage.error"] == f"ZeroDivisionError: {error.value}\n{place}"
    assert only_run().info.status == "FAILED"
    assert not Path("out", "training_report.csv").exists()


def test_a_postprocess_may_refuse_what_only_an_untrained_network_gives(project: Path) -> None:
    write_project(project, "refusing", BREAKS_AT_THE_END)
    config = small_config(
        dataset__transformer={"import": "refusing.RefusesUntrained"}, solver__epochs=1
    )
    assert train(config, TRAIN, VALIDATION).best_epoch == 1


def test_an_artifact_folder_that_cannot_be_made_opens_no_run(tmp_path: Path) -> None:
    Path("file").touch()
    message = r"^file/out: the folder cannot be written to \(.*Not a directory.*\); name"
    with pytest.raises(ArtifactError, match=message):
        train(small_config(), TRAIN, VALIDATION, artifact_dir="file/out")
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


def test_a_name_that_cannot_be_registered_opens_no_run(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"could not register a model 'a/b'"):
        train(small_config(), TRAIN, VALIDATION, register="a/b")
    assert mlflow.search_runs(search_all_experiments=True, output_format="list") == []


def test_training_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    train(small_config(solver__epochs=1), TRAIN, VALIDATION)
    before = list(sys.path), dict(os.environ), {thread.name for thread in threading.enumerate()}
    train(small_config(solver__epochs=1), TRAIN, VALIDATION)
    after = list(sys.path), dict(os.environ), {thread.name for thread in threading.enumerate()}
    assert after == before
    assert mlflow.active_run() is None


def test_the_projects_code_is_kept_beside_the_model(project: Path) -> None:
    text = FORGETFUL.replace("        def save(self, path):\n            pass", KEEPING_SAVE)
    text = text.replace("        def load(self, path):\n            pass", KEEPING_LOAD)
    write_project(project, "keeping", text)
    config = small_config(dataset__transformer={"import": "keeping.Forgetful"}, solver__epochs=1)
    result = train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert files(Path("out", "code")) == {"keeping.py"}
    assert Path("out", "model", "data", "transformer", "mean.txt").exists()
    assert result.best_epoch == 1


KEEPING_SAVE = """\
        def save(self, path):
            (path / "mean.txt").write_text(repr(self.mean))"""
KEEPING_LOAD = """\
        def load(self, path):
            self.mean = float((path / "mean.txt").read_text())"""


NAN_METRIC = """
    import keras

    class NanOutsideTraining(keras.layers.Layer):
        def call(self, x, training=False):
            return x if training else x * float("nan")

    def network():
        x = keras.Input((2,), name="x")
        hidden = NanOutsideTraining()(keras.layers.Dense(2, activation="softmax")(x))
        return keras.Model({"x": x}, {"label": hidden})
"""


def test_a_validation_metric_that_is_always_nan_fails_and_keeps_the_checkpoint(
    project: Path,
) -> None:
    write_project(project, "nan_metric", NAN_METRIC)
    config = small_config(model__network={"import": "nan_metric.network"})
    with pytest.raises(TrainingError, match=r"^no best checkpoint: val_loss was a fin") as error:
        train(config, TRAIN, VALIDATION, artifact_dir="out")
    assert_failed(error)
    assert Path("out", "checkpoints", "resume", "epoch-00003.npz").exists()
    logged = mlflow.MlflowClient().list_artifacts(only_run().info.run_id, "resume")
    assert "resume/a" in {item.path for item in logged}


def test_an_interrupted_run_is_killed_and_keeps_its_checkpoints(tmp_path: Path) -> None:
    import keras

    def interrupt(epoch: int, logs: object) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as error:
        train(
            small_config(),
            TRAIN,
            VALIDATION,
            artifact_dir="out",
            callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=interrupt)],
        )
    assert error.value.__notes__ == ["go on with: --artifact-dir out --resume"]
    assert only_run().info.status == "KILLED"
    assert Path("out", "checkpoints", "resume", "epoch-00001.npz").exists()


def test_an_interrupt_while_a_failure_is_logged_ends_the_run_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("barrage_mlflow.training.recording.Logbook._log_artifacts", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(small_config(), "missing.csv", VALIDATION)
    assert only_run().info.status == "FAILED"
    assert only_run().data.tags["barrage.error"].startswith("missing.csv: no such file")


def test_a_component_keeps_its_own_exception(project: Path) -> None:
    write_project(
        project,
        "picky",
        """
        from barrage_mlflow.dataset import RecordLoader

        class Picky(RecordLoader):
            def load(self, record):
                if record["a"] > 2:
                    raise ZeroDivisionError("too large")
                return {"x": [record["a"], record["b"]]}, {"label": record["label"]}
        """,
    )
    data = small_frame(10)
    data.loc[4, "a"] = 3.0
    config = small_config(dataset__loader={"import": "picky.Picky"})
    with pytest.raises(
        ZeroDivisionError,
        match=r"^too large\nin train, record 4, stage load, component picky\.Picky\n"
        r"column 'a' was read last$",
    ) as error:
        train(config, data, VALIDATION)
    assert_failed(error)


def best_weights(folder: Path) -> list[np.ndarray]:
    """All arrays of a best checkpoint, in the order of their paths in the file."""
    import h5py

    arrays: dict[str, np.ndarray] = {}
    with h5py.File(folder / "checkpoints" / "best.weights.h5") as file:
        file.visititems(
            lambda path, item: (
                arrays.update({path: item[()]}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return [arrays[path] for path in sorted(arrays)]


def test_how_it_is_run_does_not_change_what_is_trained(tmp_path: Path) -> None:
    TRAIN.to_parquet("train.parquet", row_group_size=16)
    ways = [
        {},
        {"solver.steps_per_execution": 2},
        {"dataset.cache": "disk", "dataset.workers": 1},
        {"services.tensorboard": {"update_freq": 3}},
    ]
    results = [
        train(small_config(), source, VALIDATION, artifact_dir=f"out{n}", overrides=way)
        for n, (way, source) in enumerate([*((way, TRAIN) for way in ways), ({}, "train.parquet")])
    ]
    expected = best_weights(results[0].artifact_dir)
    for result in results[1:]:
        assert result.metrics == results[0].metrics
        for ours, theirs in zip(best_weights(result.artifact_dir), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert not (result.artifact_dir / "cache").exists()


def test_a_training_in_mixed_precision_compiled_by_xla(tmp_path: Path) -> None:
    import keras

    overrides = {"solver.dtype_policy": "mixed_bfloat16", "solver.jit_compile": True}
    result = train(small_config(), TRAIN, VALIDATION, artifact_dir="out", overrides=overrides)
    plain = train(small_config(), TRAIN, VALIDATION, artifact_dir="plain")
    assert keras.config.dtype_policy().name == "float32"
    assert abs(result.metrics["val_loss"] - plain.metrics["val_loss"]) < 0.02
    summary = (result.artifact_dir / "network_summary.txt").read_text("utf-8")
    assert "label_as_float32" in summary
    scores = np.array([score["label"] for score in BarrageModel("out").load().predict(VALIDATION)])
    assert scores.dtype == np.float32
    assert np.allclose(scores.sum(axis=1), 1, atol=0.02)


def test_larger_than_memory_in_windows(tmp_path: Path) -> None:
    TRAIN.to_parquet("train.parquet", row_group_size=16)
    VALIDATION.to_parquet("validation.parquet", row_group_size=16)
    overrides = {"dataset.shuffle_window": 20, "solver.optimizer.learning_rate": 0.1}
    results = [
        train(
            small_config(), "train.parquet", "validation.parquet", artifact_dir=out,
            overrides=overrides,
        )
        for out in ("once", "again")
    ]  # fmt: skip
    assert results[0].metrics == results[1].metrics
    assert results[0].metrics["val_accuracy"] >= 0.75
