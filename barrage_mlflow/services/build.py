"""Builds the callbacks of the services section."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.config import build_import
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.loss_guard import LossGuard
from barrage_mlflow.services.report import TrainingReport
from barrage_mlflow.services.resume import ResumeCheckpoint
from barrage_mlflow.services.writer import BackgroundWriter
from barrage_mlflow.workspace import folder as artifacts

_SERVICES = "$.services"


def build_callbacks(
    config: Mapping[str, Any],
    folder: Path,
    about: Mapping[str, Any] | None = None,
    written: Callable[[Path], object] | None = None,
) -> list[keras.callbacks.Callback]:
    """Build every service, in the order in which they are called.

    The loss guard comes first, so that nothing is written of a training that is lost; the
    resume checkpoint last, so that it holds what the others became in the epoch.

    Args:
        config: a resolved config.
        folder: the artifact folder.
        about: what the training says of itself in its resume checkpoints.
        written: called with each resume checkpoint that was written.

    Raises:
        ComponentError: params that a Keras callback refuses, with their path in the config.

    Example:
        >>> stopping = {"mode": "min", "patience": 10, "min_delta": 1e-5}
        >>> services = {
        ...     "best_checkpoint": {"monitor": "val_loss", "mode": "min"},
        ...     "tensorboard": {},
        ...     "train_early_stopping": {"monitor": "loss", **stopping},
        ...     "validation_early_stopping": {"monitor": "val_loss", **stopping},
        ... }
        >>> for callback in build_callbacks({"services": services}, Path("artifacts")):
        ...     print(type(callback).__name__)
        LossGuard
        TensorBoard
        BestCheckpoint
        EarlyStopping
        EarlyStopping
        TrainingReport
        ResumeCheckpoint
    """
    services = config["services"]
    resume = services.get("resume_checkpoint", {})
    checkpoints = folder / artifacts.CHECKPOINTS
    tensorboard = {"log_dir": str(folder / artifacts.TENSORBOARD), **services["tensorboard"]}
    # One for both: a resume checkpoint is to be found only together with the best it tells of.
    writer = BackgroundWriter()
    return [
        LossGuard(),
        _build("TensorBoard", "tensorboard", tensorboard),
        BestCheckpoint(
            checkpoints / artifacts.BEST_WEIGHTS, **services["best_checkpoint"], writer=writer
        ),
        *(
            _build("EarlyStopping", name, services[name])
            for name in ("train_early_stopping", "validation_early_stopping")
        ),
        TrainingReport(folder / artifacts.REPORT),
        ResumeCheckpoint(
            checkpoints / artifacts.RESUME,
            writer,
            **{name: value for name, value in resume.items() if name != "in_mlflow"},
            about=about,
            written=written,
        ),
    ]


def _build(callback: str, name: str, params: Mapping[str, Any]) -> keras.callbacks.Callback:
    return build_import({"import": callback, "params": params}, "callback", f"{_SERVICES}.{name}")
