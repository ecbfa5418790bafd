"""Names of outputs and of what is logged, against networks that really train."""

import numpy as np
import pytest
from objective_parts import BOTH, HERE, X, Y, config, output, prepared, trained

from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.errors import ConfigError

MEASURED = output("y", "mse", "mae", "mae", {"import": "keras.metrics.R2Score"})


@pytest.mark.parametrize(
    ("given", "y", "names"),
    [
        (BOTH, Y, {"loss", "species_loss", "species_accuracy", "mass_loss", "mass_mae"}),
        (config("one", MEASURED), {"y": np.ones((10, 3))}, {"loss", "mae", "mae_1", "r2_score"}),
        # Metrics of layers are logged, but not those of nested networks.
        (
            config("one", output("y", "mse"), holding=True),
            {"y": np.ones((10, 3))},
            {"loss", "activity"},
        ),
    ],
)
def test_logs_are_named_as_keras_names_them(given, y, names):
    network, objective, logs = trained(given, y)
    assert {*logs} == names | {f"val_{name}" for name in names}
    assert objective.monitors() == {*logs, "learning_rate"}
    assert {"activity", *known_monitors(given).directions} >= names
    y, _ = objective.conform(y)
    history = network.fit(X, y, validation_data=(X, y), verbose=0).history
    assert {*history} == {*logs}


def test_names_are_the_same_when_built_again():
    given = config(
        "one",
        output(
            "y",
            "mse",
            "AUC",
            "AUC",
            "keras.metrics.AUC",
            "tf.keras.metrics.LogCoshError",
            {"import": "AUC", "params": {"name": "roc"}},
            f"{HERE}.Hits",
            f"{HERE}.make_hits",
            f"{HERE}.Half",
        ),
    )
    names = ["AUC", "AUC_1", "auc", "log_cosh_error", "roc", "hits", "made", "half"]
    for _ in range(2):
        _, objective = prepared(given)
        assert [metric.name for metric in objective.outputs["y"].metrics] == names


def renamed(*names):
    return [{"import": "mae", "params": {"name": name}} for name in names]


def taken(place, name, owner):
    return (
        f".outputs[0].metrics[{place}]: expected a log name of its own, got '{name}', which is "
        f'that of {owner}; give the metric another "name" in its params'
    )


NO_ENTRY = (
    ".outputs: expected an entry for each output of the network ('mass', 'species'), got none for "
    "'species'; add it, or build the network without it"
)


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (
            config("species_and_mass", output("Z", "mse"), output("mass", "mse")),
            [
                ".outputs[0].name: expected an output of the network ('mass', 'species'), got 'Z'; "
                "name the layer, or return the outputs as a dict",
                NO_ENTRY,
            ],
        ),
        (
            config(
                "species_and_mass",
                output("specie", "mse", loss_weight=1),
                output("mass", "mse", loss_weight=1),
            ),
            [
                ".outputs[0].name: expected an output of the network ('mass', 'species'), got "
                "'specie'; did you mean 'species'?",
                NO_ENTRY,
            ],
        ),
        (
            config(
                "one",
                output("y", "mse", *renamed("loss", "learning_rate", "val_loss", "val_mae", "mae")),
            ),
            [
                taken(0, "loss", "$.model"),
                taken(1, "learning_rate", "the learning rate"),
                taken(2, "val_loss", "$.model"),
                taken(4, "mae", "$.model.outputs[0].metrics[3]"),
            ],
        ),
        (
            config("one", output("y", "mse", *renamed("activity")), holding=True),
            [taken(0, "activity", "a layer's metric")],
        ),
    ],
)
def test_names_that_do_not_fit(given, lines):
    with pytest.raises(ConfigError, match="expected") as caught:
        prepared(given)
    assert str(caught.value).splitlines() == [f"$.model{line}" for line in lines]


def test_placeholders_reach_losses_and_metrics():
    metric = {"import": "TopKCategoricalAccuracy", "params": {"k": "{{ k }}"}}
    given = config("one", output("y", "categorical_crossentropy", metric))
    _, objective = prepared(given, {"k": 2})
    assert objective.outputs["y"].metrics[0].get_config()["k"] == 2
