"""A training that is interrupted anywhere and resumed equals one that never was."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from loops import Batches, Noise, build_network, history_of, run, same, services

from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.build import build_callbacks
from barrage_mlflow.services.checkpoint_file import find_checkpoint
from barrage_mlflow.training.stop import StopRequest

TESTS = Path(__file__).parents[1]
EPOCHS, STEPS = 4, 6


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
    """Requests a stop at one place."""

    def __init__(self, place=None):
        super().__init__()
        self.stop = StopRequest()
        self._place = place

    def _at(self, *place):
        if place == self._place:
            self.stop.requested = "SIGTERM"

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        self._at(epoch, "begin")

    def on_train_batch_end(self, batch, logs=None):
        self._at(self._epoch, batch)

    def on_test_batch_end(self, batch, logs=None):
        self._at(self._epoch, "validation", batch)

    def on_epoch_end(self, epoch, logs=None):
        self._at(epoch, "end")


def checkpoint_of(folder):
    return find_checkpoint(folder, history_of(folder))


def go(
    folder,
    place=None,
    batch_period=1,
    resume_checkpoint=None,
    further=(),
    records=43,
    epochs=EPOCHS,
    **kwargs,
):
    """Start or resume the training of a folder."""
    folder.mkdir(exist_ok=True)
    checkpoint = checkpoint_of(folder)
    # A fresh process has other weights and generators: all must come from the checkpoint.
    adam = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
    network = build_network(seed=99 if checkpoint else 1, layer=Noise(), optimizer=adam)
    history = history_of(folder)
    block = {"import": f"{__name__}.Restless"}
    config = services(resume_checkpoint=resume_checkpoint or {}, callbacks=[block])
    built = build_callbacks(config, folder)
    reducer = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 2, cooldown=1, min_delta=1e9)
    interrupt = Interrupt(place)
    interrupt.batch_period = batch_period
    logs = run(
        network,
        Batches(records),
        Batches(20, seed=1),
        epochs,
        [*built, reducer, interrupt, *further],
        history,
        resume=checkpoint,
        stop=interrupt.stop,
        **kwargs,
    )
    variables = [
        variable.numpy() for variable in (*network.variables, *network.optimizer.variables)
    ]
    best = next(callback for callback in built if isinstance(callback, BestCheckpoint))
    restless = next(callback for callback in built if isinstance(callback, Restless))
    best_epoch, best_network = best.restore()
    weights = best_network.get_weights()
    best_network.load_weights(folder / "checkpoints" / "best.weights.h5")
    assert same(best_network.get_weights()[:1], weights[:1])
    return {
        "logs": logs,
        "batches": restless.batches,
        "best": best_epoch,
        "arrays": [*variables, *weights],
    }


def assert_same(left, right):
    arrays = left.pop("arrays"), right["arrays"]
    assert left == {name: value for name, value in right.items() if name != "arrays"}
    assert same(*arrays)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return go(tmp_path_factory.mktemp("whole"))


# Where a stop is requested, and the step and the epochs of the checkpoint that is left then.
PLACES = [
    ((0, 0), (1, 0)),
    ((0, 3), (4, 0)),
    ((0, "validation", 1), (6, 0)),
    ((1, "begin"), (6, 1)),
    ((1, 2), (9, 1)),
    ((1, 5), (12, 1)),
    ((1, "validation", 0), (12, 1)),
    ((1, "validation", 1), (12, 1)),
    ((2, "end"), (18, 3)),
    ((3, 3), (22, 3)),
    ((3, "validation", 2), (24, 3)),
]


def test_interrupted_anywhere_and_resumed_equals_never_stopped(tmp_path, whole):
    for place, written in PLACES:
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            go(tmp_path, place)
        checkpoint = checkpoint_of(tmp_path)
        assert (checkpoint.step, checkpoint.epochs) == written
    assert_same(go(tmp_path), whole)
    # A finished one is left as it is.
    assert_same(go(tmp_path), whole)


def test_checkpoints_within_an_epoch(tmp_path, whole):
    """Every step count is written as asked, however many steps run in one call."""
    often = {"every_steps": 4, "in_mlflow": True}
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        go(tmp_path, (2, 1), None, often, steps_per_execution=5)
    names = sorted(path.name for path in tmp_path.rglob("step-*.npz"))
    assert names == ["step-000000012.npz", "step-000000016.npz"]
    damaged = tmp_path / "checkpoints" / "resume" / names[1]
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert_same(go(tmp_path, steps_per_execution=2), whole)


def test_a_callback_that_ended_an_epoch_ends_it_again(tmp_path):
    """The checkpoint is of the validation after it: no batch is left to train."""

    class Enough(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (1, 2):
                self.model.stop_training = True

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

    whole = go(tmp_path / "whole", further=[Enough()])
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        go(tmp_path / "broken", (1, "validation", 1), further=[Enough()])
    assert checkpoint_of(tmp_path / "broken").batch == 3
    assert_same(go(tmp_path / "broken", further=[Enough()]), whole)
    assert len(whole["logs"]) == 2


def test_an_epoch_that_has_become_shorter_is_over(tmp_path):
    """As after `--resume-anyway` with other records."""
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        go(tmp_path, (0, 4))
    assert checkpoint_of(tmp_path).batch == 5
    assert len(go(tmp_path, records=24, epochs=1)["logs"]) == 1
    # Its steps are fewer than those before, and it is the newest all the same.
    assert (checkpoint_of(tmp_path).step, checkpoint_of(tmp_path).epochs) == (3, 1)
    assert len(go(tmp_path, records=24, epochs=2)["logs"]) == 2


def test_a_checkpoint_that_cannot_be_written_when_interrupted_is_a_note(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr("barrage_mlflow.services.checkpoint_file.Checkpoint.write", refuse)
    with pytest.raises(KeyboardInterrupt) as caught:
        go(tmp_path, (0, 2))
    assert [note for note in caught.value.__notes__ if "disk full" in note]


class Crash(keras.callbacks.Callback):
    """Ends the process at once, as a kill does."""

    batch_period = None

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self._epoch, batch) == (2, 2):
            os._exit(9)


def test_killed_and_resumed_in_another_process_equals_never_stopped(tmp_path, whole):
    program = (
        f"import sys; sys.path[:0] = {[str(TESTS.parent), str(TESTS), str(TESTS / 'training')]!r}\n"
        "from pathlib import Path; from test_epochs_resume import Crash, go\n"
        f"go(Path({str(tmp_path)!r}), further=[Crash()])"
    )
    killed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert killed.returncode == 9, killed.stderr
    assert_same(go(tmp_path), whole)
    rates = [epoch["learning_rate"] for epoch in whole["logs"]]
    assert rates[-1] < rates[0] / 1.9  # the reducer did its work
