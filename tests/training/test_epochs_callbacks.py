"""The training loop with callbacks: what ends it, services, and going on from a checkpoint."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from loops import BATCH, Batches, Recorder, build_network, history_of, run, same, services

from barrage_mlflow.errors import TrainingError
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.checkpoint_file import find_checkpoint
from barrage_mlflow.solver import averages

# Stopping and breaking off


class At(keras.callbacks.Callback):
    """Does something at one place."""

    def __init__(self, method, position, act):
        super().__init__()

        def hook(place=None, logs=None):
            if place == position:
                act(self.model)

        setattr(self, method, hook)


def refuse(error):
    def act(model):
        raise error

    return act


def test_callbacks_stop_an_epoch_or_a_validation(capfd):
    train, recorder = Batches(43), Recorder()
    stop = At("on_train_batch_end", 2, lambda model: setattr(model, "stop_training", True))
    assert len(run(build_network(), train, Batches(20), 3, [stop, recorder])) == 1
    assert recorder.names.count("on_train_batch_end") == 3
    assert recorder.names[-2:] == ["on_epoch_end", "on_train_end"]
    assert (train.epochs, train.closed) == ([0], 1)

    recorder = Recorder()
    stop = At("on_test_batch_end", 0, lambda model: setattr(model, "stop_evaluating", True))
    assert len(run(build_network(), Batches(43), Batches(20), 2, [stop, recorder])) == 2
    assert recorder.names.count("on_test_batch_end") == 2

    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=2, mode="min")
    assert len(run(build_network(), Batches(24), Batches(8), 9, [stopping])) == 3
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), ValueError("broken")])
@pytest.mark.parametrize("method", ["on_train_batch_end", "on_test_batch_begin", "on_epoch_end"])
def test_every_callback_ends_when_training_breaks_off(method, error):
    train, recorder = Batches(43), Recorder()

    with pytest.raises(type(error), match=str(error)):
        run(build_network(), train, Batches(20), 2, [At(method, 0, refuse(error)), recorder])

    names = recorder.names
    assert names[-1] == "on_train_end"
    assert names.count("on_train_end") == 1
    assert names.count("on_test_begin") == names.count("on_test_end")
    assert train.closed == len(train.epochs)


def test_what_breaks_while_breaking_off_is_a_note():
    class Broken(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            raise OSError("disk full")

    recorder = Recorder()
    broken = At("on_train_batch_end", 0, refuse(ValueError("broken")))

    with pytest.raises(ValueError, match="broken") as caught:
        run(build_network(), Batches(24), Batches(8), 1, [Broken(), broken, recorder])

    assert caught.value.__notes__ == ["then Broken.on_train_end raised OSError: disk full"]
    assert recorder.names[-1] == "on_train_end"


@pytest.mark.parametrize(
    ("batch", "steps", "remedy"),
    [
        (3, None, "try a smaller solver.optimizer.learning_rate, or clipnorm in"),
        (3, 6, "try a smaller solver.optimizer.learning_rate, or clipnorm in"),
        (0, 6, "no update was made yet, so look at the inputs, targets and sample weights of"),
    ],
)
def test_loss_that_is_no_number_is_found_at_its_batch(batch, steps, remedy):
    train, recorder = Batches(43), Recorder()
    recorder.batch_period = None
    train.y["a"][BATCH * batch] = np.nan

    message = rf"^epoch 1, batch {batch + 1}: expected a finite loss, got nan; {remedy}"
    with pytest.raises(TrainingError, match=message):
        run(build_network(), train, Batches(20), 2, [recorder], steps_per_execution=steps)
    assert recorder.names.count("on_train_batch_end") == batch


# Services


class Halved(keras.callbacks.Callback):
    """Has other weights validated than are trained."""

    def on_test_begin(self, logs=None):
        self.own = self.model.get_weights()
        self.model.set_weights([weights / 2 for weights in self.own])

    def on_test_end(self, logs=None):
        self.model.set_weights(self.own)

    def on_epoch_end(self, epoch, logs=None):
        self.validated = [weights / 2 for weights in self.own]


class Averages(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        averaged = {id(own): kept for own, kept in averages(self.model.optimizer)}
        self.validated = [averaged.get(id(own), own).numpy() for own in self.model.weights]


@pytest.mark.parametrize("last", [Halved, Averages])
def test_the_best_weights_are_those_that_were_validated(tmp_path, last):
    optimizer = keras.optimizers.Adam(0.01, use_ema=last is Averages)
    network, last = build_network(optimizer=optimizer), last()
    callbacks = [*build_callbacks(services(), tmp_path), last]

    run(network, Batches(43), Batches(20, seed=1), 1, callbacks, history_of(tmp_path))

    (best,) = (callback for callback in callbacks if isinstance(callback, BestCheckpoint))
    assert same(best.restore()[1].get_weights(), last.validated)


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for part in ("train", "validation"):
        accumulator = EventAccumulator(str(folder / part), size_guidance={"tensors": 0})
        accumulator.Reload()
        tags = accumulator.Tags()
        found[part] = {tag: len(accumulator.Tensors(tag)) for tag in tags["tensors"]}
    return found


def test_all_services_together(tmp_path, capfd, caplog):
    history = history_of(tmp_path)
    callbacks = build_callbacks(services(), tmp_path)

    logs = run(build_network(), Batches(43), Batches(20, seed=1), 3, callbacks, history)

    (best,) = (callback for callback in callbacks if isinstance(callback, BestCheckpoint))
    losses = [epoch["val_loss"] for epoch in logs]
    assert (best.best, best.best_epoch) == (min(losses), losses.index(min(losses)) + 1)
    checkpoint = find_checkpoint(tmp_path, history_of(tmp_path))
    assert (checkpoint.step, checkpoint.steps, checkpoint.epochs) == (18, 6, 3)
    found = events(tmp_path / "tensorboard")
    scalars = [name for name in logs[0] if not name.startswith("val_")]
    validated = [name.removeprefix("val_") for name in logs[0] if name.startswith("val_")]
    assert found["train"] == {"keras": 1, **{f"epoch_{name}": 3 for name in scalars}}
    assert found["validation"] == {
        **{f"epoch_{name}": 3 for name in validated},
        **{f"evaluation_{name}_vs_iterations": 3 for name in validated},
    }
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])


def test_files_are_closed_when_validation_breaks_off(tmp_path):
    history = history_of(tmp_path)
    callbacks = build_callbacks(services(tensorboard={"update_freq": "batch"}), tmp_path)
    broken = At("on_test_batch_end", 1, refuse(KeyboardInterrupt("now")))

    with pytest.raises(KeyboardInterrupt, match="now"):
        run(build_network(), Batches(43), Batches(20), 2, [*callbacks, broken], history)

    assert not tf.summary.should_record_summaries()
    assert events(tmp_path / "tensorboard")["train"]["batch_loss"] == 6


# Resuming: test_epochs_resume.py has what is interrupted


def test_a_training_that_a_callback_has_stopped_is_left(tmp_path):
    def go(train):
        callbacks = [keras.callbacks.EarlyStopping("loss", 1e9, 1), ResumeCheckpoint(tmp_path)]
        checkpoint = find_checkpoint(tmp_path, history_of(tmp_path))
        return run(build_network(), train, Batches(8), 9, callbacks, resume=checkpoint)

    logs, train = go(Batches(24)), Batches(24)
    assert len(logs) == 2
    assert go(train) == logs
    assert train.epochs == []
