"""Services: what watches over a training."""

import logging
import math
import re

import h5py
import keras
import numpy as np
import pytest
from loops import history_of, services, small_network

from barrage_mlflow.errors import ComponentError, TrainingError
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.training_report import write_report

# Building


def test_every_service_is_there_with_its_params(tmp_path):
    resume_block = {"every_steps": 7, "keep": 3, "in_mlflow": True}
    config = services(tensorboard={"histogram_freq": 2}, resume_checkpoint=resume_block)

    board, best, train, validation, resume = build_callbacks(config, tmp_path)

    assert (board.log_dir, board.histogram_freq) == (str(tmp_path / "tensorboard"), 2)
    assert best.path == tmp_path / "checkpoints" / "best.weights.h5"
    assert (best.monitor, best.mode) == ("val_loss", "min")
    assert (train.monitor, train.patience, train.mode) == ("loss", 10, "min")
    assert (validation.monitor, abs(validation.min_delta)) == ("val_loss", 1e-5)
    assert resume.every_steps == 7
    assert list(tmp_path.iterdir()) == []


def test_further_callbacks_come_before_the_resume_checkpoint(tmp_path, caplog):
    blocks = [
        {"import": "EarlyStopping", "params": {"monitor": "val_loss", "patience": 3}},
        {"import": "keras.callbacks.CSVLogger", "params": {"filename": "log.csv"}},
    ]
    with caplog.at_level(logging.WARNING):
        *_, stopping, logger, resume = build_callbacks(services(callbacks=blocks), tmp_path)

    assert isinstance(stopping, keras.callbacks.EarlyStopping)
    assert (stopping.patience, logger.filename) == (3, "log.csv")
    assert isinstance(resume, ResumeCheckpoint)
    assert caplog.messages == [
        "$.services.callbacks[1]: without get_state and set_state, CSVLogger forgets on resume"
    ]


@pytest.mark.parametrize(
    ("place", "params"),
    [
        ("tensorboard", {"patienc": 1}),
        ("train_early_stopping", {**services()["services"]["train_early_stopping"], "patienc": 1}),
        ("callbacks[0]", [{"import": "EarlyStopping", "params": {"patienc": 1}}]),
    ],
)
def test_params_that_keras_refuses_name_their_place(tmp_path, place, params):
    config = services(**{place.partition("[")[0]: params})

    with pytest.raises(ComponentError, match=rf"^\$\.services\.{re.escape(place)}: .*'patienc'"):
        build_callbacks(config, tmp_path)


# Best checkpoint


def run(callback, network, values):
    """Give a callback one epoch after another; the weights of epoch n are all n."""
    callback.set_model(network)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_begin(epoch)
        network.set_weights([np.full_like(w, epoch + 1) for w in network.get_weights()])
        callback.on_test_end({"m": value})
        callback.on_test_end({})  # as when a validation breaks off
    callback.on_train_end()


@pytest.mark.parametrize(
    ("mode", "values", "best_epoch"),
    [
        ("min", [3.0, 1.0, 2.0, 1.0], 2),
        ("max", [1.0, 3.0, 2.0, 3.0], 2),
        ("min", [math.nan, 3.0, math.nan, 4.0], 2),
        ("max", [math.inf, -5.0, math.nan], 2),
        ("min", [0.0], 1),
    ],
)
def test_best_weights_are_those_of_the_best_epoch(tmp_path, mode, values, best_epoch):
    network = small_network()
    best = BestCheckpoint(tmp_path / "new" / "best.weights.h5", "m", mode)

    run(best, network, [9.0, *values])  # an earlier training is forgotten
    run(best, network, values)

    assert (best.best_epoch, best.best) == (best_epoch, values[best_epoch - 1])
    assert [path.name for path in best.path.parent.iterdir()] == ["best.weights.h5"]
    with h5py.File(best.path) as file:
        assert "optimizer" not in file
    epoch, restored = best.restore()
    assert (epoch, restored.compiled) == (best_epoch, False)
    restored.load_weights(best.path)
    for each in (network, restored):
        assert all(np.all(weights == best_epoch) for weights in each.get_weights())


def test_the_file_is_written_while_the_network_keeps_its_weights(tmp_path):
    """Also where a layer does not come back from its own config, so that no copy can be made."""

    class Uncopied(keras.layers.Dense):
        @classmethod
        def from_config(cls, config):
            raise NotImplementedError

    x = keras.Input((2,), name="x")
    network = keras.Model({"x": x}, {"y": Uncopied(1, name="y")(x)})
    network.compile("sgd", "mse")
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")

    run(best, network, [1.0, 2.0])

    assert all(np.all(weights == 2) for weights in network.get_weights())
    keras.Model(network.input, network.output).load_weights(best.path)
    assert all(np.all(weights == 1) for weights in network.get_weights())


def test_no_best_where_no_value_is_a_number(tmp_path):
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")

    run(best, small_network(), [math.nan, math.inf])

    assert (best.best, best.best_epoch) == (None, None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingError, match=r"^no best checkpoint: m was a finite number at no"):
        best.restore()


# Report


def test_the_report_has_a_row_an_epoch(tmp_path):
    history, path = history_of(tmp_path), tmp_path / "report.csv"
    write_report(history, path)
    assert not path.exists()
    history.add(1, {"loss": 1 / 3, "val_loss": math.nan, "learning_rate": 1e-3, "a": 1.0})
    history.add(2, {"loss": math.inf, "other": 1.0})

    write_report(history, path)

    assert path.read_text() == (
        "epoch,learning_rate,a,loss,val_loss\n"
        "1,0.001,1.0,0.3333333333333333,nan\n"
        "2,nan,nan,inf,nan\n"
    )
