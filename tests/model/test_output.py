"""One output: targets and sample weights, checked before training."""

from pathlib import Path

import keras
import numpy as np
import pytest
from golden_messages import messages
from keras import losses, metrics, ops

from barrage_mlflow.dataset.feeding.conform import TargetRange
from barrage_mlflow.model.metrics import Crossentropy, build_metrics
from barrage_mlflow.model.output import Output


class Raw(losses.Loss):
    """Subtracts without a look at the shapes."""

    def call(self, y_true, y_pred):
        return (y_true - y_pred) ** 2


class Total(losses.Loss):
    def call(self, y_true, y_pred):
        return ops.sum(y_true) - ops.sum(y_pred)


class Broken(losses.Loss):
    def call(self, y_true, y_pred):
        raise RuntimeError("broken loss")


def targets(shape, loss, metrics=(), temporal=False):
    path = "$.model.outputs[0]"
    named = {metric.name: metric for metric in metrics}
    return Output("tags", path, shape, "float32", loss, named, temporal)


def floats(*shape):
    return np.zeros(shape, "float32")


def whole(*shape):
    return np.zeros(shape, "int64")


@pytest.mark.parametrize(
    ("shape", "loss", "y"),
    [
        ((1,), losses.MeanSquaredError(), floats(5)),
        ((1,), losses.MeanSquaredError(), floats(5, 1)),
        ((1,), Raw(), floats(5)),
        ((1,), Total(), floats(5)),
        ((), losses.MeanAbsoluteError(), floats(5, 1)),
        ((3,), losses.CategoricalCrossentropy(), whole(5, 3)),
        ((3,), losses.SparseCategoricalCrossentropy(), whole(5)),
        ((None, 3), losses.SparseCategoricalCrossentropy(), whole(5, 7)),
        ((7, 1), losses.MeanSquaredError(), floats(5, 7)),
        ((8, 8, 3), losses.Dice(axis=(0, 1, 2)), floats(5, 8, 8, 3)),
        ((3,), losses.Circle(), whole(5)),
        ((7, 4), losses.CTC(), whole(5, 3)),
    ],
)
def test_shapes_that_fit(shape, loss, y):
    output = targets(shape, loss)
    output.check(y)
    y = output.conform(y)
    y_pred = np.full((5, *(n or 7 for n in shape)), 0.5, "float32")
    np.testing.assert_allclose(loss(y, y_pred), loss(y, y_pred, output.weights(None, y)))


class Faulty(metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        raise RuntimeError("no such metric")


def test_checking_leaves_metrics_as_they_were():
    measured = [metrics.MeanAbsoluteError(), metrics.AUC(), metrics.F1Score()]
    output = targets((2,), losses.BinaryCrossentropy(), measured)
    output.check(np.ones((5, 2), "float32"), weighted=True)
    for metric in measured:
        assert all(not np.any(variable.numpy()) for variable in metric.variables[:1])


@pytest.mark.parametrize(
    ("shape", "temporal", "given", "expected"),
    [
        ((3,), False, [[1], [2]], [1, 2]),
        ((2, 3), False, [1, 2], [[1, 1], [2, 2]]),
        ((2, 3), True, [1, 2], [[1, 1], [2, 2]]),
        ((2, 3), True, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((2, 3), True, [[[1], [2]], [[3], [4]]], [[1, 2], [3, 4]]),
        ((None, 3), True, None, [[1, 1], [1, 1]]),
        ((2, 2, 3), True, [[1, 2], [3, 4]], [[[1, 1], [2, 2]], [[3, 3], [4, 4]]]),
        ((2, 3), False, None, [[1, 1], [1, 1]]),
    ],
)
def test_weights_that_fit(shape, temporal, given, expected):
    output = targets(shape, losses.MeanSquaredError(), temporal=temporal)
    y = np.zeros((2, *(n or 2 for n in shape)), "float32")
    fitted = output.weights(None if given is None else np.array(given), y)
    assert fitted.dtype == np.float32
    assert fitted.tolist() == expected
    loss = losses.MeanSquaredError()(y, y + 1, fitted)
    assert float(loss) == pytest.approx(np.mean(expected))


def test_temporal_weights_reach_metrics():
    accuracy = metrics.SparseCategoricalAccuracy()
    output = targets((2, 3), losses.SparseCategoricalCrossentropy(), [accuracy], temporal=True)
    y = np.array([[0, 1], [2, 2]])
    output.check(y, weighted=True)
    scores = keras.utils.to_categorical([[0, 2], [2, 0]], 3)
    accuracy.update_state(y, scores, output.weights(np.array([[1, 0], [1, 0]]), y))
    assert float(accuracy.result()) == 1.0


@pytest.mark.parametrize(
    ("shape", "loss", "highest", "whole"),
    [
        ((3,), losses.SparseCategoricalCrossentropy(), 2, True),
        ((None, 3), losses.SparseCategoricalCrossentropy(), 2, True),
        ((3,), losses.BinaryCrossentropy(), 1, False),
        ((1,), losses.BinaryFocalCrossentropy(), 1, False),
    ],
)
def test_losses_that_do_not_take_every_number(shape, loss, highest, whole):
    found = targets(shape, loss).target_range
    assert (found.highest, found.whole) == (highest, whole)


@pytest.mark.parametrize(
    "loss", [losses.SparseCategoricalCrossentropy(ignore_class=255), losses.MeanSquaredError()]
)
def test_losses_that_take_every_number(loss):
    assert targets((3,), loss).target_range is None


@pytest.mark.parametrize(
    ("shape", "y", "found"),
    [
        ((1,), whole(5), TargetRange(1, whole=False)),
        ((3,), whole(5), TargetRange(2, whole=True)),
        ((3,), floats(5, 1), TargetRange(2, whole=True)),
        ((7, 3), whole(5, 7), TargetRange(2, whole=True)),
        ((3,), floats(5, 3), None),
    ],
)
def test_what_crossentropy_takes_is_known_by_the_targets(shape, y, found):
    output = targets(shape, Crossentropy(name="ce"))
    output.check(y)
    assert output.target_range == found


def check(shape, loss, y, *metrics, weighted=False, temporal=False):
    targets(shape, loss, metrics, temporal).check(y, weighted)


def weigh(shape, given, temporal=False):
    output = targets(shape, losses.MeanSquaredError(), temporal=temporal)
    output.weights(given, floats(5, *shape))


MSE = losses.MeanSquaredError()
SPARSE = losses.SparseCategoricalCrossentropy()
FAULTS = {
    "class indices": lambda: check((3,), losses.CategoricalCrossentropy(), whole(5)),
    "one-hot": lambda: check((3,), SPARSE, floats(5, 3)),
    "too few axes": lambda: check((3,), MSE, floats(5)),
    "an open axis": lambda: check((None, 2), MSE, floats(5, 7, 3)),
    "a wider axis, which is never spread": lambda: check((1,), MSE, floats(5, 3)),
    "crossentropy by its alias": lambda: check((3,), Crossentropy(name="ce"), whole(5, 2)),
    "accuracy by its alias": lambda: check(
        (3,), Total(), floats(5, 2, 3), *build_metrics([{"import": "acc"}], "$").values()
    ),
    "a metric of Keras": lambda: check((7, 3), MSE, floats(5, 7, 3), metrics.R2Score()),
    "a loss that breaks": lambda: check((3,), Broken(), floats(5, 3)),
    "a metric that breaks": lambda: check((3,), MSE, floats(5, 3), metrics.R2Score(), Faulty()),
    "weights for Dice over all records": lambda: check(
        (3,), losses.Dice(axis=(0, 1)), floats(5, 3), weighted=True
    ),
    "weights for a joint loss": lambda: check((3,), Total(), floats(5, 3), weighted=True),
    "temporal without a time axis": lambda: check((3,), MSE, floats(5, 3), temporal=True),
    "weights by time, not temporal": lambda: weigh((7, 3), floats(5, 7)),
    "weights by another time": lambda: weigh((7, 3), floats(5, 6), temporal=True),
    "too few weights": lambda: weigh((3,), floats(4)),
    "one weight": lambda: weigh((3,), floats()),
}


def test_what_does_not_fit():
    golden = Path(__file__).with_name("golden_output.txt")
    assert messages(FAULTS) == golden.read_text("utf-8")
