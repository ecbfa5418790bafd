"""The training loop: what Keras does, and what it does not."""

import math
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest

from barrage_mlflow.errors import ArtifactError, ComponentError, RecordError, TrainingError
from barrage_mlflow.services import (
    BestCheckpoint,
    LossGuard,
    ResumeCheckpoint,
    build_callbacks,
    find_checkpoint,
    read_report,
)
from barrage_mlflow.training.loop import fit

# Keras turns its own variables into arrays in a way that NumPy 2 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")

ROOT = Path(__file__).parents[2]
BATCH = 8


class Batches:
    batch_size = BATCH

    """Batches of fixed records in a fixed order; the last may be short."""

    def __init__(self, records, features=4, seed=0, weights=True):
        generator = np.random.default_rng(seed)
        self.x = {"x": generator.normal(size=(records, features)).astype("float32")}
        self.y = {
            "a": generator.integers(0, 2, (records, 1)).astype("float32"),
            "b": generator.integers(0, 3, (records, 1)),
        }
        self.w = {name: generator.random(records).astype("float32") for name in self.y}
        self.data = (self.x, self.y, self.w) if weights else (self.x, self.y)
        self.epochs = []
        self.closed = 0

    @property
    def steps(self):
        return math.ceil(len(self.x["x"]) / BATCH)

    __len__ = steps.fget

    def __iter__(self):
        for start in range(0, len(self.x["x"]), BATCH):
            yield tuple(
                {name: array[start : start + BATCH] for name, array in part.items()}
                for part in self.data
            )

    def epoch(self, epoch, start=0):
        self.epochs.append(epoch)
        try:
            yield from list(self)[start:]
        finally:
            self.closed += 1


class Objective:
    def conform(self, y, w):
        return y, w


def build_network(seed=1, dropout=0.3, metrics=None, layer=None, **compile_args):
    keras.utils.set_random_seed(seed)
    x = keras.Input((4,), name="x")
    hidden = keras.layers.Dense(8, "relu", kernel_regularizer="l2")(x)
    hidden = keras.layers.Dropout(dropout)(keras.layers.BatchNormalization()(hidden))
    hidden = layer(hidden) if layer else hidden
    outputs = {
        "a": keras.layers.Dense(1, "sigmoid", name="a")(hidden),
        "b": keras.layers.Dense(3, "softmax", name="b")(hidden),
    }
    network = keras.Model({"x": x}, outputs)
    network.compile(
        **{
            "optimizer": keras.optimizers.Adam(0.01),
            "loss": {"a": "mse", "b": "sparse_categorical_crossentropy"},
            "loss_weights": {"a": 1.0, "b": 0.5},
            "weighted_metrics": metrics or {"a": ["AUC"], "b": ["accuracy"]},
            **compile_args,
        }
    )
    return network


def same_weights(left, right):
    return same(left.get_weights(), right.get_weights())


def same(left, right):
    return len(left) == len(right) and all(map(np.array_equal, left, right))


class Recorder(keras.callbacks.Callback):
    """Notes every call in order: name, position and what the logs hold."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _recording(name):
    def method(self, *args, **kwargs):
        *position, logs = (*args, *kwargs.values())
        self.calls.append((name, *position, logs))

    return method


for _name in dir(keras.callbacks.Callback):
    if _name.startswith(("on_train", "on_test", "on_epoch")):
        setattr(Recorder, _name, _recording(_name))


def call_names(recorder):
    return [call[0] for call in recorder.calls]


# Against Keras


@pytest.mark.parametrize("weights", [True, False])
def test_equals_keras_bit_for_bit(weights):
    train, validation = Batches(43, weights=weights), Batches(20, seed=1, weights=weights)
    expected, network = build_network(), build_network()
    theirs, ours = Recorder(), Recorder()

    history = expected.fit(
        *train.data[:2],
        sample_weight=train.w if weights else None,
        validation_data=validation.data,
        batch_size=BATCH,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[theirs],
    ).history
    logs = fit(network, train, validation, 3, [ours], Objective())

    assert same_weights(expected, network)
    rates = {"learning_rate": [0.01] * 3}
    assert {name: [epoch[name] for epoch in logs] for name in logs[0]} == {**history, **rates}
    assert [call[:-1] for call in theirs.calls] == [call[:-1] for call in ours.calls]
    for one, other in zip(theirs.calls, ours.calls, strict=True):
        if one[0] in ("on_train_batch_end", "on_test_batch_end"):
            assert other[-1] == {"loss": one[-1]["loss"]}
        elif one[0] in ("on_epoch_end", "on_test_end", "on_train_end"):
            assert {k: v for k, v in other[-1].items() if k != "learning_rate"} == one[-1]


def test_twice_gives_the_same_weights():
    networks = [build_network(), build_network()]

    first, second = (
        fit(network, Batches(43), Batches(20), 2, [], Objective()) for network in networks
    )

    assert first == second
    assert same_weights(*networks)


def test_schedule_reducer_and_their_learning_rate():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    network = build_network(optimizer=keras.optimizers.SGD(schedule))
    logs = fit(network, Batches(24), Batches(8), 2, [], Objective())
    # Three steps an epoch.
    assert [epoch["learning_rate"] for epoch in logs] == pytest.approx([0.1 / 8, 0.1 / 64])

    network = build_network(optimizer=keras.optimizers.SGD(0.5))
    reducer = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    logs = fit(network, Batches(24), Batches(8), 4, [reducer], Objective())
    assert [epoch["learning_rate"] for epoch in logs] == [0.5, 0.5, 0.25, 0.125]


def test_averaged_weights_are_put_in_at_the_end():
    network = build_network(optimizer=keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5))
    last = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: last.append(network.get_weights())
    )

    fit(network, Batches(24), Batches(8), 1, [note], Objective())

    assert not np.array_equal(network.get_weights()[0], last[0][0])


# Tracing


class Traces(keras.layers.Layer):
    """Counts how often it is traced."""

    count = 0

    def call(self, x):
        type(self).count += 1
        return x


def test_traced_once_for_train_and_once_for_validation():
    network = build_network(layer=Traces())
    Traces.count = 0

    fit(network, Batches(43), Batches(21), 3, [], Objective())

    assert Traces.count == 3  # and one eager call, to make the metrics


def sequence_network(time):
    keras.utils.set_random_seed(1)
    x = keras.Input((time, 2), name="x")
    network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(Traces()(x))})
    network.compile("sgd", loss={"y": "mse"})
    Traces.count = 0
    return network


def sequences(*shapes, dtype="float32"):
    class Sequences:
        steps = len(shapes)
        batch_size = 4

        def epoch(self, epoch, start=0):
            return iter(
                [
                    (
                        {"x": np.ones((*x, 2), "float32")},
                        {"y": np.ones((*y, 1), dtype if n else "float32")},
                    )
                    for n, (x, y) in enumerate(shapes)
                ]
            )

    return Sequences()


def test_dimensions_that_the_network_leaves_open_are_traced_open():
    batches = sequences(((4, 5), (4, 5)), ((4, 7), (4, 7)), ((2, 3), (2, 3)))

    fit(sequence_network(None), batches, list(batches.epoch(0)), 2, [], Objective())

    assert Traces.count == 3


def test_targets_of_another_length_are_traced_once_more():
    batches = sequences(((4, 1), (4, 1)), ((4, 1), (4, 5)), ((4, 1), (4, 9)))

    fit(sequence_network(1), batches, list(batches.epoch(0))[:1], 2, [], Objective())

    assert Traces.count == 4


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (
            sequences(((4, 5), (4, 5)), ((4, 5), (4, 5)), dtype="int64"),
            "train target 'y': expected (batch, None, 1) float32 as in the first batch, "
            "got (4, 5, 1) int64; every record must give the same",
        ),
        (
            sequences(((4, 5), (4, 5)), ((4, 5), (4,))),
            "train target 'y': expected (batch, None, 1) float32 as in the first batch, "
            "got (4, 1) float32; every record must give the same",
        ),
    ],
)
def test_targets_of_another_kind(batches, message):
    with pytest.raises(RecordError, match="train target") as caught:
        fit(sequence_network(None), batches, list(batches.epoch(0))[:1], 1, [], Objective())

    assert str(caught.value) == message


def test_building_metrics_changes_nothing_in_the_network():
    class Restless(keras.layers.Layer):
        """Changes its own state whenever it is called."""

        def build(self, shape):
            self.calls = self.add_weight(initializer="zeros", trainable=False, name="calls")

        def call(self, x):
            self.calls.assign_add(1.0)
            return x

    network = build_network(layer=Restless())

    fit(network, Batches(24), Batches(16), 1, [], Objective())

    calls = next(v for v in network.variables if v.path.endswith("calls"))
    assert float(calls.numpy()) == 3 + 2


def test_a_metric_of_more_than_one_number():
    network = build_network(metrics={"b": [Vector(name="f1")]})

    with pytest.raises(ComponentError, match="expected one number") as caught:
        fit(network, Batches(24), Batches(8), 1, [], Objective())

    assert str(caught.value) == (
        "metric 'b_f1': expected one number, got an array of shape (3,); a metric that keeps "
        'classes apart needs a param that joins them, such as "average": "macro"'
    )


class Vector(keras.metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass

    def result(self):
        return keras.ops.zeros(3)


# Stopping and breaking off


class StopAt(keras.callbacks.Callback):
    def __init__(self, method, position, what):
        super().__init__()
        self.position, self.what = position, what
        setattr(self, method, self.act)

    def act(self, position=None, logs=None):
        if position == self.position:
            self.what(self.model)


def test_stop_within_an_epoch():
    train = Batches(43)
    recorder = Recorder()
    stop = StopAt("on_train_batch_end", 2, lambda model: setattr(model, "stop_training", True))

    logs = fit(build_network(), train, Batches(20), 3, [stop, recorder], Objective())

    assert len(logs) == 1
    assert call_names(recorder).count("on_train_batch_end") == 3
    assert call_names(recorder)[-2:] == ["on_epoch_end", "on_train_end"]
    assert (train.epochs, train.closed) == ([0], 1)


def test_stop_of_validation():
    recorder = Recorder()
    stop = StopAt("on_test_batch_end", 0, lambda model: setattr(model, "stop_evaluating", True))

    logs = fit(build_network(), Batches(43), Batches(20), 2, [stop, recorder], Objective())

    assert len(logs) == 2
    assert call_names(recorder).count("on_test_batch_end") == 2


def test_early_stopping(capfd):
    stopping = keras.callbacks.EarlyStopping("loss", min_delta=1e9, patience=2, mode="min")

    logs = fit(build_network(), Batches(24), Batches(8), 9, [stopping], Objective())

    assert len(logs) == 3
    assert capfd.readouterr().out == ""


def test_no_epochs():
    recorder = Recorder()

    assert fit(build_network(), Batches(24), Batches(8), 0, [recorder], Objective()) == []
    assert call_names(recorder) == ["on_train_begin", "on_train_end"]


def refuse(error):
    def act(model):
        raise error

    return act


@pytest.mark.parametrize("error", [KeyboardInterrupt("now"), ValueError("broken")])
@pytest.mark.parametrize("method", ["on_train_batch_end", "on_test_batch_begin", "on_epoch_end"])
def test_every_callback_ends_when_training_breaks_off(method, error):
    train = Batches(43)
    recorder = Recorder()

    with pytest.raises(type(error), match=str(error)):
        fit(
            build_network(),
            train,
            Batches(20),
            2,
            [StopAt(method, 0, refuse(error)), recorder],
            Objective(),
        )

    names = call_names(recorder)
    assert names[-1] == "on_train_end"
    assert names.count("on_train_end") == 1
    assert names.count("on_test_begin") == names.count("on_test_end")
    assert train.closed == len(train.epochs)


def test_what_breaks_while_breaking_off_is_a_note():
    class Broken(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            raise OSError("disk full")

    recorder = Recorder()
    callbacks = [Broken(), StopAt("on_train_batch_end", 0, refuse(ValueError("broken"))), recorder]

    with pytest.raises(ValueError, match="broken") as caught:
        fit(build_network(), Batches(24), Batches(8), 1, callbacks, Objective())

    assert caught.value.__notes__ == ["then Broken.on_train_end raised OSError: disk full"]
    assert call_names(recorder)[-1] == "on_train_end"


def test_data_that_breaks_ends_the_training():
    class Broken(Batches):
        def __iter__(self):
            yield next(super().__iter__())
            raise RecordError("train.csv, record 9: broken")

    recorder = Recorder()

    with pytest.raises(RecordError, match=r"^train\.csv, record 9: broken$"):
        fit(build_network(), Broken(24), Batches(8), 1, [recorder], Objective())

    assert call_names(recorder)[-1] == "on_train_end"


def test_loss_that_is_no_number_is_found_at_its_batch():
    train = Batches(43)
    train.y["a"][BATCH * 3] = np.nan

    with pytest.raises(TrainingError, match=r"^epoch 1, batch 4: expected a finite loss, got nan"):
        fit(build_network(), train, Batches(20), 2, [LossGuard()], Objective())


# Services

STOPPING = {"mode": "min", "patience": 10, "min_delta": 1e-5}


def services(tensorboard=None):
    return {
        "services": {
            "best_checkpoint": {"monitor": "val_loss", "mode": "min"},
            "tensorboard": tensorboard or {},
            "train_early_stopping": {"monitor": "loss", **STOPPING},
            "validation_early_stopping": {"monitor": "val_loss", **STOPPING},
        }
    }


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
    network = build_network()
    callbacks = build_callbacks(services(), tmp_path)

    logs = fit(network, Batches(43), Batches(20, seed=1), 3, callbacks, Objective())

    (best,) = (callback for callback in callbacks if isinstance(callback, BestCheckpoint))
    losses = [epoch["val_loss"] for epoch in logs]
    assert (best.best, best.best_epoch) == (min(losses), losses.index(min(losses)) + 1)
    report = read_report(tmp_path / "training_report.csv")
    assert report == [{"epoch": number, **epoch} for number, epoch in enumerate(logs, 1)]
    checkpoint = find_checkpoint(tmp_path / "checkpoints" / "resume")
    assert (checkpoint.epoch, checkpoint.logs) == (3, logs)
    found = events(tmp_path / "tensorboard")
    scalars = [name for name in logs[0] if not name.startswith("val_")]
    assert found["train"] == {"keras": 1, **{f"epoch_{name}": 3 for name in scalars}}
    assert found["validation"] == {
        **{f"epoch_{name[4:]}": 3 for name in logs[0] if name.startswith("val_")},
        **{
            f"evaluation_{name[4:]}_vs_iterations": 3 for name in logs[0] if name.startswith("val_")
        },
    }
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])


def test_tensorboard_with_everything_on(tmp_path):
    params = {"histogram_freq": 1, "update_freq": "batch", "write_graph": True}
    network = build_network()

    fit(
        network,
        Batches(43),
        Batches(20),
        2,
        build_callbacks(services(params), tmp_path),
        Objective(),
    )

    found = events(tmp_path / "tensorboard")["train"]
    assert found["batch_loss"] == 12
    assert sum(name.endswith("/histogram") for name in found) == len(network.weights)


def test_files_are_closed_when_validation_breaks_off(tmp_path):
    import tensorflow as tf

    callbacks = [
        *build_callbacks(services({"update_freq": "batch"}), tmp_path),
        StopAt("on_test_batch_end", 1, refuse(KeyboardInterrupt("now"))),
    ]

    with pytest.raises(KeyboardInterrupt, match="now"):
        fit(build_network(), Batches(43), Batches(20), 2, callbacks, Objective())

    assert not tf.summary.should_record_summaries()
    assert events(tmp_path / "tensorboard")["train"]["batch_loss"] == 6


def test_the_resume_checkpoint_is_written_last(tmp_path):
    resume = ResumeCheckpoint(tmp_path)
    reducer = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    network = build_network()

    fit(network, Batches(24), Batches(8), 2, [resume, reducer], Objective())

    other = build_network()
    find_checkpoint(tmp_path).restore(other, [keras.callbacks.ReduceLROnPlateau("loss")])
    assert float(other.optimizer.learning_rate.numpy()) == pytest.approx(0.005)


# Resuming


def test_a_stopped_training_is_not_trained_on(tmp_path):
    def callbacks():
        return [keras.callbacks.EarlyStopping("loss", 1e9, 1), ResumeCheckpoint(tmp_path)]

    network = build_network()
    logs = fit(network, Batches(24), Batches(8), 9, callbacks(), Objective())
    other = build_network(seed=2)
    resumed = fit(
        other,
        Batches(24),
        Batches(8),
        9,
        callbacks(),
        Objective(),
        resume=find_checkpoint(tmp_path),
    )

    assert len(logs) == 2
    assert resumed == logs
    assert same_weights(network, other)


def test_a_finished_training_can_be_made_longer(tmp_path):
    whole = build_network()
    logs = fit(whole, Batches(24), Batches(8), 3, [], Objective())
    network = build_network()
    fit(network, Batches(24), Batches(8), 2, [ResumeCheckpoint(tmp_path)], Objective())
    other = build_network(seed=2)
    train = Batches(24)

    checkpoint = find_checkpoint(tmp_path)
    resumed = fit(
        other, train, Batches(8), 3, [ResumeCheckpoint(tmp_path)], Objective(), resume=checkpoint
    )

    assert resumed == logs
    assert train.epochs == [2]
    assert same_weights(whole, other)
    assert find_checkpoint(tmp_path).logs == logs
    assert fit(other, train, Batches(8), 3, [], Objective(), find_checkpoint(tmp_path)) == logs


def test_a_checkpoint_of_another_network(tmp_path):
    fit(build_network(), Batches(24), Batches(8), 1, [ResumeCheckpoint(tmp_path)], Objective())
    recorder = Recorder()

    with pytest.raises(ArtifactError, match="checkpoint is of another optimizer: it holds"):
        fit(
            build_network(optimizer="sgd"),
            Batches(24),
            Batches(8),
            2,
            [recorder],
            Objective(),
            resume=find_checkpoint(tmp_path),
        )

    assert call_names(recorder) == ["on_train_begin", "on_train_end"]


SCRIPT = """
    import os, sys
    from pathlib import Path

    import keras
    import numpy as np

    sys.path[:0] = [{root!r}, {tests!r}]
    from barrage_mlflow.training.loop import fit
    from barrage_mlflow.services import build_callbacks, find_checkpoint
    from test_fitting import Batches, Objective, build_network, services

    class Noise(keras.layers.Layer):
        "Draws from Keras's global generator."
        def call(self, x, training=False):
            return x + keras.random.normal((1, 8)) * 0.1 if training else x

    class Restless(keras.callbacks.Callback):
        "Draws from the global generators of Python and NumPy."
        def on_epoch_begin(self, epoch, logs=None):
            import random
            rate = self.model.optimizer.learning_rate
            rate.assign(rate * (1 - 0.01 * random.random() * np.random.rand()))

    class Crash(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch
        def on_train_batch_end(self, batch, logs=None):
            if (self.epoch, batch) == (3, 2):
                os._exit(9)

    mode, folder = sys.argv[1], Path(sys.argv[2])
    resume = find_checkpoint(folder / "checkpoints" / "resume") if mode == "resume" else None
    network = build_network(seed=99 if resume else 1, layer=Noise())
    reducer = keras.callbacks.ReduceLROnPlateau("loss", 0.5, 2, cooldown=1, min_delta=0.05)
    callbacks = [*build_callbacks(services(), folder), reducer, Restless()]
    if mode == "crash":
        callbacks.append(Crash())
    fit(network, Batches(43), Batches(20, seed=1), 8, callbacks, Objective(), resume)
    np.savez(folder / "weights.npz", *network.get_weights())
"""


def test_resumed_in_a_fresh_process_equals_never_stopped(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(SCRIPT).format(root=str(ROOT), tests=str(Path(__file__).parents[1]))
    )

    def start(mode, folder):
        return subprocess.Popen(
            [sys.executable, script, mode, tmp_path / folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(process):
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    whole, crashed = start("whole", "whole"), start("crash", "broken")
    code, output = finish(crashed)
    assert code == 9, output
    for process in (start("resume", "broken"), whole):
        code, output = finish(process)
        assert code == 0, output

    def weights(folder):
        with np.load(tmp_path / folder / "weights.npz") as file:
            return [file[name] for name in file.files]

    assert same(weights("whole"), weights("broken"))
    reports = [tmp_path / name / "training_report.csv" for name in ("whole", "broken")]
    assert reports[0].read_text() == reports[1].read_text()
    rates = [row["learning_rate"] for row in read_report(reports[0])]
    assert rates[-1] < rates[0] / 1.9  # the reducer did its work
    networks = [build_network(layer=keras.layers.Identity()) for _ in reports]
    for network, path in zip(networks, reports, strict=True):
        best = path.parent / "checkpoints" / "best.weights.h5"
        keras.Model(network.input, network.output).load_weights(best)
    assert same_weights(*networks)
