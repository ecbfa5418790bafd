"""Losses, weights and metrics, against networks that really train."""

from pathlib import Path

import numpy as np
import pytest
from golden_messages import messages
from objective_parts import BOTH, GENERATOR, HERE, X, Y, config, one, output, prepared, trained

from barrage_mlflow.errors import ComponentError

# Values.


def mean_squares(network, y):
    return np.mean((network(X)["y"].numpy() - y) ** 2, axis=-1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("path", ["keras.losses.MeanSquaredError", f"{HERE}.Half"])
def test_a_loss_class_as_a_metric_averages_over_records(path, weighted):
    # Batches of 4, 4 and 2 rows; the last two rows are far off.
    y = np.concatenate([np.zeros((8, 3)), np.full((2, 3), 10.0)]).astype("float32")
    w = {"y": np.array([1, 2, 0, 1, 0, 0, 0, 0, 3, 0.5])} if weighted else None
    network, _, logs = trained(config("one", output("y", "mse", path)), {"y": y}, w)
    distance = network(X)["y"].numpy() - y
    per_record = {
        "mean_squared_error": np.mean(distance**2, -1),
        "half": np.mean(np.abs(distance), -1) / 2,
    }
    name = "half" if "Half" in path else "mean_squared_error"
    expected = np.average(per_record[name], weights=w["y"] if weighted else None)
    assert logs[name] == pytest.approx(expected, rel=1e-5)
    assert logs[f"val_{name}"] == pytest.approx(expected, rel=1e-5)
    batches = [
        per_record[name][:4].mean(),
        per_record[name][4:8].mean(),
        per_record[name][8:].mean(),
    ]
    assert abs(np.mean(batches) - expected) > 0.1


def test_a_loss_that_averages_by_itself_counts_batches_by_their_records():
    y = np.concatenate([np.zeros((8, 3)), np.full((2, 3), 10.0)]).astype("float32")
    network, _, logs = trained(config("one", output("y", "mse", f"{HERE}.Averaging")), {"y": y})
    assert logs["averaging"] == pytest.approx(mean_squares(network, y).mean(), rel=1e-5)


@pytest.mark.parametrize("weights", [None, {"mass": np.arange(10.0)}])
def test_the_losses_of_several_outputs_average_over_records(weights):
    y = {**Y, "mass": np.concatenate([np.zeros(8), np.full(2, 10.0)]).astype("float32")}
    network, _, logs = trained(BOTH, y, weights)
    squares = (network(X)["mass"].numpy()[:, 0] - y["mass"]) ** 2
    expected = np.mean(squares * (1 if weights is None else weights["mass"]))
    assert logs["mass_loss"] == pytest.approx(expected, rel=1e-5)
    regularisation = float(sum(network.losses))
    total = logs["species_loss"] + 0.5 * logs["mass_loss"] + regularisation
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    assert logs["val_loss"] == pytest.approx(total, rel=1e-5)


def test_a_record_of_weight_0_counts_nowhere():
    y = {"species": Y["species"], "mass": Y["mass"].copy()}
    y["mass"][3:] = 1e6
    w = {"mass": np.array([1.0] * 3 + [0.0] * 7)}
    network, _, logs = trained(BOTH, y, w)
    distances = np.abs(network(X)["mass"].numpy()[:3, 0] - y["mass"][:3])
    assert logs["mass_mae"] == pytest.approx(distances.mean(), rel=1e-5)
    hits = np.argmax(network(X)["species"], axis=-1) == y["species"]
    assert logs["species_accuracy"] == pytest.approx(hits.mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("units", "activation", "y"),
    [
        (1, "sigmoid", np.array([0, 1] * 5)),
        (3, "softmax", np.array([0, 1, 2, 0, 1] * 2)),
        (3, "softmax", np.array([[0], [1], [2], [0], [1]] * 2)),
        (3, "softmax", np.eye(3, dtype="float32")[[0, 1, 2, 0, 1] * 2]),
    ],
    ids=["binary", "sparse", "sparse column", "categorical"],
)
@pytest.mark.parametrize("names", [("crossentropy", "accuracy"), ("CE", "ACC")])
def test_aliases_that_depend_on_shapes_mean_what_they_mean_to_keras(units, activation, y, names):
    loss, metric = names
    given = config("one", output("y", loss, metric, metric), units=units, activation=activation)
    network, _, logs = trained(given, {"y": y}, batch=10)
    assert logs[metric] == logs[f"{metric}_1"]
    plain = one(units, activation)
    plain.set_weights(network.get_weights())
    plain.compile(loss=loss.lower(), metrics=[metric])
    y = y[:, None] if units == 1 else y
    expected = plain.evaluate(X["x"], y, verbose=0, return_dict=True, batch_size=10)
    assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert logs[metric] == pytest.approx(expected[metric])


def test_a_network_of_one_output_trains_as_keras_does_with_its_weight():
    given = config("one", output("y", "mse", loss_weight=0.25))
    network, _, logs = trained(given, {"y": np.ones((10, 3), "float32")})
    assert logs["loss"] == pytest.approx(mean_squares(network, 1).mean() / 4, rel=1e-5)


# What the loader gives.


def test_outputs_without_weights_get_ones_if_any_has_some():
    _, objective = prepared(BOTH)
    y, w = objective.conform(Y)
    assert w is None
    assert {name: array.shape for name, array in y.items()} == {"species": (10,), "mass": (10, 1)}
    _, w = objective.conform(Y, {"mass": np.arange(10)[:, None]})
    np.testing.assert_array_equal(w["species"], np.ones(10, "float32"))
    np.testing.assert_array_equal(w["mass"], np.arange(10, dtype="float32"))


def test_metrics_that_take_no_weights_work_where_there_are_none():
    metric = {"import": "BinaryIoU", "params": {"threshold": 0.5}}
    given = config("one", output("y", "binary_crossentropy", metric), activation="sigmoid")
    y = GENERATOR.integers(0, 2, (10, 3))
    _, _, logs = trained(given, {"y": y})
    assert 0 < logs["BinaryIoU"] < 1
    with pytest.raises(ComponentError, match=r"outputs\[0\]\.metrics\[0\]: .*BinaryIoU"):
        trained(given, {"y": y}, {"y": np.ones(10)})


def given(y, w=None):
    prepared(BOTH)[1].check_targets(y, w)


def given_late():
    _, objective = prepared(BOTH)
    objective.check_targets(Y, {"mass": np.ones(10)})
    objective.conform(Y, {"species": np.ones(10)})


FAULTS = {
    "a target that is mistyped": lambda: given({"species": Y["species"], "mas": Y["mass"]}),
    "a target that is missing": lambda: given({"species": Y["species"]}),
    "weights of no output": lambda: given(Y, {"weight": np.ones(10)}),
    "weights of another shape": lambda: given(Y, {"species": np.ones((10, 2))}),
    "weights that come late": given_late,
}


def test_what_the_loader_gives_must_match():
    golden = Path(__file__).with_name("golden_objective.txt")
    assert messages(FAULTS) == golden.read_text("utf-8")
