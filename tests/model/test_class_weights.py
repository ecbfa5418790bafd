"""Class weights: what is counted, what a class counts, and what is refused."""

import keras
import numpy as np
import pytest
from objective_parts import BOTH, X, Y, config, output, prepared

from barrage_mlflow.errors import ComponentError, ConfigError
from barrage_mlflow.model.class_weights import weigh_classes
from barrage_mlflow.model.output import Output

CODES = np.array([0, 2, 0, 0, 2, 0])
DRAWS = np.array([1, 1, 1, 1, 1, 5])
NAMES = {"kind": ("fir", "oak", "elm")}


def kind(class_weight, units=3, loss=None):
    """An output of classes."""
    loss = loss or keras.losses.SparseCategoricalCrossentropy()
    path = "$.model.outputs[0]"
    return Output("kind", path, (units,), "float32", loss, class_weight=class_weight)


def weights(output, y, draws=None, labels=(), asked=None, is_whole=True, w=None):
    """What records of these targets count, or of those that are asked for."""
    draws = np.ones(len(y), int) if draws is None else draws
    parts = [({"kind": y[at]}, {"kind": draws[at]}) for at in (slice(2), slice(2, None))]
    weigh = weigh_classes([output], parts, dict(labels), is_whole)
    given = weigh({"kind": y if asked is None else np.array(asked)}, w)["kind"]
    return np.asarray(given).tolist()


def test_balanced_is_of_the_classes_that_are_drawn():
    balanced = kind("balanced")
    assert weights(balanced, CODES, asked=[0, 2]) == [0.75, 1.5]
    assert weights(balanced, CODES[:, None], asked=[[0], [2]]) == [0.75, 1.5]
    assert weights(balanced, np.eye(3)[CODES], asked=np.eye(3)[[0, 2]]) == [0.75, 1.5]
    assert weights(balanced, CODES, DRAWS, asked=[0, 2]) == [0.625, 2.5]
    # Of no record, or of no class at all, as an augmentor may make them.
    assert weights(balanced, CODES, asked=[1, 7, -1]) == [1.0, 1.0, 0.75]
    for y in (np.array([0, 1, 0, 0.0]), np.array([False, True, False, False])):
        assert weights(kind("balanced", 1), y, asked=[[0.9], [0.1]]) == [2.0, np.float32(2 / 3)]


def test_a_class_counts_what_is_given_and_1_where_nothing_is():
    assert weights(kind({"2": 9}), CODES, asked=[0, 1, 2]) == [1.0, 1.0, 9.0]
    assert weights(kind({"elm": 9, "fir": 0}), CODES, None, NAMES, [0, 1, 2]) == [0.0, 1.0, 9.0]


def test_weights_of_the_loader_are_multiplied():
    w = {"kind": np.array([1, 0.5, 2], np.float32), "other": 1}
    assert weights(kind({"2": 9}), CODES, asked=[0, 2, 2], w=w) == [1.0, 4.5, 18.0]


def test_a_class_that_the_loss_ignores_is_not_counted():
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=-1)
    y = np.array([0, -1, 2, -1, 0, 0])
    assert weights(kind("balanced", loss=loss), y, asked=[0, 2]) == [np.float32(2 / 3), 2.0]


def test_without_class_weights_targets_are_not_gone_through():
    assert weigh_classes([kind(None)], iter([None]), {}) is None


@pytest.mark.parametrize(
    ("given", "units", "got"),
    [
        (np.array([0, 0.5, 1]), 3, "0.5"),
        (np.array([0, -1, 1]), 3, "-1"),
        (np.array([[0], [2]]), 1, "[2]"),
        (np.array([[1, 0, 0], [1, 0, 1.0]]), 3, "[1.0, 0.0, 1.0]"),
        (np.array([[1, 0, 0], [0.5, 0.5, 0]]), 3, "[0.5, 0.5, 0.0]"),
        (np.zeros((2, 5), int), 3, "[0, 0, 0, 0, 0]"),
    ],
)
def test_targets_that_are_no_classes_are_refused(given, units, got):
    with pytest.raises(ComponentError, match=r"^\$\.model\.outputs\[0\]\.class_weight") as error:
        weights(kind("balanced", units), given)
    assert str(error.value) == (
        "$.model.outputs[0].class_weight: expected targets of 'kind' that are classes, as whole "
        "numbers from 0 (0 and 1 for an output of one number) or one-hot, got "
        f"{got}; leave class_weight out"
    )


def test_classes_without_a_record_are_refused_all_at_once():
    where = "$.model.outputs[0].class_weight: no train record is of the class"
    for given, labels, faults in (
        (
            {"0": 1, "1": 2, "x": 3},
            {},
            ["'1'; known classes: '0', '2'", "'x'; known classes: '0', '2'"],
        ),
        ({"oak": 1}, NAMES, ["'oak'; known classes: 'fir', 'elm'"]),
        ({"elmm": 1, "fir": 1}, NAMES, ["'elmm'; did you mean 'elm'?"]),
    ):
        with pytest.raises(ConfigError, match="no train record is of the class") as error:
            weights(kind(given), CODES, None, labels)
        assert str(error.value).splitlines() == [f"{where} {fault}" for fault in faults]


def test_the_first_records_need_not_have_all_classes():
    assert weights(kind({"1": 2, "2": 9}), CODES, asked=[1, 2], is_whole=False) == [2.0, 9.0]
    assert weights(kind({"oak": 2}), CODES, None, NAMES, [1, 2], is_whole=False) == [2.0, 1.0]
    with pytest.raises(ConfigError, match="did you mean 'elm'"):
        weights(kind({"elmm": 1}), CODES, None, NAMES, is_whole=False)


def test_a_loss_without_a_value_for_each_record_is_refused():
    joined = config("one", output("y", "Dice", class_weight="balanced"))
    with pytest.raises(ComponentError, match=r"class_weight of 'y', got Dice, which joins the rec"):
        prepared(joined)[1].check_targets({"y": np.eye(3)[CODES].astype("float32")})


@pytest.mark.parametrize("w", [None, {"mass": np.arange(10.0)}])
def test_one_of_several_outputs_is_weighed_in_the_train_loss_alone(w):
    network, objective = prepared(BOTH)
    objective.check_targets(Y, w)
    objective.compile(network, keras.optimizers.SGD(0.0))
    objective.outputs["species"].class_weight = {"0": 5.0}
    parts = [(Y, dict.fromkeys(Y, np.ones(10, int)))]
    y, fitted = objective.conform(Y, w)
    data = (X, y, fitted) if fitted else (X, y)
    logs = {}
    for name in ("plain", "weighed"):
        for step in (network.train_step, network.test_step):
            network.reset_metrics()
            step(data)
            results = network.get_metrics_result()
            logs[name, step.__name__] = {key: float(value) for key, value in results.items()}
        network.weigh = weigh_classes(objective.outputs.values(), parts, {})
    each = keras.losses.sparse_categorical_crossentropy(Y["species"], network(X)["species"]).numpy()
    expected = dict(logs["plain", "train_step"])
    expected["species_loss"] = np.mean(each * np.where(Y["species"] == 0, 5, 1))
    expected["loss"] += expected["species_loss"] - logs["plain", "train_step"]["species_loss"]
    assert logs["weighed", "train_step"] == pytest.approx(expected, rel=1e-5)
    assert logs["weighed", "test_step"] == logs["plain", "test_step"]
