"""Builds the callbacks of the services section, and checks the metrics that they watch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.config import build_import
from barrage_mlflow.config.names import suggest
from barrage_mlflow.errors import ConfigError, Fault
from barrage_mlflow.services.best import BestCheckpoint
from barrage_mlflow.services.checkpoint import ResumeCheckpoint
from barrage_mlflow.workspace import folder as artifacts

_STOPPING = ("train_early_stopping", "validation_early_stopping")
_WATCHERS = (
    ("solver", "learning_rate_reducer"),
    ("services", "best_checkpoint"),
    *(("services", block) for block in _STOPPING),
)


def build_callbacks(
    config: Mapping[str, Any], artifact_dir: Path
) -> list[keras.callbacks.Callback]:
    """Build every service, in the order in which they are called.

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
    best_weights = artifact_dir / artifacts.CHECKPOINTS / artifacts.BEST_WEIGHTS
    resume = dict(services.get("resume_checkpoint", {}))
    resume.pop("in_mlflow", None)  # which is for the publisher
    return [
        _build("TensorBoard", "tensorboard", tensorboard),
        BestCheckpoint(best_weights, **services["best_checkpoint"]),
        *(_build("EarlyStopping", name, services[name]) for name in _STOPPING),
        ResumeCheckpoint(artifact_dir, **resume),
    ]


def _build(callback: str, name: str, params: Mapping[str, Any]) -> keras.callbacks.Callback:
    return build_import({"import": callback, "params": params}, "callback", f"$.services.{name}")


def check_monitors(config: Mapping[str, Any], known: Collection[str]) -> None:
    """Check that every monitor of the services and of the reducer is a metric of the training.

    Args:
        config: a resolved config.
        known: names of all metrics that an epoch will have.

    Raises:
        ConfigError: a monitor that no output produces; each with the nearest name that does.

    Example:
        >>> config = {
        ...     "solver": {},
        ...     "services": {
        ...         "best_checkpoint": {"monitor": "val_acuracy", "mode": "max"},
        ...         "train_early_stopping": {"monitor": "loss"},
        ...         "validation_early_stopping": {"monitor": "val_loss"},
        ...     },
        ... }
        >>> check_monitors(config, {"loss", "val_loss", "accuracy", "val_accuracy"})
        Traceback (most recent call last):
        barrage_mlflow.errors.ConfigError: $.services.best_checkpoint.monitor: no output produces
        the metric 'val_acuracy'; did you mean 'val_accuracy'?
    """
    faults = []
    for section, block in _WATCHERS:
        monitor = config[section].get(block, {}).get("monitor")
        if monitor is not None and monitor not in known:
            path, message = (
                f"$.{section}.{block}.monitor",
                f"no output produces the metric {monitor!r}",
            )
            # The config's check has seen to it that each watches train or validation as it should.
            is_validation = monitor.startswith("val_")
            alike = [name for name in sorted(known) if name.startswith("val_") == is_validation]
            faults.append(Fault(path, message, suggest(monitor, alike, "metrics")))
    if faults:
        raise ConfigError(faults)
