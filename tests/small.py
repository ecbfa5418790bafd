"""Small data and configs that train in a second, for tests of the whole path."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd

CONFIG: dict[str, Any] = {
    "dataset": {
        "loader": {
            "import": "KeySelector",
            "params": {"inputs": {"x": ["a", "b"]}, "outputs": {"label": "label"}},
        },
        "transformer": {"import": "IdentityTransformer"},
        "seed": 7,
    },
    "model": {
        "network": {
            "import": "barrage_mlflow.model.sequential_from_config",
            "params": {
                "layers": [
                    {"import": "Input", "params": {"shape": [2], "name": "x"}},
                    {"import": "Dense", "params": {"units": 8, "activation": "relu"}},
                    {
                        "import": "Dense",
                        "params": {"units": 2, "activation": "softmax", "name": "label"},
                    },
                ]
            },
        },
        "outputs": [
            {
                "name": "label",
                "loss": {"import": "sparse_categorical_crossentropy"},
                "metrics": [{"import": "accuracy"}],
            }
        ],
    },
    "solver": {"batch_size": 16, "epochs": 3},
    "services": {},
}


def small_config(**values: Any) -> dict[str, Any]:
    """Return a fresh valid config; keys such as ``solver__epochs`` replace single values."""
    config = copy.deepcopy(CONFIG)
    for path, value in values.items():
        *parents, key = path.split("__")
        block = config
        for parent in parents:
            block = block.setdefault(parent, {})
        block[key] = value
    return config


def small_frame(records: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return columns a and b, float64, and label, int64: 1 where a + b is positive."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(records, 2)), columns=["a", "b"])
    frame["label"] = (frame["a"] + frame["b"] > 0).astype("int64")
    return frame


TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)
