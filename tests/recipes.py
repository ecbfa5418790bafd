"""Whole configs as practitioners write them, and the project code that they name.

They are what typos, faults and mutations are made in: `RECIPES` holds every one by its name, all
valid once `write_project` has put the code beside them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "config" / "golden"

IMAGE: dict[str, Any] = {
    "dataset": {
        "loader": {
            "import": "KeySelector",
            "params": {"inputs": {"image": "pixels"}, "outputs": {"digit": "label"}},
        },
        "transformer": {"import": "my_project.transformers.PixelScaler", "params": {"top": 255.0}},
        "augmentor": [
            {"import": "my_project.augment.shift", "params": {"pixels": 2, "wrap": False}},
            {"import": "my_project.augment.add_noise", "params": {"deviation": 0.05}},
        ],
        "sample_count": "repeats",
        "seed": 7,
    },
    "model": {
        "network": {
            "import": "sequential_from_config",
            "params": {
                "layers": [
                    {"import": "Input", "params": {"shape": [12, 12, 1], "name": "image"}},
                    {
                        "import": "Conv2D",
                        "params": {
                            "filters": 4,
                            "kernel_size": 3,
                            "padding": "same",
                            "activation": "relu",
                            "kernel_initializer": "he_normal",
                        },
                    },
                    {"import": "BatchNormalization", "params": {"momentum": 0.9}},
                    {"import": "MaxPooling2D", "params": {"pool_size": 2}},
                    {"import": "SeparableConv2D", "params": {"filters": 8, "kernel_size": [3, 3]}},
                    {"import": "SpatialDropout2D", "params": {"rate": 0.1}},
                    {"import": "GlobalAveragePooling2D"},
                    {"import": "Dropout", "params": {"rate": 0.25, "seed": 3}},
                    {
                        "import": "Dense",
                        "params": {"units": 10, "activation": "softmax", "name": "digit"},
                    },
                ]
            },
        },
        "outputs": [
            {
                "name": "digit",
                "loss": {
                    "import": "SparseCategoricalCrossentropy",
                    "params": {"from_logits": False},
                },
                "metrics": [
                    {"import": "sparse_categorical_accuracy"},
                    {
                        "import": "SparseTopKCategoricalAccuracy",
                        "params": {"k": 3, "name": "top_three"},
                    },
                ],
            }
        ],
    },
    "solver": {
        "optimizer": {
            "import": "AdamW",
            "learning_rate": {
                "import": "CosineDecay",
                "params": {
                    "initial_learning_rate": 0.0001,
                    "decay_steps": 1000,
                    "warmup_target": 0.001,
                    "warmup_steps": 100,
                },
            },
            "params": {"weight_decay": 0.004, "clipnorm": 1.0},
        },
        "batch_size": 64,
        "epochs": 30,
        "steps": 200,
    },
    "services": {
        "best_checkpoint": {"monitor": "val_sparse_categorical_accuracy", "mode": "max"},
        "tensorboard": {"histogram_freq": 1, "write_graph": False},
        "validation_early_stopping": {
            "monitor": "val_top_three",
            "mode": "max",
            "patience": 5,
            "min_delta": 0.001,
            "restore_best_weights": True,
        },
    },
}

TEXT: dict[str, Any] = {
    "dataset": {
        "loader": {
            "import": "barrage_mlflow.dataset.KeySelector",
            "params": {
                "inputs": {"tokens": "tokens"},
                "outputs": {"sentiment": "stars"},
                "sample_weights": {"sentiment": "trust"},
            },
        },
        "transformer": {"import": "my_project.transformers.Vocabulary", "params": {"largest": 500}},
    },
    "model": {
        "network": {
            "import": "barrage_mlflow.model.sequential_from_config",
            "params": {
                "layers": [
                    {"import": "Input", "params": {"shape": "{{ shape }}", "name": "tokens"}},
                    {
                        "import": "Embedding",
                        "params": {"input_dim": "{{vocabulary_size}}", "output_dim": 8},
                    },
                    {"import": "my_project.layers.Scale", "params": {"factor": 2.0}},
                    {
                        "import": "LSTM",
                        "params": {"units": 6, "return_sequences": True, "dropout": 0.1},
                    },
                    {"import": "GRU", "params": {"units": 4, "recurrent_dropout": 0.0}},
                    {"import": "LayerNormalization", "params": {"epsilon": 0.001}},
                    {
                        "import": "Dense",
                        "params": {
                            "units": 1,
                            "activation": "sigmoid",
                            "use_bias": True,
                            "name": "sentiment",
                        },
                    },
                ]
            },
        },
        "outputs": [
            {
                "name": "sentiment",
                "loss": {"import": "BinaryCrossentropy", "params": {"label_smoothing": 0.1}},
                "metrics": [
                    {"import": "binary_accuracy"},
                    {"import": "AUC", "params": {"curve": "PR", "num_thresholds": 50}},
                    {"import": "Precision", "params": {"thresholds": 0.5}},
                ],
                "sample_weight_mode": "samplewise",
            }
        ],
    },
    "solver": {
        "optimizer": {"import": "nadam", "learning_rate": 0.002, "params": {"beta_1": 0.95}},
        "batch_size": 16,
        "epochs": 12,
        "learning_rate_reducer": {
            "monitor": "val_binary_accuracy",
            "mode": "max",
            "patience": 2,
            "factor": 0.3,
            "cooldown": 1,
            "min_lr": 1e-05,
        },
    },
    "services": {
        "best_checkpoint": {"monitor": "val_AUC", "mode": "max"},
        "train_early_stopping": {
            "monitor": "binary_accuracy",
            "mode": "max",
            "patience": 4,
            "min_delta": 0.0,
            "start_from_epoch": 2,
        },
    },
}

SERIES: dict[str, Any] = {
    "dataset": {
        "loader": {"import": "my_project.loaders.WindowLoader", "params": {"window": 6, "ahead": 2}}
    },
    "model": {
        "network": {
            "import": "my_project.networks.forecaster",
            "params": {"units": 4, "window": 6, "ahead": 2, "dropout": 0.1},
        },
        "outputs": [
            {
                "name": "demand",
                "loss": {"import": "Huber", "params": {"delta": 1.5}},
                "loss_weight": 0.75,
                "metrics": [
                    {"import": "RootMeanSquaredError"},
                    {"import": "keras.metrics.MeanAbsolutePercentageError"},
                    {"import": "cosine_similarity"},
                ],
                "sample_weight_mode": "temporal",
            },
            {
                "name": "returns",
                "loss": {"import": "my_project.losses.Pinball", "params": {"quantile": 0.9}},
                "loss_weight": 0.25,
                "metrics": [{"import": "mae"}, {"import": "LogCoshError"}],
            },
        ],
    },
    "solver": {
        "optimizer": {
            "import": "RMSprop",
            "learning_rate": {
                "import": "PiecewiseConstantDecay",
                "params": {"boundaries": [100, 200], "values": [0.01, 0.005, 0.001]},
            },
            "params": {"momentum": 0.9, "centered": True},
        },
        "batch_size": 8,
        "epochs": 5,
    },
    "services": {
        "best_checkpoint": {"monitor": "val_demand_RootMeanSquaredError", "mode": "min"},
        "train_early_stopping": {
            "monitor": "returns_mae",
            "mode": "min",
            "patience": 6,
            "min_delta": 0.01,
            "baseline": 3.5,
        },
        "validation_early_stopping": {
            "monitor": "val_demand_loss",
            "mode": "min",
            "patience": 6,
            "min_delta": 0.01,
            "verbose": 1,
        },
    },
}

TABLE: dict[str, Any] = {
    "dataset": {
        "loader": {
            "import": "barrage.dataset.KeySelector",
            "params": {
                "inputs": {"features": ["age", "income", "rooms"]},
                "outputs": {"price": "price"},
            },
        }
    },
    "model": {
        "network": {
            "import": "barrage.model.sequential_from_config",
            "params": {
                "width": 16,
                "layers": [
                    {"import": "Input", "params": {"shape": 3, "name": "features"}},
                    {"import": "UnitNormalization"},
                    {
                        "import": "tensorflow.keras.layers.Dense",
                        "params": {"units": "{{width}}", "kernel_regularizer": "l2"},
                    },
                    {"import": "LeakyReLU", "params": {"negative_slope": 0.2}},
                    {"import": "keras.layers.GaussianNoise", "params": {"stddev": 0.01}},
                    {"import": "Dense", "params": {"units": 1, "name": "price"}},
                ],
            },
        },
        "outputs": [
            {
                "name": "price",
                "loss": {"import": "tf.keras.losses.LogCosh"},
                "metrics": [
                    {"import": "tensorflow.keras.metrics.R2Score"},
                    {"import": "mean_absolute_error"},
                ],
            }
        ],
    },
    "solver": {
        "optimizer": {
            "import": "tf.keras.optimizers.SGD",
            "learning_rate": {
                "import": "tensorflow.keras.optimizers.schedules.InverseTimeDecay",
                "params": {
                    "initial_learning_rate": 0.1,
                    "decay_steps": 50,
                    "decay_rate": 0.5,
                    "staircase": True,
                },
            },
            "params": {"momentum": 0.9, "nesterov": True},
        },
        "epochs": 40,
    },
    "services": {"best_checkpoint": {"monitor": "val_r2_score", "mode": "max"}},
}

MODULES: dict[str, str] = {
    "__init__": "",
    "loaders": """
import numpy as np

from barrage_mlflow.dataset import RecordLoader


class WindowLoader(RecordLoader):
    def __init__(self, mode, window: int, ahead: int = 1, columns: list[str] | None = None):
        super().__init__(mode)
        self.window, self.ahead, self.columns = window, ahead, columns

    def load(self, record):
        return ({"history": np.array(record["history"])},)
""",
    "transformers": """
from barrage_mlflow.dataset import IdentityTransformer


class PixelScaler(IdentityTransformer):
    network_param_names = ()

    def __init__(self, mode, loader, top: float = 255.0):
        super().__init__(mode, loader)
        self.top = top


class Vocabulary(IdentityTransformer):
    network_param_names = ("vocabulary_size", "shape")

    def __init__(self, mode, loader, largest: int, lower: bool = True):
        super().__init__(mode, loader)
        self.largest, self.lower = largest, lower
""",
    "augment": """
def shift(data_record, pixels: int, wrap: bool = True):
    return data_record


def add_noise(data_record, deviation: float, rng):
    return data_record
""",
    "layers": """
import keras


class Scale(keras.layers.Layer):
    def __init__(self, factor: float = 1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return inputs * self.factor
""",
    "losses": """
import keras


class Pinball(keras.losses.Loss):
    def __init__(self, quantile: float, name: str = "pinball"):
        super().__init__(name=name)
        self.quantile = quantile

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)
""",
    "networks": """
import keras


def forecaster(units: int, window: int, ahead: int = 1, dropout: float = 0.0):
    history = keras.Input((window, 1), name="history")
    state = keras.layers.GRU(units, dropout=dropout)(history)
    outputs = {
        "demand": keras.layers.Reshape((ahead, 1))(keras.layers.Dense(ahead)(state)),
        "returns": keras.layers.Dense(1)(state),
    }
    return keras.Model({"history": history}, outputs)
""",
}
"""The modules of the package ``my_project``."""

LEARNT: dict[str, Any] = {
    "vocabulary_size": 40,
    "shape": [5],
    "island_count": 3,
    "sex_count": 2,
    "species_count": 3,
}
"""What the transformers could learn from records, by the names that they declare."""


def _recipes() -> dict[str, dict[str, Any]]:
    found = {"image": IMAGE, "text": TEXT, "series": SERIES, "table": TABLE}
    for name in ("iris", "penguins"):
        text = (ROOT / "examples" / name / "config.json").read_text("utf-8")
        found[name] = json.loads(text)
    for path in sorted(GOLDEN.glob("*/resolved.json")):
        for config in path.parent.glob("config.json"):
            found[f"golden {path.parent.name}"] = json.loads(config.read_text("utf-8"))
    return found


RECIPES = _recipes()


def write_project(folder: Path) -> None:
    """Puts all the code that the recipes name into a folder."""
    package = folder / "my_project"
    package.mkdir()
    for name, source in MODULES.items():
        (package / f"{name}.py").write_text(source, "utf-8")
    shutil.copy(ROOT / "examples" / "penguins" / "penguins.py", folder)
    shutil.copy(GOLDEN / "golden_parts.py", folder)


def write_penguins(folder: Path) -> None:
    """Puts the penguins' project into a folder, with its config and one that holds four faults."""
    for name in ("penguins.py", "config.json"):
        shutil.copy(ROOT / "examples" / "penguins" / name, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["dataset"]["loader"]["import"] = "penguins.PengiunLoader"
    config["model"]["outputs"][0]["loss"]["import"] = "sparse_categorical_crossentrpy"
    config["solver"]["epohcs"] = config["solver"].pop("epochs")
    config["solver"]["learning_rate_reducer"]["monitor"] = "val_los"
    (folder / "faulty.json").write_text(json.dumps(config, indent=2), "utf-8")


def written(value: Any) -> tuple[str, dict[tuple[str | int, ...], tuple[int, int]]]:
    """A value as JSON text, one key or item a line.

    Returns:
        The text, and the line and column of every value by its path; those of a key by the path
        of its value and ``"key"`` after it.
    """
    lines: list[str] = [""]
    spots: dict[tuple[str | int, ...], tuple[int, int]] = {}

    def spot() -> tuple[int, int]:
        return len(lines), len(lines[-1]) + 1

    def write(value: Any, path: tuple[str | int, ...]) -> None:
        spots[path] = spot()
        if not isinstance(value, dict | list) or not value:
            lines[-1] += json.dumps(value)
            return
        indent = "  " * (len(path) + 1)
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
        lines[-1] += "{" if isinstance(value, dict) else "["
        for position, (key, item) in enumerate(pairs):
            lines.append(indent)
            if isinstance(value, dict):
                spots[(*path, key, "key")] = spot()
                lines[-1] += f"{json.dumps(key)}: "
            write(item, (*path, key))
            lines[-1] += "," if position + 1 < len(pairs) else ""
        lines.append("  " * len(path) + ("}" if isinstance(value, dict) else "]"))

    write(value, ())
    return "\n".join(lines) + "\n", spots
