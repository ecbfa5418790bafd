"""Deep learning from one config file, tracked in MLflow, deployed as one artifact.

The public names are loaded when they are first used: importing the package imports neither
TensorFlow nor MLflow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from barrage_mlflow.commands.barrage_model import BarrageModel
    from barrage_mlflow.commands.predict import FileScores, score_file
    from barrage_mlflow.commands.promote import Promotion, promote
    from barrage_mlflow.commands.reproduce import Reproduction, reproduce
    from barrage_mlflow.commands.sync import sync
    from barrage_mlflow.commands.train import train
    from barrage_mlflow.config import resolve_config
    from barrage_mlflow.dataset import (
        IdentityTransformer,
        KeySelector,
        RecordLoader,
        RecordMode,
        Records,
        RecordTransformer,
    )
    from barrage_mlflow.errors import (
        ArtifactError,
        BarrageError,
        ComponentError,
        ConfigError,
        Fault,
        ImportPathError,
        PromotionError,
        RecordError,
        TrackingError,
        TrainingError,
    )
    from barrage_mlflow.scoring.scorer import Scorer
    from barrage_mlflow.training.train import TrainingResult

__version__ = "0.2.0"

_HOMES = {
    "commands.barrage_model": ("BarrageModel",),
    "commands.predict": ("FileScores", "score_file"),
    "config": ("resolve_config",),
    "dataset": (
        "IdentityTransformer",
        "KeySelector",
        "RecordLoader",
        "RecordMode",
        "RecordTransformer",
        "Records",
    ),
    "errors": (
        "ArtifactError",
        "BarrageError",
        "ComponentError",
        "ConfigError",
        "Fault",
        "ImportPathError",
        "PromotionError",
        "RecordError",
        "TrackingError",
        "TrainingError",
    ),
    "commands.promote": ("Promotion", "promote"),
    "commands.reproduce": ("Reproduction", "reproduce"),
    "commands.sync": ("sync",),
    "commands.train": ("train",),
    "scoring.scorer": ("Scorer",),
    "training.train": ("TrainingResult",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "ArtifactError",
    "BarrageError",
    "BarrageModel",
    "ComponentError",
    "ConfigError",
    "Fault",
    "FileScores",
    "IdentityTransformer",
    "ImportPathError",
    "KeySelector",
    "Promotion",
    "PromotionError",
    "RecordError",
    "RecordLoader",
    "RecordMode",
    "RecordTransformer",
    "Records",
    "Reproduction",
    "Scorer",
    "TrackingError",
    "TrainingError",
    "TrainingResult",
    "promote",
    "reproduce",
    "resolve_config",
    "score_file",
    "sync",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
