"""The training loop: what Keras does, and what it does not."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from loops import BATCH, Batches, build_network, history_of, run, same, services

from barrage_mlflow.errors import ArtifactError, ComponentError, RecordError, TrainingError
from barrage_mlflow.services import (
    BestCheckpoint,
    ResumeCheckpoint,
    build_callbacks,
    find_checkpoint,
)
from barrage_mlflow.training.steps import Steps, train_step

# Keras turns its own variables into arrays in a way that NumPy 2 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")


class Recorder(keras.callbacks.Callback):
    """Keeps every call in order: name, position and logs."""

    def __init__(self):
        super().__init__()
        self.calls = []

    @property
    def names(self):
        return [call[0] for call in self.calls]


def _recording(name):
    def method(self, *args, **kwargs):
        *position, logs = (*args, *kwargs.values())
        self.calls.append((name, *position, logs))

    return method


for _name in dir(keras.callbacks.Callback):
    if _name.startswith(("on_train", "on_test", "on_epoch")):
        setattr(Recorder, _name, _recording(_name))


def weights(network):
    return network.get_weights()


# Against Keras


@pytest.mark.parametrize("weighted", [True, False])
def test_equals_keras_bit_for_bit(weighted):
    train, validation = Batches(43, weights=weighted), Batches(20, seed=1, weights=weighted)
    expected, network, together = build_network(), build_network(), build_network()
    theirs, ours = Recorder(), Recorder()

    history = expected.fit(
        *train.data[:2],
        sample_weight=train.w if weighted else None,
        validation_data=validation.data,
        batch_size=BATCH,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[theirs],
    ).history
    logs = run(network, train, validation, 3, [ours])

    assert same(weights(expected), weights(network))
    rates = {"learning_rate": [0.01] * 3}
    assert {name: [epoch[name] for epoch in logs] for name in logs[0]} == {**history, **rates}
    assert [call[:-1] for call in theirs.calls] == [call[:-1] for call in ours.calls]
    for one, other in zip(theirs.calls, ours.calls, strict=True):
        if one[0] in ("on_train_batch_end", "on_test_batch_end"):
            assert other[-1] == {"loss": one[-1]["loss"]}
        elif one[0] in ("on_epoch_end", "on_test_end", "on_train_end"):
            assert {k: v for k, v in other[-1].items() if k != "learning_rate"} == one[-1]
    assert run(together, train, validation, 3, steps_per_execution=4) == logs
    assert same(weights(together), weights(network))


def test_schedule_reducer_and_their_learning_rate():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    network = build_network(optimizer=keras.optimizers.SGD(schedule))
    logs = run(network, Batches(24), Batches(8), 2)
    # Three steps an epoch.
    assert [epoch["learning_rate"] for epoch in logs] == pytest.approx([0.1 / 8, 0.1 / 64])

    network = build_network(optimizer=keras.optimizers.SGD(0.5))
    reducer = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    logs = run(network, Batches(24), Batches(8), 4, [reducer])
    assert [epoch["learning_rate"] for epoch in logs] == [0.5, 0.5, 0.25, 0.125]


def test_averaged_weights_are_put_in_at_the_end():
    network = build_network(optimizer=keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5))
    last = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: last.append(weights(network))
    )

    run(network, Batches(24), Batches(8), 1, [keep])

    assert not np.array_equal(weights(network)[0], last[0][0])


def test_shares_of_a_batch_reduced_make_its_step():
    """Two processes with a share each, whose gradients are added up before the optimizer."""
    whole, network = build_network(dropout=0.0), build_network(dropout=0.0)
    x, y = Batches(BATCH, weights=False).data
    parts = [{n: tf.constant(a[rows]) for n, a in x.items()} for rows in (slice(3), slice(3, None))]
    targets = [{n: a[rows] for n, a in y.items()} for rows in (slice(3), slice(3, None))]
    gradients = []
    before = weights(network)
    for normalization in (whole.layers[2], network.layers[2]):
        normalization.trainable = False  # it looks at all records of its batch

    for data in zip(parts, targets, strict=True):
        train_step(
            network, data, lambda each: gradients.append(each) or [0 * g for g in each], BATCH
        )
    assert same(weights(network)[:1], before[:1])
    train_step(whole, (x, y), lambda each: gradients.append(each) or each)

    for one, other, both in zip(*gradients, strict=True):
        # The regularization of the weights has its share in each.
        assert np.allclose(one + other, both, atol=1e-6)


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

    run(network, Batches(43), Batches(21), 3)

    assert Traces.count == 3  # and one eager call, to make the metrics


def sequence_network(time):
    keras.utils.set_random_seed(1)
    x = keras.Input((time, 2), name="x")
    network = keras.Model({"x": x}, {"y": keras.layers.Dense(1, name="y")(Traces()(x))})
    network.compile("sgd", loss={"y": "mse"})
    Traces.count = 0
    return network


class Sequences:
    """A batch of each pair of shapes."""

    batch_size = 4

    def __init__(self, *shapes, dtype="float32"):
        self.steps = len(shapes)
        self.data = [
            ({"x": np.ones((*x, 2), "float32")}, {"y": np.ones((*y, 1), dtype if n else "float32")})
            for n, (x, y) in enumerate(shapes)
        ]

    def epoch(self, epoch, start=0):
        return iter(self.data[start:])


@pytest.mark.parametrize(
    ("time", "batches", "traces"),
    [
        # Dimensions that the network leaves open are traced open.
        (None, Sequences(((4, 5), (4, 5)), ((4, 7), (4, 7)), ((2, 3), (2, 3))), 3),
        # Targets of another length are traced once more.
        (1, Sequences(((4, 1), (4, 1)), ((4, 1), (4, 5)), ((4, 1), (4, 9))), 4),
    ],
)
def test_shapes_that_vary(time, batches, traces):
    run(sequence_network(time), batches, batches.data[:1], 2)

    assert Traces.count == traces


@pytest.mark.parametrize(
    ("batches", "got"),
    [
        (Sequences(((4, 5), (4, 5)), ((4, 5), (4, 5)), dtype="int64"), r"\(4, 5, 1\) int64"),
        (Sequences(((4, 5), (4, 5)), ((4, 5), (4,))), r"\(4, 1\) float32"),
    ],
)
def test_targets_of_another_kind(batches, got):
    message = (
        r"^train target 'y': expected \(batch, None, 1\) float32 as in the first batch, "
        rf"got {got}; every record must give the same$"
    )
    with pytest.raises(RecordError, match=message):
        run(sequence_network(None), batches, batches.data[:1], 1)


def test_building_metrics_changes_nothing_in_the_network():
    class Restless(keras.layers.Layer):
        """Changes its own state whenever it is called."""

        def build(self, shape):
            self.calls = self.add_weight(initializer="zeros", trainable=False, name="calls")

        def call(self, x):
            self.calls.assign_add(1.0)
            return x

    network = build_network(layer=Restless())

    run(network, Batches(24), Batches(16), 1)

    calls = next(v for v in network.variables if v.path.endswith("calls"))
    assert float(calls.numpy()) == 3 + 2


def test_a_metric_of_more_than_one_number():
    class Vector(keras.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return keras.ops.zeros(3)

    message = (
        r"^metric 'b_f1': expected one number, got an array of shape \(3,\); a metric that keeps "
        'classes apart needs a param that joins them, such as "average": "macro"$'
    )
    with pytest.raises(ComponentError, match=message):
        run(build_network(metrics={"b": [Vector(name="f1")]}), Batches(24), Batches(8), 1)


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


def test_no_epochs():
    recorder = Recorder()

    assert run(build_network(), Batches(24), Batches(8), 0, [recorder]) == []
    assert recorder.names == ["on_train_begin", "on_train_end"]


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


def test_data_that_breaks_ends_the_training():
    class Broken(Batches):
        def __iter__(self):
            yield next(super().__iter__())
            raise RecordError("train.csv, record 9: broken")

    recorder = Recorder()

    with pytest.raises(RecordError, match=r"^train\.csv, record 9: broken$"):
        run(build_network(), Broken(24), Batches(8), 1, [recorder])

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
    callbacks = build_callbacks(services(), tmp_path, history)

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


def test_tensorboard_with_everything_on(tmp_path):
    params = {"histogram_freq": 1, "update_freq": "batch", "write_graph": True}
    network, history = build_network(), history_of(tmp_path)
    callbacks = build_callbacks(services(tensorboard=params), tmp_path, history)

    run(network, Batches(43), Batches(20), 2, callbacks, history)

    found = events(tmp_path / "tensorboard")["train"]
    assert found["batch_loss"] == 12
    assert sum(name.endswith("/histogram") for name in found) == len(network.weights)


def test_files_are_closed_when_validation_breaks_off(tmp_path):
    history = history_of(tmp_path)
    callbacks = build_callbacks(services(tensorboard={"update_freq": "batch"}), tmp_path, history)
    broken = At("on_test_batch_end", 1, refuse(KeyboardInterrupt("now")))

    with pytest.raises(KeyboardInterrupt, match="now"):
        run(build_network(), Batches(43), Batches(20), 2, [*callbacks, broken], history)

    assert not tf.summary.should_record_summaries()
    assert events(tmp_path / "tensorboard")["train"]["batch_loss"] == 6


# Resuming: test_loop_resume.py has what is interrupted


def test_the_resume_checkpoint_is_written_last(tmp_path):
    reducer = keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=1e9)
    callbacks = [ResumeCheckpoint(tmp_path), reducer]

    run(build_network(), Batches(24), Batches(8), 2, callbacks)

    other = build_network()
    checkpoint = find_checkpoint(tmp_path, history_of(tmp_path))
    checkpoint.restore(other, [keras.callbacks.ReduceLROnPlateau("loss")])
    assert float(other.optimizer.learning_rate.numpy()) == pytest.approx(0.005)


def test_a_finished_training_is_left_or_made_longer(tmp_path):
    def go(network, train, epochs, stop=False):
        checkpoint = find_checkpoint(tmp_path, history_of(tmp_path))
        callbacks = [keras.callbacks.EarlyStopping("loss", 1e9 if stop else 0, 1)]
        callbacks.append(ResumeCheckpoint(tmp_path))
        return run(network, train, Batches(8), epochs, callbacks, resume=checkpoint)

    whole, network, other = build_network(), build_network(), build_network(seed=2)
    logs = run(whole, Batches(24), Batches(8), 3)
    go(network, Batches(24), 2)
    train = Batches(24)
    assert go(other, train, 3) == logs
    assert train.epochs == [2]
    assert same(weights(whole), weights(other))
    assert go(build_network(), train, 3) == logs

    # One that a callback has stopped is not trained on.
    shorter = go(build_network(), train, 9, stop=True)
    assert len(shorter) == 4
    assert go(build_network(), Batches(24), 9, stop=True) == shorter


def test_a_checkpoint_of_another_network(tmp_path):
    run(build_network(), Batches(24), Batches(8), 1, [ResumeCheckpoint(tmp_path)])
    recorder = Recorder()
    checkpoint = find_checkpoint(tmp_path, history_of(tmp_path))

    with pytest.raises(ArtifactError, match="checkpoint is of another optimizer: expected"):
        run(
            build_network(optimizer="sgd"),
            Batches(24),
            Batches(8),
            2,
            [recorder],
            resume=checkpoint,
        )

    assert recorder.names == ["on_train_begin", "on_train_end"]


def test_steps_take_gradients_through_one_function():
    network, seen = build_network(), []

    def reduce(gradients):
        seen.append(len(gradients))
        return gradients

    Steps(network, "train", BATCH, reduce)(Batches(20).data)
    assert set(seen) == {len(network.trainable_variables)}
