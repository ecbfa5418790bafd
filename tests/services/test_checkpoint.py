"""The resume checkpoint: whole, checked, and exact."""

import json
import logging
import os
import random
import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from loops import history_of, same, small_network

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.checkpoint_file import Checkpoint, find_checkpoint
from barrage_mlflow.services.training_state import generator_states, set_generator_states
from barrage_mlflow.workspace.code_files import digest_files
from barrage_mlflow.workspace.record import Dataset, RunRecord

STEPS = 10


@pytest.fixture(scope="module")
def network():
    return small_network()


@pytest.fixture
def folder(tmp_path):
    """An artifact folder that has had three epochs."""
    history = history_of(tmp_path)
    for epoch in (1, 2, 3):
        history.add(epoch, {"loss": 1 / epoch})
    return tmp_path


def find(folder):
    return find_checkpoint(folder, history_of(folder))


def take(network, step, callbacks=()):
    no_transformer = digest_files(Path("nowhere"))
    return Checkpoint.take(network, step, STEPS, step // STEPS, callbacks, no_transformer)


def save(folder, network, step, callbacks=()):
    return take(network, step, callbacks).write(folder)


def values(network):
    return [v.numpy() for v in (*network.variables, *network.optimizer.variables)]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_all_variables_come_back(folder, dtype):
    saved, other = small_network(dtype=dtype), small_network(dtype=dtype)
    generator = np.random.default_rng(0)
    for variable in (*saved.variables, *saved.optimizer.variables):
        variable.assign(generator.integers(1, 9, variable.shape))
    saved.stop_training = True
    path = save(folder, saved, 10)

    found = find(folder)
    assert (found.path, found.step, found.steps, found.epochs, found.batch) == (path, 10, 10, 1, 0)
    found.restore(other)

    assert other.stop_training is True
    assert same(values(other), values(saved))


def test_generators_come_back(folder, network):
    def draw():
        return (
            random.gauss(0, 1),
            random.random(),
            np.random.normal(),
            float(keras.random.uniform(())),
            float(tf.random.get_global_generator().uniform(())),
        )

    draw()
    save(folder, network, 10)
    drawn = draw()
    keras.utils.set_random_seed(5)

    find(folder).restore(network)

    assert draw() == drawn


def test_reading_generator_states_changes_nothing(monkeypatch):
    def text():
        return json.dumps(generator_states(), default=lambda value: value.tolist())

    keras.utils.set_random_seed(3)
    assert text() == text()

    def refuse():
        raise RuntimeError("op determinism")

    with_one = generator_states()
    monkeypatch.setattr(tf.random, "get_global_generator", refuse)
    assert generator_states()["tensorflow"] is None
    set_generator_states(generator_states())
    set_generator_states(with_one)


def test_the_last_two_are_kept(folder, network):
    home = save(folder, network, 10).parent
    others = {"notes.txt", "step-of-mine.npz"}
    # The last was left by a process that was killed.
    for name in (*others, "partial-step-000000007.npz"):
        (home / name).touch()

    for step in (12, 20, 31):
        save(folder, network, step)

    kept = {"step-000000020.npz", "step-000000031.npz"}
    assert {path.name for path in home.iterdir()} == kept | others
    assert (find(folder).epochs, find(folder).batch) == (3, 1)
    # Fewer steps: the epochs have become shorter, or what was newer is damaged.
    save(folder, network, 21)
    assert find(folder).step == 21
    assert not (home / "step-000000031.npz").exists()


def repr_of(checkpoint):
    with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
        return repr((checkpoint, checkpoint.memory))


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_damaged_one_is_passed_over_with_a_warning(folder, network, caplog, share):
    save(folder, network, 10)
    newest = save(folder, network, 20)
    os.truncate(newest, int(share * newest.stat().st_size))

    with caplog.at_level(logging.WARNING):
        assert find(folder).step == 10

    (message,) = caplog.messages
    assert message.startswith(f"resume checkpoint {newest} is of no use: ")


def test_no_flipped_byte_goes_unnoticed(folder, network):
    good, newest = (save(folder, network, step) for step in (10, 20))
    content = newest.read_bytes()
    whole = find(folder)
    with np.load(newest, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiu" for name in file.files)

    for position in range(0, len(content), len(content) // 150):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        newest.write_bytes(bytes(damaged))
        found = find(folder)
        # A zip file has some things twice: there a flip does no harm.
        assert found.path == good or repr_of(found) == repr_of(whole)


def test_one_of_more_epochs_than_the_history_is_passed_over(folder, network):
    save(folder, network, 20)
    save(folder, network, 40)
    assert find(folder).step == 20

    (folder / "metrics.jsonl").unlink()
    message = (
        r": no resume checkpoint is of use: step-000000040\.npz: metrics\.jsonl lacks epoch 1; "
        r"step-000000020\.npz: .*; remove them to train from the start$"
    )
    with pytest.raises(ArtifactError, match=message):
        find(folder)


def test_one_number_stands_for_all_that_a_folder_is_gone_on_with(folder, network):
    """Where the keys have changed, count ``_FORMAT`` of the run record up."""
    RunRecord(datasets=(Dataset("train", "d1", "train.csv", {}, 3),)).write(folder)
    record = json.loads((folder / "run.json").read_text("utf-8"))
    checkpoint = take(network, 10)

    assert record["format"] == 4
    assert [*record] == [
        *("format", "status", "error", "started", "ended", "experiment", "run_name", "register"),
        *("alias", "run_id", "experiment_id", "tracking_uri", "tags", "datasets", "inferred"),
        *("network_params", "best_epoch", "evaluation", "model_uri", "version_uri", "published"),
    ]
    assert [*record["datasets"][0]] == ["name", "digest", "source", "columns", "rows"]
    fields = ["step", "steps", "epochs", "stopped", "transformer", "memory", "path"]
    assert [*vars(checkpoint)] == fields
    assert {name: [*of] for name, of in checkpoint.memory.items() if isinstance(of, dict)} == {
        "variables": ["trainable", "optimizer", "non-trainable", "metrics"],
        "generators": ["keras", "tensorflow", "python", "numpy"],
    }
    assert [*checkpoint.memory] == ["variables", "callbacks", "generators", "threads"]


def test_a_transformer_that_has_changed_is_found(folder, network):
    means = folder / "model/data/transformer/means.npy"
    means.parent.mkdir(parents=True)
    means.write_bytes(b"\x00\x01")
    resume = ResumeCheckpoint(folder)
    resume.set_model(network)
    resume.begin([], STEPS)
    resume.reach(3, 0)
    resume.save()
    resume.on_train_end()
    assert find(folder).batch == 3

    means.write_bytes(b"\x00\x00")

    with pytest.raises(ArtifactError, match="the files of its transformer are not as they were"):
        find(folder)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"units": 4},
            "the checkpoint is of another network: expected 'dense/kernel' (2, 4) float32, "
            "got 'dense/kernel' (2, 3) float32",
        ),
        (
            {"optimizer": "sgd"},
            "the checkpoint is of another optimizer: expected 2 optimizer variables, got 10",
        ),
    ],
)
def test_a_checkpoint_of_something_else(folder, other, message):
    keras.utils.clear_session(free_memory=False)
    save(folder, small_network(), 10)
    keras.utils.clear_session(free_memory=False)
    network = small_network(**other)
    before = values(network)

    with pytest.raises(ArtifactError, match=rf"^{re.escape(message)}$"):
        find(folder).restore(network)

    assert same(values(network), before)


# Callbacks


class Counter(keras.callbacks.Callback):
    def __init__(self, **state):
        super().__init__()
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def callbacks(folder):
    return [
        keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("loss"),
        BestCheckpoint(folder / "best.weights.h5", "val_loss", "min"),
        Counter(),
    ]


def test_callbacks_come_back(folder, network):
    weights = [np.arange(3.0), tf.ones((2, 2), "bfloat16").numpy()]
    saved, fresh = callbacks(folder), callbacks(folder)
    stopping, reducer, best, counter = saved
    stopping.wait, stopping.best, stopping.best_epoch, stopping.best_weights = 2, 0.25, 4, weights
    reducer.cooldown_counter, reducer.best = 3, 0.5
    best.best, best.best_epoch, best.best_weights = 0.125, 7, weights[:1]
    state = {"count": 3, "names": ["a", "b"], "nested": {"x": None}, "empty": []}
    counter.state = {**state, "arrays": weights}
    # One that remembers nothing need not be there again.
    save(folder, network, 10, [keras.callbacks.ProgbarLogger(), *saved])

    find(folder).restore(network, fresh)

    stopping, reducer, best, counter = fresh
    assert (stopping.wait, stopping.best, stopping.best_epoch) == (2, 0.25, 4)
    assert same(stopping.best_weights, weights)
    assert (reducer.wait, reducer.cooldown_counter, reducer.best) == (0, 3, 0.5)
    assert (best.best, best.best_epoch) == (0.125, 7)
    assert same(best.best_weights, weights[:1])
    assert same(counter.state.pop("arrays"), weights)
    assert counter.state == state

    message = "^the checkpoint is of other callbacks: expected none, got .*, Counter$"
    with pytest.raises(ArtifactError, match=message):
        find(folder).restore(network, [])


def test_what_a_callback_goes_on_changing_is_copied(folder, network):
    counter = Counter(count=0)
    checkpoint = take(network, 10, [counter])
    counter.state["count"] = 1
    checkpoint.write(folder)

    find(folder).restore(network, [fresh := Counter()])

    assert fresh.state == {"count": 0}


def test_one_is_due_after_minutes(folder, network, monkeypatch):
    now = iter([0.0, 59.0, 61.0, 61.0])
    monkeypatch.setattr("barrage_mlflow.services.checkpoint.time.monotonic", lambda: next(now))
    resume = ResumeCheckpoint(folder, every_minutes=1)
    resume.set_model(network)
    resume.begin([], STEPS)
    for step in (1, 2):
        resume.reach(step, 0)
        if resume.is_due:
            resume.save()
    resume.on_train_end()

    assert [path.name for path in folder.rglob("*.npz")] == ["step-000000002.npz"]
