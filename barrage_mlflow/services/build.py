"""Builds the callbacks of the services section."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.services.training_state import remembers
from barrage_mlflow.workspace import layout as artifacts

logger = logging.getLogger(__name__)

_FORGETFUL = "$.services.callbacks[%s]: without get_state and set_state, %s forgets on resume"
_STOPPING = ("train_early_stopping", "validation_early_stopping")


def build_callbacks(
    config: Mapping[str, Any], artifact_dir: Path
) -> list[keras.callbacks.Callback]:
    """Build every service, in the order in which they are called.

    A warning on the log names each further callback whose memory a resume checkpoint cannot keep.

    Args:
        config: a resolved config.
        artifact_dir: the artifact folder.

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
        TensorBoard
        BestCheckpoint
        EarlyStopping
        EarlyStopping
        ResumeCheckpoint
    """
    services = config["services"]
    tensorboard = {"log_dir": str(artifact_dir / artifacts.TENSORBOARD), **services["tensorboard"]}
    best_weights = artifact_dir / artifacts.BEST_WEIGHTS
    resume = dict(services.get("resume_checkpoint", {}))
    resume.pop("in_mlflow", None)  # which is for the publisher
    further = [
        _build(block["import"], f"callbacks[{place}]", block.get("params", {}))
        for place, block in enumerate(services.get("callbacks", []))
    ]
    for place, callback in enumerate(further):
        if not remembers(callback):
            logger.warning(_FORGETFUL, place, type(callback).__name__)
    return [
        _build("TensorBoard", "tensorboard", tensorboard),
        BestCheckpoint(best_weights, **services["best_checkpoint"]),
        *(_build("EarlyStopping", name, services[name]) for name in _STOPPING),
        *further,
        ResumeCheckpoint(artifact_dir, **resume),
    ]


def _build(callback: str, name: str, params: Mapping[str, Any]) -> keras.callbacks.Callback:
    return build_import({"import": callback, "params": params}, "callback", f"$.services.{name}")
