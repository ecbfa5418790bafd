"""The kinds of component that a config names: one row has all that is particular to a kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config.paths import Path, walk

EACH = "*"
"""In the place of a kind: each item of a list."""


@dataclass(frozen=True)
class Kind:
    """One kind of component.

    Attributes:
        name: what it is called in messages and in code.
        place: its path in a config; empty for one that is only named within the params of others.
        searched: the modules that short names are looked up in, one after the other.
        bases: the classes that one of them is made of; empty for a function that is used as such.
        passed: what Barrage passes to it: by name where it has these names, else by position.
        passed_by_name: what Barrage passes to it by name, if it takes that.
        beside: keys beside `params` in its block that are passed by name too.
        by_shape: the aliases for which Keras chooses the class from the shapes.

    Example:
        >>> KINDS["metric"].wanted
        'keras.metrics.Metric or keras.losses.Loss'
    """

    name: str
    place: Path
    searched: tuple[str, ...]
    bases: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()
    passed_by_name: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    by_shape: tuple[str, ...] = ()

    @property
    def wanted(self) -> str:
        """What a component of the kind must be, in words."""
        return " or ".join(self.bases) or "function"

    @property
    def is_keras(self) -> bool:
        """Whether short names are those of Keras."""
        return self.searched[0].startswith("keras.")


_DATASET = ("barrage_mlflow.dataset",)
_OUTPUT: Path = ("model", "outputs", EACH)
_LOSSES = ("keras.losses.Loss",)
_ROWS = (
    Kind(
        "loader", ("dataset", "loader"), _DATASET, ("barrage_mlflow.dataset.RecordLoader",),
        passed=("mode",),
    ),
    Kind(
        "transformer", ("dataset", "transformer"), _DATASET,
        ("barrage_mlflow.dataset.RecordTransformer",), passed=("mode", "loader"),
    ),
    Kind(
        "augmentor", ("dataset", "augmentor", EACH), _DATASET,
        passed=("data_record",), passed_by_name=("rng",),
    ),
    Kind("network", ("model", "network"), ("barrage_mlflow.model",), ("keras.Model",)),
    Kind(
        "loss", (*_OUTPUT, "loss"), ("keras.losses",), _LOSSES, by_shape=("crossentropy", "ce"),
    ),
    Kind(
        "metric", (*_OUTPUT, "metrics", EACH), ("keras.metrics", "keras.losses"),
        ("keras.metrics.Metric", *_LOSSES), by_shape=("accuracy", "acc"),
    ),
    Kind(
        "layer", ("model", "network", "params", "layers", EACH), ("keras.layers",),
        ("keras.layers.Layer",),
    ),
    Kind(
        "optimizer", ("solver", "optimizer"), ("keras.optimizers",),
        ("keras.optimizers.Optimizer",), beside=("learning_rate",),
    ),
    Kind(
        "schedule", ("solver", "optimizer", "learning_rate"), ("keras.optimizers.schedules",),
        ("keras.optimizers.schedules.LearningRateSchedule",),
    ),
    Kind(
        "callback", ("services", "callbacks", EACH), ("keras.callbacks",),
        ("keras.callbacks.Callback",),
    ),
    Kind(
        "report", ("services", "evaluation", "reports", EACH), ("barrage_mlflow.evaluation",),
        passed=("outcome", "kept"),
    ),
    Kind("initializer", (), ("keras.initializers",), ("keras.initializers.Initializer",)),
    Kind("regularizer", (), ("keras.regularizers",), ("keras.regularizers.Regularizer",)),
    Kind("constraint", (), ("keras.constraints",), ("keras.constraints.Constraint",)),
)  # fmt: skip
VALUES = ("initializer", "regularizer", "constraint")
"""The kinds that are named in params that are called so, or end so: ``kernel_initializer``."""
KINDS = {kind.name: kind for kind in _ROWS}
"""Every kind by its name."""


def paths_of(kind: Kind, data: Any) -> list[Path]:
    """Where a config, whatever JSON value it is, has import blocks of a kind.

    Example:
        >>> data = {"dataset": {"augmentor": [{"import": "my.noise"}, "flip"]}}
        >>> paths_of(KINDS["augmentor"], data)
        [('dataset', 'augmentor', 0)]
    """

    def place(path: Path) -> Path:
        return tuple(EACH if isinstance(part, int) else part for part in path)

    found = [path for path, value in walk(data) if isinstance(value, dict)]
    return [path for path in found if path and place(path) == kind.place]
