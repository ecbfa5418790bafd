"""Deep learning from one config file, tracked in MLflow, deployed as one artifact.

The public names are loaded when they are first used: importing the package imports neither
TensorFlow nor MLflow.
"""

from __future__ import annotations

import importlib

# As in typing, which is not imported here: `python -m barrage_mlflow` looks for it in the working
# folder first, and a project may have a file of that name.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any

    from barrage_mlflow.commands.barrage_model import BarrageModel as BarrageModel
    from barrage_mlflow.commands.evaluate import evaluate as evaluate
    from barrage_mlflow.commands.predict import FileScores as FileScores
    from barrage_mlflow.commands.predict import score_file as score_file
    from barrage_mlflow.commands.promote import Promotion as Promotion
    from barrage_mlflow.commands.promote import promote as promote
    from barrage_mlflow.commands.reproduce import Reproduction as Reproduction
    from barrage_mlflow.commands.reproduce import reproduce as reproduce
    from barrage_mlflow.commands.split import split as split
    from barrage_mlflow.commands.sync import sync as sync
    from barrage_mlflow.commands.train import train as train
    from barrage_mlflow.commands.tune import tune as tune
    from barrage_mlflow.config import resolve_config as resolve_config
    from barrage_mlflow.dataset import FeatureLoader as FeatureLoader
    from barrage_mlflow.dataset import FeatureTransformer as FeatureTransformer
    from barrage_mlflow.dataset import IdentityTransformer as IdentityTransformer
    from barrage_mlflow.dataset import KeySelector as KeySelector
    from barrage_mlflow.dataset import RecordLoader as RecordLoader
    from barrage_mlflow.dataset import RecordMode as RecordMode
    from barrage_mlflow.dataset import Records as Records
    from barrage_mlflow.dataset import RecordTransformer as RecordTransformer
    from barrage_mlflow.errors import ArtifactError as ArtifactError
    from barrage_mlflow.errors import BarrageError as BarrageError
    from barrage_mlflow.errors import ComponentError as ComponentError
    from barrage_mlflow.errors import ConfigError as ConfigError
    from barrage_mlflow.errors import Fault as Fault
    from barrage_mlflow.errors import GroupError as GroupError
    from barrage_mlflow.errors import ImportPathError as ImportPathError
    from barrage_mlflow.errors import PromotionError as PromotionError
    from barrage_mlflow.errors import RecordError as RecordError
    from barrage_mlflow.errors import TrackingError as TrackingError
    from barrage_mlflow.errors import TrainingError as TrainingError
    from barrage_mlflow.errors import TuningError as TuningError
    from barrage_mlflow.scoring.scorer import Scorer as Scorer
    from barrage_mlflow.training.prepare import read_document as read_document
    from barrage_mlflow.training.settled import Settled as Settled
    from barrage_mlflow.training.settled import settle_training as settle_training
    from barrage_mlflow.training.train import TrainingResult as TrainingResult
    from barrage_mlflow.tuning.search_file import read_search as read_search

__version__ = "0.2.0"

_HOMES = {
    "commands.barrage_model": "BarrageModel",
    "commands.evaluate": "evaluate",
    "commands.predict": "FileScores score_file",
    "commands.promote": "Promotion promote",
    "commands.reproduce": "Reproduction reproduce",
    "commands.split": "split",
    "commands.sync": "sync",
    "commands.train": "train",
    "commands.tune": "tune",
    "config": "resolve_config",
    "dataset": "FeatureLoader FeatureTransformer IdentityTransformer KeySelector RecordLoader "
    "RecordMode RecordTransformer Records",
    "errors": "ArtifactError BarrageError ComponentError ConfigError Fault GroupError "
    "ImportPathError PromotionError RecordError TrackingError TrainingError TuningError",
    "scoring.scorer": "Scorer",
    "training.prepare": "read_document",
    "training.settled": "Settled settle_training",
    "training.train": "TrainingResult",
    "tuning.search_file": "read_search",
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
