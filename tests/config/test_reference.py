"""Every example block of the config reference, as the valid JSON that it means."""

import copy

import keras
import pytest

from barrage_mlflow.config import build_import, load_import, resolve_config
from barrage_mlflow.errors import ConfigError

MINIMAL = {
    "dataset": {
        "loader": {"import": "KeySelector", "params": {"inputs": {"x": "x"}, "outputs": {"y": "y"}}}
    },
    "model": {
        "network": {"import": "keras.applications.MobileNetV2"},
        "outputs": [{"name": "y", "loss": {"import": "mse"}}],
    },
}

# The defaults that the reference prints, with the two mended that its own text contradicts.
SOLVER = {
    "optimizer": {"import": "Adam", "learning_rate": 1e-3, "params": {}},
    "batch_size": 32,
    "epochs": 10,
}
SERVICES = {
    "best_checkpoint": {"monitor": "val_loss", "mode": "min"},
    "tensorboard": {},
    "train_early_stopping": {
        "monitor": "loss",
        "mode": "min",
        "patience": 10,
        "min_delta": 1e-5,
        "verbose": 1,
    },
    "validation_early_stopping": {
        "monitor": "val_loss",
        "mode": "min",
        "patience": 10,
        "min_delta": 1e-5,
        "verbose": 1,
    },
}


def config(**sections):
    return {**copy.deepcopy(MINIMAL), **sections}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The user's own class and function that the reference imports."""
    (tmp_path / "placeholder").mkdir()
    (tmp_path / "placeholder" / "path.py").write_text(
        "from barrage_mlflow.dataset import RecordLoader\n"
        "class MyClass(RecordLoader):\n"
        "    def __init__(self, mode, a, b):\n"
        "        super().__init__(mode)\n"
        "        self.a, self.b = a, b\n"
        "    def load(self, record):\n"
        "        return ({},)\n"
    )
    (tmp_path / "sample.py").write_text(
        "import keras\ndef my_func():\n    return keras.Sequential([], name='mine')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_an_import_block_of_a_class(project):
    block = {"import": "placeholder.path.MyClass", "params": {"a": "hello world", "b": 42}}
    built = build_import(block, "loader", "$.dataset.loader", "TRAIN".lower())
    assert (type(built).__name__, built.a, built.b) == ("MyClass", "hello world", 42)


def test_an_import_block_of_a_function_without_params(project):
    assert build_import({"import": "sample.my_func"}, "network", "$.model.network").name == "mine"


def test_string_aliases_of_tensorflow():
    alias = load_import("categorical_crossentropy", "loss")
    assert alias is load_import("tensorflow.keras.losses.CategoricalCrossentropy", "loss")
    assert alias is keras.losses.CategoricalCrossentropy


def test_tensorflow_paths_are_searched():
    names = ["Adam", "tensorflow.python.keras.optimizer_v2.adam.Adam"]
    names += ["tensorflow.keras.optimizers.Adam"]
    assert {load_import(name, "optimizer") for name in names} == {keras.optimizers.Adam}


def test_barrage_dataset_paths_are_searched():
    from barrage_mlflow.dataset import KeySelector

    assert load_import("KeySelector", "loader") is KeySelector
    assert load_import("barrage.dataset.KeySelector", "loader") is KeySelector


def test_the_dataset_schema_block(project):
    (augmentor,) = dataset_blocks = [{"import": "numpy.flip", "params": {}}]
    dataset = {
        "loader": {"import": "placeholder.path.MyClass", "params": {"a": "x", "b": 1}},
        "transformer": {"import": "IdentityTransformer", "params": {}},
        "augmentor": dataset_blocks,
        "sample_count": "count",
        "seed": 42,
    }
    assert augmentor in dataset_blocks
    assert resolve_config(config(dataset=dataset))["dataset"] == dataset


def test_the_model_schema_block():
    model = {
        "network": {"import": "keras.applications.MobileNetV2", "params": {}},
        "outputs": [
            {
                "name": "y",
                "loss": {"import": "mse", "params": {}},
                "loss_weight": 1.0,
                "metrics": [{"import": "mae", "params": {}}],
                "sample_weight_mode": "temporal",
            }
        ],
    }
    assert resolve_config(config(model=model))["model"] == model


def test_the_solver_schema_block():
    solver = {
        "optimizer": {"import": "Adam", "learning_rate": 1e-3, "params": {"beta_1": 0.8}},
        "batch_size": 16,
        "epochs": 3,
        "steps": 100,
        "learning_rate_reducer": {"monitor": "loss", "mode": "min", "patience": 2, "factor": 0.1},
    }
    assert resolve_config(config(solver=solver))["solver"] == solver


def test_the_solver_defaults():
    assert resolve_config(config())["solver"] == SOLVER
    assert resolve_config(config(solver=SOLVER))["solver"] == SOLVER


@pytest.mark.parametrize(
    "learning_rate",
    [
        1e-3,
        {
            "import": "ExponentialDecay",
            "params": {"initial_learning_rate": 1e-3, "decay_steps": 100, "decay_rate": 0.99},
        },
    ],
    ids=["float", "import block"],
)
def test_learning_rates(learning_rate):
    solver = {"optimizer": {"import": "Adam", "learning_rate": learning_rate}}
    resolved = resolve_config(config(solver=solver))["solver"]["optimizer"]
    assert resolved == {"import": "Adam", "learning_rate": learning_rate, "params": {}}


def test_the_services_schema_block():
    stopping = {"mode": "min", "patience": 3, "min_delta": 0.1}
    services = {
        "best_checkpoint": {"monitor": "val_loss", "mode": "max"},
        "tensorboard": {"write_graph": False},
        "train_early_stopping": {"monitor": "loss", **stopping, "baseline": 1.0},
        "validation_early_stopping": {"monitor": "val_loss", **stopping},
    }
    assert resolve_config(config(services=services))["services"] == services


def test_the_services_defaults():
    assert resolve_config(config())["services"] == SERVICES
    assert resolve_config(config(services=SERVICES))["services"] == SERVICES


def test_the_services_defaults_as_printed_break_the_rule_beside_them():
    printed = copy.deepcopy(SERVICES)
    printed["train_early_stopping"]["monitor"] = "val_loss"
    del printed["validation_early_stopping"]["patience"]
    with pytest.raises(ConfigError, match="train metric") as caught:
        resolve_config(config(services=printed))
    assert str(caught.value) == (
        "$.services.train_early_stopping.monitor: expected a train metric, "
        'got "val_loss"; did you mean "loss"?\n'
        "$.services.validation_early_stopping: missing key 'patience'; give all of 'monitor', "
        "'mode', 'patience', 'min_delta', or leave the block out"
    )


@pytest.mark.parametrize(
    ("callback", "block"),
    [
        ("EarlyStopping", SERVICES["train_early_stopping"]),
        ("EarlyStopping", SERVICES["validation_early_stopping"]),
        ("TensorBoard", {"log_dir": "logs", **SERVICES["tensorboard"]}),
        (
            "ReduceLROnPlateau",
            {"monitor": "val_loss", "mode": "min", "patience": 3, "factor": 0.1, "min_lr": 1e-6},
        ),
    ],
)
def test_service_blocks_are_what_the_callbacks_take(callback, block):
    built = build_import({"import": callback, "params": block}, "callback", "$.services")
    assert type(built) is getattr(keras.callbacks, callback)
