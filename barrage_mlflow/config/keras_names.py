"""Where each kind of component stands in Keras, and how Keras names its objects."""

from __future__ import annotations

import re

NAMESPACES: dict[str, tuple[str, ...]] = {
    "loss": ("losses",),
    "metric": ("metrics", "losses"),
    "optimizer": ("optimizers",),
    "schedule": ("optimizers.schedules",),
    "layer": ("layers",),
    "callback": ("callbacks",),
}
BASES: dict[str, tuple[str, ...]] = {
    "loss": ("losses.Loss",),
    "metric": ("metrics.Metric", "losses.Loss"),
    "optimizer": ("optimizers.Optimizer",),
    "schedule": ("optimizers.schedules.LearningRateSchedule",),
    "layer": ("layers.Layer",),
    "callback": ("callbacks.Callback",),
    "network": ("Model",),
}
VALUES = ("activation", "initializer", "regularizer", "constraint")
"""What Keras takes by name in params that are called so, or end so: ``kernel_initializer``."""


def snake_name(name: str) -> str:
    """Keras's name for an object of a class, without the counter that Keras may add to it.

    Example:
        >>> snake_name("MeanSquaredError"), snake_name("AUC"), snake_name("F1Score")
        ('mean_squared_error', 'auc', 'f1_score')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def is_private(path: str) -> bool:
    """Whether a path leads into Keras's private modules, which the index leaves out.

    Example:
        >>> is_private("src.losses.losses.Huber"), is_private("losses.Huber")
        (True, False)
    """
    return path.split(".")[0] == "src"
