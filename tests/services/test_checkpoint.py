"""The resume checkpoint: whole, checked, and exact."""

import json
import logging
import random
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.services import (
    BestCheckpoint,
    ResumeCheckpoint,
    find_checkpoint,
)
from barrage_mlflow.services.checkpoint import take_snapshot, write_checkpoint
from barrage_mlflow.services.generators import generator_states, set_generator_states


def small_network(units=3, optimizer="adam", dtype="float32"):
    x = keras.Input((2,), name="x")
    hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(units, dtype=dtype)(x))
    network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(hidden)})
    network.compile(optimizer, loss={"y": "mse"})
    network.optimizer.build(network.trainable_variables)
    return network


def save_checkpoint(folder, network, epoch, logs=(), callbacks=(), batch=0):
    return write_checkpoint(folder, take_snapshot(network, epoch, batch, logs, callbacks))


def randomise(network):
    generator = np.random.default_rng(0)
    for variable in (*network.variables, *network.optimizer.variables):
        variable.assign(generator.integers(1, 9, variable.shape))
    return network


def values(network):
    return [v.numpy() for v in (*network.variables, *network.optimizer.variables)]


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_all_variables_come_back(tmp_path, dtype):
    saved = randomise(small_network(dtype=dtype))
    save_checkpoint(tmp_path, saved, 1)
    network = small_network(dtype=dtype)

    find_checkpoint(tmp_path).restore(network)

    assert same(values(network), values(saved))


def test_an_optimizer_that_was_not_built_is_built(tmp_path):
    saved = randomise(small_network())
    save_checkpoint(tmp_path, saved, 1)
    network = small_network()
    network.compile("adam", loss={"y": "mse"})

    find_checkpoint(tmp_path).restore(network)

    assert same(values(network), values(saved))


def test_epoch_logs_and_stop_come_back(tmp_path):
    network = small_network()
    network.stop_training = True
    logs = [{"loss": 1 / 3, "val_loss": float("inf")}, {"loss": 0.1, "val_loss": 2.0}]

    path = save_checkpoint(tmp_path, network, 2, logs)

    checkpoint = find_checkpoint(tmp_path)
    assert (checkpoint.path, checkpoint.epoch, checkpoint.logs, checkpoint.stopped) == (
        path,
        2,
        logs,
        True,
    )
    other = small_network()
    checkpoint.restore(other)
    assert other.stop_training is True


def test_generators_come_back(tmp_path):
    network = small_network()

    def draw():
        return (
            random.gauss(0, 1),
            random.random(),
            np.random.normal(),
            float(keras.random.uniform(())),
            float(tf.random.get_global_generator().uniform(())),
        )

    draw()
    save_checkpoint(tmp_path, network, 1)
    drawn = draw()
    keras.utils.set_random_seed(5)

    find_checkpoint(tmp_path).restore(network)

    assert draw() == drawn


def test_generator_states_are_plain_json_and_reading_them_changes_nothing():
    keras.utils.set_random_seed(3)
    first = generator_states()

    assert json.loads(json.dumps(first)) == first == generator_states()


def test_tensorflow_without_a_global_generator(monkeypatch):
    def refuse():
        raise RuntimeError("op determinism")

    with_one = generator_states()
    monkeypatch.setattr(tf.random, "get_global_generator", refuse)

    assert generator_states()["tensorflow"] is None
    set_generator_states(generator_states())
    set_generator_states(with_one)


def test_the_last_two_are_kept(tmp_path):
    network = small_network()
    (tmp_path / "note.txt").write_text("mine")

    for epoch in (1, 2, 3, 100_000):
        save_checkpoint(tmp_path, network, epoch)

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch-00003.npz",
        "epoch-100000.npz",
        "note.txt",
    ]
    assert find_checkpoint(tmp_path).epoch == 100_000


def test_a_checkpoint_that_cannot_be_written_leaves_those_before(tmp_path, monkeypatch):
    network = small_network()
    save_checkpoint(tmp_path, network, 1)

    def half(file, **arrays):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(tmp_path, network, 2)

    assert [path.name for path in tmp_path.iterdir()] == ["epoch-00001.npz"]


def test_nothing_in_it_is_pickled(tmp_path):
    path = save_checkpoint(tmp_path, small_network(), 1)

    with np.load(path, allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "fiu" for name in file.files)


def truncated(content):
    return content[: len(content) // 2]


def flipped(content):
    middle = len(content) // 3
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage", [truncated, flipped, lambda content: b"", lambda content: b"not a checkpoint"]
)
def test_a_damaged_one_is_passed_over_with_a_warning(tmp_path, caplog, damage):
    network = small_network()
    save_checkpoint(tmp_path, network, 1)
    newest = save_checkpoint(tmp_path, network, 2)
    newest.write_bytes(damage(newest.read_bytes()))

    with caplog.at_level(logging.WARNING):
        checkpoint = find_checkpoint(tmp_path)

    assert checkpoint.epoch == 1
    (record,) = caplog.records
    assert re.fullmatch(
        r"resume checkpoint .*epoch-00002\.npz is damaged \(.+\); falling back to the one before",
        record.getMessage(),
        re.DOTALL,
    )


def test_no_flipped_byte_goes_unnoticed(tmp_path):
    network = small_network()
    good, newest = (save_checkpoint(tmp_path, network, epoch) for epoch in (1, 2))
    content = newest.read_bytes()
    whole = find_checkpoint(tmp_path)

    for position in range(0, len(content), len(content) // 150):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        newest.write_bytes(bytes(damaged))
        checkpoint = find_checkpoint(tmp_path)
        # A zip file says some things twice: there a flip does no harm.
        assert checkpoint.path == good or (
            checkpoint._state == whole._state
            and same(list(checkpoint._arrays.values()), list(whole._arrays.values()))
        )


def rewrite(path, **members):
    with np.load(path) as file:
        content = {name: file[name] for name in file.files}
    np.savez(path, **{**content, **members})


def test_contents_that_do_not_match_the_checksum(tmp_path):
    path = save_checkpoint(tmp_path, small_network(), 1)
    rewrite(path, **{"trainable/1": np.full(3, 5.0, "float32")})

    with pytest.raises(ArtifactError, match="damaged") as caught:
        find_checkpoint(tmp_path)

    assert str(caught.value) == (
        f"{tmp_path}: every resume checkpoint is damaged: "
        "epoch-00001.npz: its checksum does not match; remove them to train from the start"
    )


def test_a_format_of_the_future(tmp_path, monkeypatch):
    monkeypatch.setattr("barrage_mlflow.services.checkpoint._FORMAT", 3)
    save_checkpoint(tmp_path, small_network(), 1)
    monkeypatch.undo()

    with pytest.raises(ArtifactError, match=r"epoch-00001\.npz: expected format 2, got 3; "):
        find_checkpoint(tmp_path)


def test_no_checkpoint(tmp_path):
    (tmp_path / "epoch-of-mine.npz").touch()
    assert find_checkpoint(tmp_path) is None


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            {"units": 4},
            "the checkpoint is of another network: it holds 'dense/kernel' (2, 3) float32, "
            "the network has 'dense/kernel' (2, 4) float32",
        ),
        (
            {"optimizer": "sgd"},
            "the checkpoint is of another optimizer: it holds 10 variables, the optimizer has 2",
        ),
    ],
)
def test_a_checkpoint_of_something_else(tmp_path, other, message):
    keras.utils.clear_session(free_memory=False)
    save_checkpoint(tmp_path, small_network(), 1)
    keras.utils.clear_session(free_memory=False)
    network = small_network(**other)
    before = values(network)

    with pytest.raises(ArtifactError, match="of another") as caught:
        find_checkpoint(tmp_path).restore(network)

    assert str(caught.value) == message
    assert same(values(network), before)


# Callbacks


def stopping(**state):
    callback = keras.callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True)
    for name, value in state.items():
        setattr(callback, name, value)
    return callback


def test_callbacks_come_back(tmp_path):
    network = small_network()
    weights = [np.arange(3.0), np.ones((2, 2), "float32")]
    saved = [
        stopping(wait=2, best=0.25, best_epoch=4, best_weights=weights),
        keras.callbacks.ProgbarLogger(),
        keras.callbacks.ReduceLROnPlateau("loss"),
        BestCheckpoint(tmp_path / "best.weights.h5", "val_loss", "min"),
    ]
    saved[2].cooldown_counter, saved[2].best = 3, 0.5
    saved[3].best, saved[3].best_epoch = 0.125, 7
    save_checkpoint(tmp_path, network, 8, callbacks=saved)
    fresh = [
        stopping(),
        keras.callbacks.ReduceLROnPlateau("loss"),
        BestCheckpoint(tmp_path / "best.weights.h5", "val_loss", "min"),
    ]

    find_checkpoint(tmp_path).restore(network, fresh)

    assert (fresh[0].wait, fresh[0].best, fresh[0].best_epoch) == (2, 0.25, 4)
    assert same(fresh[0].best_weights, weights)
    assert (fresh[1].wait, fresh[1].cooldown_counter, fresh[1].best) == (0, 3, 0.5)
    assert (fresh[2].best, fresh[2].best_epoch) == (0.125, 7)


class Counter(keras.callbacks.Callback):
    def __init__(self, **state):
        super().__init__()
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = state


def test_any_callback_with_get_state_and_set_state_comes_back(tmp_path):
    network = small_network()
    state = {"count": 3, "names": ["a", "b"], "nested": {"x": None}, "empty": []}
    save_checkpoint(tmp_path, network, 1, callbacks=[Counter(**state)])
    fresh = Counter()

    find_checkpoint(tmp_path).restore(network, [fresh])

    assert fresh.state == state


def test_a_checkpoint_of_other_callbacks(tmp_path):
    network = small_network()
    save_checkpoint(tmp_path, network, 1, callbacks=[stopping(), Counter()])

    with pytest.raises(ArtifactError, match="other callbacks") as caught:
        find_checkpoint(tmp_path).restore(network, [])

    assert str(caught.value) == (
        "the checkpoint is of other callbacks: it holds EarlyStopping, Counter, got none"
    )


def test_the_callback_writes_after_each_epoch(tmp_path):
    network = small_network()
    counter = Counter(count=0)
    resume = ResumeCheckpoint(tmp_path / "resume")
    resume.set_model(network)
    logs = [{"loss": 3.0}]
    resume.watch([counter], logs)

    logs.append({"loss": 2.0})
    resume.on_epoch_end(1, {"loss": 2.0})
    counter.state = {"count": 1}
    logs.append({"loss": 1.0})
    resume.on_epoch_end(2, {"loss": 1.0})
    resume.on_train_end()

    checkpoint = find_checkpoint(tmp_path / "resume")
    assert (checkpoint.epoch, checkpoint.logs) == (3, [{"loss": 3.0}, {"loss": 2.0}, {"loss": 1.0}])
    checkpoint.restore(network, [fresh := Counter()])
    assert fresh.state == {"count": 1}
