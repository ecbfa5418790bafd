"""One output: targets and sample weights, checked before training."""

import keras
import numpy as np
import pytest
from keras import losses, metrics, ops

from barrage_mlflow.errors import ComponentError
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
    return Output("tags", path, shape, "float32", loss, metrics, temporal)


def floats(*shape):
    return np.zeros(shape, "float32")


def whole(*shape):
    return np.zeros(shape, "int64")


@pytest.mark.parametrize(
    ("shape", "loss", "y"),
    [
        ((1,), losses.MeanSquaredError(), floats(5)),
        ((1,), losses.MeanSquaredError(), floats(5, 1)),
        ((1,), losses.BinaryCrossentropy(), whole(5)),
        ((1,), Raw(), floats(5)),
        ((1,), Total(), floats(5)),
        ((), losses.MeanAbsoluteError(), floats(5, 1)),
        ((3,), losses.CategoricalCrossentropy(), whole(5, 3)),
        ((3,), losses.SparseCategoricalCrossentropy(), whole(5)),
        ((3,), losses.SparseCategoricalCrossentropy(), whole(5, 1)),
        ((7, 3), losses.SparseCategoricalCrossentropy(), whole(5, 7)),
        ((None, 3), losses.SparseCategoricalCrossentropy(), whole(5, 7)),
        ((None, 3), losses.MeanSquaredError(), floats(5, 7, 3)),
        ((7, 1), losses.MeanSquaredError(), floats(5, 7)),
        ((8, 8, 3), losses.Dice(), floats(5, 8, 8, 3)),
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


@pytest.mark.parametrize(
    ("shape", "loss", "y", "got", "remedy"),
    [
        (
            (3,),
            losses.CategoricalCrossentropy(),
            whole(5),
            "(batch) int64 from loader and transformer (the shapes differ)",
            "class indices as targets need SparseCategoricalCrossentropy",
        ),
        (
            (3,),
            losses.SparseCategoricalCrossentropy(),
            floats(5, 3),
            "(batch, 3) float32 from loader and transformer (Argument `output` must have rank "
            "(ndim) `target.ndim - 1`. Received: target.shape=(7919, 3), output.shape=(7919, 3))",
            "one-hot targets need CategoricalCrossentropy",
        ),
        *(
            (
                shape,
                losses.MeanSquaredError(),
                y,
                f"{got} float32 from loader and transformer (the shapes differ)",
                "make the targets the shape of the output, or choose another loss or metric",
            )
            for shape, y, got in [
                ((3,), floats(5), "(batch)"),
                ((None, 2), floats(5, 7, 3), "(batch, 7, 3)"),
                ((1,), floats(5, 3), "(batch, 3)"),  # the wider axis is never spread
            ]
        ),
    ],
)
def test_shapes_that_do_not_fit(shape, loss, y, got, remedy):
    with pytest.raises(ComponentError, match="expected targets") as caught:
        targets(shape, loss).check(y)
    dims = ", ".join("any" if n is None else str(n) for n in shape)
    assert str(caught.value) == (
        f"$.model.outputs[0].loss: expected targets that {type(loss).__name__} can compare with "
        f"the network's output 'tags' (batch, {dims}) float32, got {got}; {remedy}"
    )


@pytest.mark.parametrize("loss", [losses.Dice(axis=(0, 1)), Total()])
def test_a_loss_that_joins_records_cannot_weigh_them(loss):
    with pytest.raises(ComponentError, match="joins the records") as caught:
        targets((3,), loss).check(floats(5, 3), weighted=True)
    assert str(caught.value) == (
        "$.model.outputs[0].loss: expected a value for each record, to weigh it with the loader's "
        f"sample weights of 'tags', got {type(loss).__name__}, which joins the records of a "
        "batch; leave the weights out or choose another loss"
    )


class Faulty(metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        raise RuntimeError("no such metric")


@pytest.mark.parametrize(
    ("output", "error", "place"),
    [
        (targets((3,), Broken()), "broken loss", "loss, Broken"),
        (
            targets((3,), losses.MeanSquaredError(), [metrics.R2Score(), Faulty()]),
            "no such metric",
            "metrics[1], Faulty",
        ),
    ],
)
def test_what_breaks_in_a_projects_own_loss_or_metric_keeps_its_error(output, error, place):
    with pytest.raises(RuntimeError, match=error) as caught:
        output.check(floats(5, 3))
    assert caught.value.__notes__ == [
        f"in $.model.outputs[0].{place} on targets (batch, 3) float32 and the network's output "
        "'tags' (batch, 3) float32"
    ]


def test_a_metric_of_keras_that_does_not_fit_is_named():
    output = targets((7, 3), losses.MeanSquaredError(), [metrics.R2Score()])
    with pytest.raises(ComponentError, match=r"outputs\[0\]\.metrics\[0\]: .* R2Score can "):
        output.check(floats(5, 7, 3))


def test_aliases_that_depend_on_shapes_are_named_as_written():
    crossentropy = Crossentropy(name="ce")
    targets((3,), crossentropy).check(whole(5))
    with pytest.raises(ComponentError, match=r"targets that 'ce' can compare"):
        targets((3,), crossentropy).check(whole(5, 2))
    (accuracy,) = build_metrics([{"import": "acc"}], "$")
    with pytest.raises(ComponentError, match=r"metrics\[0\]: .* 'acc' can compare"):
        targets((3,), Total(), [accuracy]).check(floats(5, 2, 3))


def test_checking_leaves_metrics_as_they_were():
    measured = [metrics.MeanAbsoluteError(), metrics.AUC(), metrics.F1Score()]
    output = targets((2,), losses.BinaryCrossentropy(), measured)
    output.check(np.ones((5, 2), "float32"), weighted=True)
    for metric in measured:
        assert all(not np.any(variable.numpy()) for variable in metric.variables[:1])


@pytest.mark.parametrize(
    ("shape", "temporal", "given", "expected"),
    [
        ((3,), False, [1, 2], [1, 2]),
        ((3,), False, [[1], [2]], [1, 2]),
        ((2, 3), False, [1, 2], [[1, 1], [2, 2]]),
        ((2, 3), False, [[1], [2]], [[1, 1], [2, 2]]),
        ((2, 3), True, [1, 2], [[1, 1], [2, 2]]),
        ((2, 3), True, [[1], [2]], [[1, 1], [2, 2]]),
        ((2, 3), True, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((2, 3), True, [[[1], [2]], [[3], [4]]], [[1, 2], [3, 4]]),
        ((None, 3), True, [[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        ((None, 3), True, None, [[1, 1], [1, 1]]),
        ((2, 2, 3), False, [1, 2], [[[1, 1], [1, 1]], [[2, 2], [2, 2]]]),
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


RECORD = "give one weight per record"
TIMESTEP = f"{RECORD}, or per timestep with sample_weight_mode 'temporal'"


@pytest.mark.parametrize(
    ("shape", "temporal", "given", "message"),
    [
        ((7, 3), False, floats(5, 7), f" of shape (5,), got (5, 7); {TIMESTEP}"),
        ((7, 3), True, floats(5, 6), f" of shape (5,) or (5, 7), got (5, 6); {TIMESTEP}"),
        ((3,), False, floats(4), f" of shape (5,), got (4,); {RECORD}"),
        ((3,), False, floats(), f" of shape (5,), got (); {RECORD}"),
    ],
)
def test_weights_that_do_not_fit(shape, temporal, given, message):
    output = targets(shape, losses.MeanSquaredError(), temporal=temporal)
    with pytest.raises(ComponentError, match="expected sample weights") as caught:
        output.weights(given, np.zeros((5, *shape), "float32"))
    assert str(caught.value) == f"$.model.outputs[0]: expected sample weights of 'tags'{message}"


def test_temporal_weights_need_a_time_axis():
    with pytest.raises(ComponentError, match="temporal") as caught:
        targets((3,), losses.MeanSquaredError(), temporal=True).check(floats(5, 3))
    assert str(caught.value) == (
        "$.model.outputs[0].sample_weight_mode: expected an output with a time axis for "
        "'temporal', got 'tags' (batch, 3), whose loss has one value per record; "
        "leave sample_weight_mode out"
    )


def test_temporal_weights_reach_metrics():
    accuracy = metrics.SparseCategoricalAccuracy()
    output = targets((2, 3), losses.SparseCategoricalCrossentropy(), [accuracy], temporal=True)
    y = np.array([[0, 1], [2, 2]])
    output.check(y, weighted=True)
    scores = keras.utils.to_categorical([[0, 2], [2, 0]], 3)
    accuracy.update_state(y, scores, output.weights(np.array([[1, 0], [1, 0]]), y))
    assert float(accuracy.result()) == 1.0


@pytest.mark.parametrize(
    ("y", "got"), [([0, 3], "3"), ([-1, 0], "-1"), ([0.5, 1.0], "0.5"), ([[2], [7]], "7")]
)
def test_a_label_without_a_class(y, got):
    species = targets((3,), losses.SparseCategoricalCrossentropy())
    message = (
        r"^\$\.model\.outputs\[0\]: expected class labels of 'tags' that are whole numbers "
        rf"from 0 to 2, got {got}; encode them in the transformer, or give the output a unit for "
        r"each class$"
    )
    with pytest.raises(ComponentError, match=message):
        species.conform(np.array(y))


@pytest.mark.parametrize(
    "loss",
    [
        losses.SparseCategoricalCrossentropy(ignore_class=255),
        losses.MeanSquaredError(),
    ],
)
def test_targets_that_are_no_plain_labels_may_be_any_number(loss):
    y = np.array([255, -1])
    assert targets((3,), loss).conform(y) is y
