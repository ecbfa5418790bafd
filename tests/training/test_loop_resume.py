"""A training that is interrupted anywhere and resumed equals one that never was."""

import signal

import keras
import numpy as np
import pytest
from barrage_mlflow.stopping import StopSignals
from test_fitting import Batches, Objective, build_network, same, services

from barrage_mlflow.services import (
    BestCheckpoint,
    ResumeCheckpoint,
    build_callbacks,
    find_checkpoint,
)
from barrage_mlflow.training.loop import fit

# Keras turns its own variables into arrays in a way that NumPy 2 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

EPOCHS, STEPS = 4, 6


class Noise(keras.layers.Layer):
    """Draws from Keras's global generator, in validation too."""

    def call(self, x):
        return x + keras.random.normal((1, 8)) * 0.1


class Restless(keras.callbacks.Callback):
    """Changes the learning rate at the begin of each epoch, and counts its batches."""

    batch_period = None

    def on_train_begin(self, logs=None):
        self.batches = []

    def on_epoch_begin(self, epoch, logs=None):
        rate = self.model.optimizer.learning_rate
        rate.assign(rate * (1 - 0.1 * np.random.rand()))
        self.batches.append(0)

    def on_train_batch_end(self, batch, logs=None):
        self.batches[-1] += 1

    def get_state(self):
        return {"batches": self.batches}

    def set_state(self, state):
        self.batches = state["batches"]


class Interrupt(keras.callbacks.Callback):
    """Sends this process a signal at one place."""

    def __init__(self, place=None, number=signal.SIGTERM):
        super().__init__()
        self._place = place
        self._number = number

    def _at(self, *place):
        if place == self._place:
            signal.raise_signal(self._number)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._at(epoch, "begin")

    def on_train_batch_end(self, batch, logs=None):
        self._at(self._epoch, batch)

    def on_test_batch_end(self, batch, logs=None):
        self._at(self._epoch, "validation", batch)

    def on_epoch_end(self, epoch, logs=None):
        self._at(epoch, "end")


class Training:
    """One training in a folder, as often as it is started."""

    def __init__(self, folder, every_steps=None):
        self.folder = folder
        self._config = services()
        if every_steps:
            self._config["services"]["resume_checkpoint"] = {"every_steps": every_steps}

    def go(self, interrupt=None, steps_per_execution=None, seed=1):
        checkpoint = find_checkpoint(self.folder / "checkpoints" / "resume")
        # A fresh process has other weights and generators: all must come from the checkpoint.
        self.network = build_network(seed=seed if checkpoint is None else 99, layer=Noise())
        built = build_callbacks(self._config, self.folder)
        reducer = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 2, cooldown=1, min_delta=0.05)
        self.restless = Restless()
        callbacks = [*built, reducer, self.restless, *([interrupt] if interrupt else [])]
        train, validation = Batches(43), Batches(20, seed=1)
        with StopSignals() as signals:
            logs = fit(
                self.network,
                train,
                validation,
                EPOCHS,
                callbacks,
                Objective(),
                checkpoint,
                steps_per_execution,
                signals,
            )
        best = next(callback for callback in built if isinstance(callback, BestCheckpoint))
        variables = [*self.network.variables, *self.network.optimizer.variables]
        _, best_network = best.restore()
        return {
            "logs": logs,
            "report": (self.folder / "training_report.csv").read_text(),
            "batches": self.restless.batches,
            "weights": [variable.numpy() for variable in variables],
            "best": best_network.get_weights(),
        }


def assert_same(left, right):
    for one, other in zip(left["logs"], right["logs"], strict=True):
        assert one == other
    assert left["report"] == right["report"]
    assert left["batches"] == right["batches"]
    assert same(left["weights"], right["weights"])
    assert same(left["best"], right["best"])


@pytest.fixture(autouse=True)
def default_handlers():
    """Where these tests run in the background, the shell has SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return Training(tmp_path_factory.mktemp("whole")).go(seed=1)


PLACES = [
    ((0, 0), (0, 1)),
    ((1, 2), (1, 3)),
    ((2, 5), (2, 6)),
    ((1, "validation", 0), (1, 6)),
    ((3, "validation", 2), (3, 6)),
    ((1, "begin"), (1, 0)),
    ((2, "end"), (3, 0)),
]


@pytest.mark.parametrize(("place", "written"), PLACES)
def test_interrupted_anywhere_and_resumed_equals_never_stopped(tmp_path, whole, place, written):
    training = Training(tmp_path)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        training.go(Interrupt(place))
    checkpoint = find_checkpoint(tmp_path / "checkpoints" / "resume")
    assert (checkpoint.epoch, checkpoint.batch) == written
    assert_same(training.go(), whole)


def test_interrupted_again_and_again(tmp_path, whole):
    training = Training(tmp_path)
    for place in [(0, 3), (0, "validation", 1), (1, 0), (1, 1), (1, 4), (2, "end"), (3, 3)]:
        with pytest.raises(KeyboardInterrupt, match="SIGINT"):
            training.go(Interrupt(place, signal.SIGINT))
    assert_same(training.go(steps_per_execution=2), whole)


def test_checkpoints_within_an_epoch(tmp_path, whole):
    """Every step count is written as asked, however many steps run in one call."""
    training = Training(tmp_path, every_steps=4)
    interrupt = Interrupt((2, 1))
    interrupt.batch_period = None
    with pytest.raises(KeyboardInterrupt):
        training.go(interrupt, steps_per_execution=5)
    names = sorted(path.name for path in tmp_path.rglob("epoch-*.npz"))
    assert names == ["epoch-00002-batch-4.npz", "epoch-00002.npz"]
    assert_same(training.go(), whole)


def test_a_callback_that_ended_an_epoch_ends_it_again(tmp_path):
    """The checkpoint is of the validation after it: no batch is left to train."""

    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (1, 2):
                self.model.stop_training = True

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    def go(folder, place=None):
        checkpoint = find_checkpoint(folder / "resume")
        network = build_network(seed=1 if checkpoint is None else 99)
        callbacks = [ResumeCheckpoint(folder / "resume"), Enough(), Interrupt(place)]
        with StopSignals() as signals:
            logs = fit(
                network,
                Batches(43),
                Batches(20, seed=1),
                EPOCHS,
                callbacks,
                Objective(),
                checkpoint,
                signals=signals,
            )
        return logs, network.get_weights()

    logs, weights = go(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "broken", (1, "validation", 1))
    resumed, resumed_weights = go(tmp_path / "broken")
    assert len(logs) == 2
    assert resumed == logs
    assert same(resumed_weights, weights)


def test_an_epoch_that_has_become_shorter_is_over(tmp_path):
    """As after `--resume-anyway` with other records."""

    def go(records, place=None):
        callbacks = [ResumeCheckpoint(tmp_path), Interrupt(place)]
        checkpoint = find_checkpoint(tmp_path)
        with StopSignals() as signals:
            return fit(
                build_network(),
                Batches(records),
                Batches(20, seed=1),
                2,
                callbacks,
                Objective(),
                checkpoint,
                signals=signals,
            )

    with pytest.raises(KeyboardInterrupt):
        go(43, (0, 4))
    assert find_checkpoint(tmp_path).batch == 5
    assert len(go(24)) == 2
