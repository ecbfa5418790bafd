"""Names of outputs and of what is logged, against networks that really train."""

from pathlib import Path

import numpy as np
import pytest
from golden_messages import messages
from objective_parts import BOTH, HERE, X, Y, config, output, prepared, trained

from barrage_mlflow.config.monitors import known_monitors

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
    assert {"activity", *known_monitors(given)[0]} >= names
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
    names = ["AUC", "AUC_1", "auc", "logcosh", "roc", "hits", "made", "half"]
    for _ in range(2):
        _, objective = prepared(given)
        assert list(objective.outputs["y"].metrics) == names


def renamed(*names):
    return [{"import": "mae", "params": {"name": name}} for name in names]


TWO = "species_and_mass"
TAKEN = renamed("loss", "learning_rate", "val_loss", "val_mae", "mae", "epoch")
FAULTS = {
    "an output that the network has not": lambda: prepared(
        config(TWO, output("Z", "mse"), output("mass", "mse"))
    ),
    "an output that is mistyped": lambda: prepared(
        config(TWO, output("specie", "mse"), output("mass", "mse"))
    ),
    "names that are taken": lambda: prepared(config("one", output("y", "mse", *TAKEN))),
    "a name that a layer's metric has": lambda: prepared(
        config("one", output("y", "mse", *renamed("activity")), holding=True)
    ),
}


def test_names_that_do_not_fit():
    golden = Path(__file__).with_name("golden_names.txt")
    assert messages(FAULTS) == golden.read_text("utf-8")
