"""What begins no training, and how each way to fail ends one."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from outside import ROOT, run
from small import small_config
from trainings import OUT, TRAIN, VALIDATION, Finished, Following, files, record_of

from barrage_mlflow import ArtifactError, ComponentError, ConfigError, RecordError, TrainingError
from barrage_mlflow.commands.check import dry_run
from barrage_mlflow.config import read_config
from barrage_mlflow.training.train import train

# What opens nothing ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"config": small_config(solver__epochs=0)},
            ConfigError,
            r"^\$\.solver\.epochs: expected an integer ≥ 1, got 0$",
        ),
        ({"records_train": "missing.csv"}, RecordError, r"^missing\.csv: no such file"),
        (
            {"records_validation": VALIDATION[:0]},
            RecordError,
            r"^validation holds no records; give at least one$",
        ),
    ],
)
def test_a_faulty_config_or_unreadable_records_begin_nothing(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    given = {
        "config": small_config(), "records_train": TRAIN, "records_validation": VALIDATION
    }  # fmt: skip
    publisher = Following()
    with pytest.raises(error, match=message):
        train(**{**given, **arguments}, publisher=publisher)
    assert publisher.records == []
    assert not Path("artifacts").exists()


def begin() -> None:
    train(small_config(), TRAIN, VALIDATION, artifact_dir=OUT)


def test_where_tensorflow_makes_graphs_nothing_is_begun() -> None:
    import tensorflow as tf

    message = r"^TensorFlow makes a graph here instead of computing: train outside of tf\.function "
    with pytest.raises(TrainingError, match=message):
        tf.function(begin, autograph=False)()
    with tf.Graph().as_default(), pytest.raises(TrainingError, match=message):
        begin()
    code = f"import tensorflow as tf, {__name__} as this; tf.compat.v1.disable_eager_execution()"
    said = r"\nbarrage_mlflow\.errors\.TrainingError: " + message[1:]
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    with pytest.raises(AssertionError, match=said):
        run([sys.executable, "-c", f"{code}; this.begin()"], Path.cwd(), PYTHONPATH=path)
    assert not OUT.exists()


def test_a_used_artifact_folder_is_never_overwritten(finished: Finished) -> None:
    before = files(finished.folder)
    message = (
        r"out already holds a run; nothing is overwritten: name a new folder, or go on "
        r"with that run: --resume$"
    )
    with pytest.raises(ArtifactError, match=message):
        train(small_config(), TRAIN, VALIDATION, artifact_dir=finished.folder)
    assert files(finished.folder) == before
    OUT.mkdir()
    (OUT / "notes.txt").touch()
    with pytest.raises(ArtifactError, match=r"^out is not empty; nothing is overwritten"):
        train(small_config(), TRAIN, VALIDATION, artifact_dir=OUT)


# What fails -----------------------------------------------------------------------------------


def fails(
    error: type[BaseException], message: str, config: Any = None, records: Any = TRAIN
) -> BaseException:
    """Trains, and looks at what a training that fails leaves of its error."""
    publisher = Following()
    with pytest.raises(error, match=message) as raised:
        train(config or small_config(), records, VALIDATION, artifact_dir=OUT, publisher=publisher)
    record = record_of(OUT)
    assert (record.status, record.best_epoch) == ("FAILED", None)
    assert record.error is not None
    assert str(raised.value) in record.error
    assert [each.status for each in publisher.records] == ["RUNNING", "FAILED"]
    return raised.value


def test_nan_in_a_record_fails_the_training() -> None:
    broken = TRAIN.copy()
    broken.loc[55, "b"] = math.nan
    fails(
        RecordError,
        r"^train, record 55: input 'x', column 'b': expected a number, got a missing value \(NaN\)"
        r"; FeatureLoader takes .* config \(stage feed, component KeySelector\)$",
        records=broken,
    )


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "binary_crossentropy"])
def test_a_label_that_the_loss_does_not_take_is_named_with_its_file(loss: str) -> None:
    config = small_config(model__outputs=[{"name": "label", "loss": {"import": loss}}])
    if loss == "binary_crossentropy":
        units = {"units": 1, "activation": "sigmoid", "name": "label"}
        config["model"]["network"]["params"]["layers"][-1]["params"] = units
    TRAIN.assign(label=TRAIN["label"].where(TRAIN.index != 55, 2)).to_csv("train.csv", index=False)
    fails(
        RecordError,
        r"^train\.csv, record 55 \(line 57\): output 'label', column 'label': expected a .*number "
        r"from 0 to 1, got 2; encode .* \(stage feed, component KeySelector\)$",
        config,
        "train.csv",
    )


def test_a_loss_that_becomes_nan_fails_the_training() -> None:
    config = small_config(
        solver__optimizer={"import": "SGD", "learning_rate": 1e38},
        model__outputs=[{"name": "label", "loss": {"import": "mse"}}],
        dataset__loader__params__outputs={"label": ["a", "b"]},
    )
    fails(TrainingError, r"epoch 1.*batch [12]", config)


class Several(keras.metrics.SparseCategoricalAccuracy):
    def result(self) -> dict[str, float]:
        return {"p": 0.0, "r": 1.0}


def test_a_metric_of_several_numbers_fails_before_the_first_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barrage_mlflow.training.fit.fit", None)  # is not come to
    config = small_config()
    config["model"]["outputs"][0]["metrics"] = [{"import": f"{__name__}.Several"}]
    error = fails(ComponentError, r"^metric '.*': expected one number, got a dict of 'p', ", config)
    assert str(dry_run(read_config(config), TRAIN, VALIDATION)[1]) == str(error)


def test_what_would_break_after_training_is_found_before() -> None:
    """As a dry run finds it: its golden files have each way to break."""
    config = small_config(dataset__transformer={"import": "check_parts.Misspelt"})
    error = fails(KeyError, "^'lable'", config)
    assert error.__notes__ == [
        "in train, record 0, stage postprocess, component check_parts.Misspelt",
        "found before training, on records scored by the untrained network",
    ]
    assert record_of(OUT).error == "\n".join(["KeyError: 'lable'", *error.__notes__])
    assert not (OUT / "training_report.csv").exists()


def test_postprocess_may_refuse_the_untrained_network_and_the_code_is_kept() -> None:
    transformer = {"import": "check_parts.RefusesUntrained"}
    config = small_config(dataset__transformer=transformer, solver__epochs=1)
    assert train(config, TRAIN, VALIDATION, artifact_dir=OUT).best_epoch == 1
    assert files(OUT / "code") == {"check_parts.py"}
    assert (OUT / "model/data/transformer/mean.txt").exists()


def test_a_validation_metric_that_is_always_nan_fails_and_keeps_the_checkpoint() -> None:
    config = small_config(model__network={"import": "check_parts.nan_network"})
    fails(TrainingError, r"^no best checkpoint: val_loss was a fin", config)
    assert list((OUT / "checkpoints" / "resume").glob("*.npz"))
