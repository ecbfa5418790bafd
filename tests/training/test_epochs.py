"""The training loop beside that of Keras: what is computed, and how often it is traced."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from loops import BATCH, Batches, Noise, Recorder, build_network, run, same, weights

from barrage_mlflow.distribution.group import Group
from barrage_mlflow.errors import ComponentError, RecordError
from barrage_mlflow.training.steps import train_step

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


@pytest.mark.parametrize("scaled", [False, True])
def test_validation_runs_on_averages_and_training_on_the_networks_own_weights(scaled):
    """Both as in Keras, whose SwapEMAWeights costs the weights their last bits."""

    def averaging():
        optimizer = keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)
        network = build_network(
            optimizer=keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer,
            layer=lambda x: keras.layers.ActivityRegularization(l2=0.1)(Noise()(x)),
            metrics={"a": ["mae"], "b": ["accuracy"]},
        )
        keras.utils.set_random_seed(5)
        return network

    def fit(*callbacks):
        network = averaging()
        history = network.fit(
            *train.data[:2],
            sample_weight=train.w,
            validation_data=validation.data,
            batch_size=BATCH,
            epochs=3,
            shuffle=False,
            verbose=0,
            callbacks=callbacks,
        ).history
        return network, history

    train, validation = Batches(43), Batches(20, seed=1)
    swapped, plain = fit(keras.callbacks.SwapEMAWeights()), fit()
    network = averaging()
    logs = run(network, train, validation, 3)

    assert same(weights(network), weights(plain[0]))
    for name in logs[0].keys() - {"learning_rate"}:
        expected = swapped[1] if name.startswith("val_") else plain[1]
        assert [epoch[name] for epoch in logs] == pytest.approx(expected[name], rel=1e-4), name
    assert logs[0]["val_loss"] != pytest.approx(plain[1]["val_loss"][0], rel=1e-3)


class Noted(Group):
    """Keeps gradients instead of adding them up over processes."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count, self.gradients = count, []

    def reduce(self, gradients):
        self.gradients = gradients
        return gradients if self.count == 1 else [0 * each for each in gradients]


def test_gradients_of_shares_add_up_to_those_of_the_batch():
    whole, network = build_network(dropout=0.0), build_network(dropout=0.0)
    x, y = Batches(BATCH, weights=False).data
    for normalization in (whole.layers[2], network.layers[2]):
        normalization.trainable = False  # it looks at all records of its batch
    alone, shares = Noted(1), []

    for rows in (slice(3), slice(3, None)):
        group = Noted(2)
        share = tuple({n: tf.constant(a[rows]) for n, a in part.items()} for part in (x, y))
        train_step(network, share, group, len(share[0]["x"]) / BATCH)
        shares.append(group.gradients)
    train_step(whole, (x, y), alone)

    for one, other, both in zip(*shares, alone.gradients, strict=True):
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
        self.draws = 4 * len(shapes)
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


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (
            np.zeros(3),
            r"an array of shape \(3,\); a metric that keeps classes apart needs a param that joins "
            'them, such as "average": "macro"',
        ),
        ({"p": 0.0, "r": 1.0}, "a dict of 'p', 'r'; write a metric for each of them"),
    ],
)
def test_a_metric_of_more_than_one_number(result, got):
    class Several(keras.metrics.Metric):
        def update_state(self, y_true, y_pred, sample_weight=None):
            pass

        def result(self):
            return result

    with pytest.raises(ComponentError, match=rf"^metric 'b_f1': expected one number, got {got}$"):
        run(build_network(metrics={"b": [Several(name="f1")]}), Batches(24), Batches(8), 1)
