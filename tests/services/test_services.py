"""Services: what watches over a training."""

import logging
import math
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from barrage_mlflow.config import read_config
from barrage_mlflow.errors import ComponentError, ConfigError, TrainingError
from barrage_mlflow.files import written_whole
from barrage_mlflow.services import (
    BestCheckpoint,
    LossGuard,
    ResumeCheckpoint,
    TrainingReport,
    build_callbacks,
    check_monitors,
    read_report,
)
from barrage_mlflow.services.writer import BackgroundWriter

STOPPING = {"mode": "min", "patience": 10, "min_delta": 1e-5, "verbose": 1}


def services(**blocks):
    return {
        "solver": {},
        "services": {
            "best_checkpoint": {"monitor": "val_loss", "mode": "min"},
            "tensorboard": {},
            "train_early_stopping": {"monitor": "loss", **STOPPING},
            "validation_early_stopping": {"monitor": "val_loss", **STOPPING},
            **blocks,
        },
    }


def small_network(compiled=True):
    x = keras.Input((2,), name="x")
    network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(x)})
    if compiled:
        network.compile("adam", loss={"y": "mse"})
        network.optimizer.build(network.trainable_variables)
    return network


# Building


def test_every_service_is_there_with_its_params(tmp_path):
    config = services(tensorboard={"histogram_freq": 2})

    guard, board, best, train, validation, report, resume = build_callbacks(config, tmp_path)

    assert isinstance(guard, LossGuard)
    assert (board.log_dir, board.histogram_freq) == (str(tmp_path / "tensorboard"), 2)
    assert (best.path, best.monitor, best.mode) == (
        tmp_path / "checkpoints" / "best.weights.h5",
        "val_loss",
        "min",
    )
    assert (train.monitor, train.patience, train.mode) == ("loss", 10, "min")
    assert (validation.monitor, abs(validation.min_delta)) == ("val_loss", 1e-5)
    assert isinstance(report, TrainingReport)
    assert report.path == tmp_path / "training_report.csv"
    assert isinstance(resume, ResumeCheckpoint)
    assert resume.folder == tmp_path / "checkpoints" / "resume"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("block", ["tensorboard", "train_early_stopping"])
def test_params_that_keras_refuses_name_their_place(tmp_path, block):
    config = services(**{block: {**services()["services"][block], "patienc": 1}})

    with pytest.raises(ComponentError, match=rf"^\$\.services\.{block}: .*'patienc'"):
        build_callbacks(config, tmp_path)


# Monitors

KNOWN = {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_monitors_that_are_there():
    check_monitors(services(), KNOWN)
    check_monitors({**services(), "solver": {"learning_rate_reducer": {"monitor": "loss"}}}, KNOWN)


def test_every_monitor_at_fault_is_told():
    config = services(
        best_checkpoint={"monitor": "val_acuracy", "mode": "max"},
        train_early_stopping={"monitor": "acc", **STOPPING},
        validation_early_stopping={"monitor": "val_zzzzzzzzz", **STOPPING},
    )
    config["solver"]["learning_rate_reducer"] = {"monitor": "val_los"}

    with pytest.raises(ConfigError, match="val_acuracy") as caught:
        check_monitors(config, KNOWN)

    assert str(caught.value).splitlines() == [
        "$.solver.learning_rate_reducer.monitor: no output produces the metric 'val_los'; "
        "did you mean 'val_loss'?",
        "$.services.best_checkpoint.monitor: no output produces the metric 'val_acuracy'; "
        "did you mean 'val_accuracy'?",
        "$.services.train_early_stopping.monitor: no output produces the metric 'acc'; "
        "did you mean 'accuracy'?",
        "$.services.validation_early_stopping.monitor: no output produces the metric "
        "'val_zzzzzzzzz'; known metrics: 'val_accuracy', 'val_loss'",
    ]


def test_a_monitor_at_fault_is_told_with_its_place(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"services": {"best_checkpoint": {"monitor": "val_lost"}}, "solver": {}}')
    document = read_config(path)

    with pytest.raises(ConfigError, match="val_lost") as caught:
        check_monitors(document.data, KNOWN, document)

    (fault,) = caught.value.faults
    assert fault.place.endswith("config.json:1:46")


# Loss guard


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_loss_that_is_no_number(loss):
    guard = LossGuard()
    guard.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=25)))
    guard.on_epoch_begin(2)
    guard.on_train_batch_end(3, {"loss": 1e30})

    with pytest.raises(TrainingError, match="epoch 3, batch 5") as caught:
        guard.on_train_batch_end(4, {"loss": loss})

    assert str(caught.value) == (
        f"epoch 3, batch 5: expected a finite loss, got {loss}; try a smaller "
        "solver.optimizer.learning_rate, or clipnorm in solver.optimizer.params, and look for "
        "extreme values in the records"
    )


def test_loss_that_is_no_number_from_the_start():
    guard = LossGuard()
    guard.set_model(SimpleNamespace(optimizer=SimpleNamespace(iterations=1)))
    guard.on_epoch_begin(0)

    with pytest.raises(TrainingError, match="epoch 1, batch 1") as caught:
        guard.on_train_batch_end(0, {"loss": math.nan})

    assert str(caught.value) == (
        "epoch 1, batch 1: expected a finite loss, got nan; no update was made yet, so look at "
        "the inputs, targets and sample weights of that batch, and whether the network's last "
        "activation suits the loss"
    )


# Best checkpoint


def run(callback, network, values):
    """Give a callback one epoch after another; the weights of epoch n are all n."""
    callback.set_model(network)
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        network.set_weights([np.full_like(w, epoch + 1) for w in network.get_weights()])
        callback.on_epoch_end(epoch, {"m": value})
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

    run(best, network, values)

    assert (best.best_epoch, best.best) == (best_epoch, values[best_epoch - 1])
    assert [path.name for path in best.path.parent.iterdir()] == ["best.weights.h5"]
    epoch, restored = best.restore()
    assert (epoch, restored.compiled) == (best_epoch, False)
    assert all(np.all(weights == best_epoch) for weights in restored.get_weights())
    assert all(np.all(weights == best_epoch) for weights in network.get_weights())
    other = small_network(compiled=False)
    other.load_weights(best.path)
    assert all(np.all(weights == best_epoch) for weights in other.get_weights())


def test_no_best_where_no_value_is_a_number(tmp_path):
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")

    run(best, small_network(), [math.nan, math.inf])

    assert (best.best, best.best_epoch) == (None, None)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TrainingError, match=r"^no best checkpoint: m was a finite number at no"):
        best.restore()


def test_best_starts_anew_with_each_training(tmp_path):
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")

    run(best, small_network(), [1.0])
    run(best, small_network(), [5.0])

    assert best.best == 5.0


def test_best_checkpoint_holds_weights_alone(tmp_path):
    import h5py

    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")
    run(best, small_network(), [1.0])

    with h5py.File(best.path) as file:
        assert "optimizer" not in file


def test_best_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")
    network = small_network()
    run(best, network, [1.0])
    before = best.path.read_bytes()

    def save_half(model, path):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(keras.Model, "save_weights", save_half)
    best.on_epoch_end(1, {"m": 0.5})
    with pytest.raises(OSError, match="disk full"):
        best.on_train_end()

    assert best.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["best.weights.h5"]


class Uncopied(keras.layers.Dense):
    """A layer that does not come back from its own config."""

    @classmethod
    def from_config(cls, config):
        raise NotImplementedError


def test_best_weights_of_a_network_that_cannot_be_copied(tmp_path):
    x = keras.Input((2,), name="x")
    network = keras.Model({"x": x}, {"y": Uncopied(1, name="y")(x)})
    network.compile("sgd", "mse")
    best = BestCheckpoint(tmp_path / "best.weights.h5", "m", "min")

    run(best, network, [3.0, 1.0, 2.0])

    assert best.restore()[0] == 2
    assert all(np.all(weights == 2) for weights in network.get_weights())


def test_writes_are_done_in_order_and_none_after_one_that_failed():
    writer, written, gate = BackgroundWriter(), [], threading.Event()

    def fail():
        gate.wait(10)
        raise OSError("disk full")

    writer.submit(lambda: written.append("first"))
    writer.submit(fail)
    writer.submit(lambda: written.append("not done"))
    gate.set()

    with pytest.raises(OSError, match="disk full"):
        writer.flush()
    assert written == ["first"]


def test_best_checkpoint_on_a_metric_that_is_not_there(tmp_path):
    best = BestCheckpoint(tmp_path / "best.weights.h5", "val_m", "min")

    with pytest.raises(TrainingError, match="expected") as caught:
        best.on_epoch_end(0, {"loss": 1.0, "m": 2.0})

    assert str(caught.value) == "best checkpoint: expected a metric 'val_m', got loss, m"


# Report


def write_rows(path, first, *losses):
    report = TrainingReport(path)
    report.on_train_begin()
    for epoch, loss in enumerate(losses, first):
        report.on_epoch_end(epoch, {"learning_rate": 0.1, "loss": loss})
    report.on_train_end()


def test_report_is_on_disk_after_each_epoch(tmp_path):
    report = TrainingReport(tmp_path / "report.csv")
    report.on_train_begin()
    report.on_epoch_end(0, {"loss": 1 / 3, "val_loss": math.nan, "learning_rate": 1e-3})
    assert report.path.read_text() == (
        "epoch,learning_rate,loss,val_loss\n1,0.001,0.3333333333333333,nan\n"
    )

    report.on_epoch_end(1, {"loss": math.inf, "other": 1.0})

    assert report.path.read_text().splitlines()[2:] == ["2,nan,inf,nan"]


def test_report_reads_back_what_was_written(tmp_path):
    write_rows(tmp_path / "report.csv", 0, 1 / 3, 0.1)

    assert read_report(tmp_path / "report.csv") == [
        {"epoch": 1, "learning_rate": 0.1, "loss": 1 / 3},
        {"epoch": 2, "learning_rate": 0.1, "loss": 0.1},
    ]


def test_a_new_training_starts_a_new_report(tmp_path):
    write_rows(tmp_path / "report.csv", 0, 3.0, 2.0)
    write_rows(tmp_path / "report.csv", 0, 1.0)

    assert (tmp_path / "report.csv").read_text() == "epoch,learning_rate,loss\n1,0.1,1.0\n"


def test_a_resumed_training_replaces_the_rows_of_its_epochs(tmp_path):
    path = tmp_path / "report.csv"
    write_rows(path, 0, 4.0, 3.0, 2.0)
    with path.open("a") as file:
        file.write("4,0.1,1.")  # torn by a crash

    write_rows(path, 2, 2.5, 1.5)

    assert path.read_text().splitlines()[1:] == ["1,0.1,4.0", "2,0.1,3.0", "3,0.1,2.5", "4,0.1,1.5"]


def test_a_resumed_training_without_its_report_starts_one(tmp_path):
    write_rows(tmp_path / "report.csv", 2, 2.5)

    assert (tmp_path / "report.csv").read_text() == "epoch,learning_rate,loss\n3,0.1,2.5\n"


# Files


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_whole(path) as partial:
        partial.write_text("new")
        assert (path.read_text(), partial.suffix) == ("old", ".txt")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_stays_as_it_was_if_writing_breaks(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt, match="now"), written_whole(path) as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyboardInterrupt("now")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_logged_or_printed_when_services_are_built(tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)

    build_callbacks(services(), tmp_path)

    assert (*capfd.readouterr(), caplog.records) == ("", "", [])
