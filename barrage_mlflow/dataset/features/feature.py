"""What all feature types have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from barrage_mlflow.dataset.types import Array

NUMBERS = "numbers"
"""The network's input, ``(batch, columns) float32``, that features of a few numbers share."""
CATEGORIES = "categories"
"""The network's input, ``(batch, columns) int32``, that features of one code share."""


class Feature(ABC):
    """What one column becomes for the network: learnt once, of train records, in pieces.

    A subclass is a dataclass; its fields are the options that a config may give.

    Attributes:
        type: its name in a config.
        kind: the kind of column that it asks for.
        shared: the input that it has some columns of; empty where it has an input of its own.
        width: how many columns it has of a shared input, once it is restored.

    Example:
        >>> import numpy as np
        >>> from barrage_mlflow.dataset.features.number import Number
        >>> feature = Number(scale="standard")
        >>> feature.learn(np.array([1.0, 3.0]))
        >>> feature.restore(feature.learnt())
        >>> feature.encode(np.array([3.0, 1.0])).tolist()
        [[1.0], [-1.0]]
    """

    type: ClassVar[str]
    kind: ClassVar[str]
    shared: ClassVar[str] = ""
    width = 1

    def column_kind(self) -> str | dict[str, Any]:
        """The kind of column that it asks for, written as in ``dataset.columns``."""
        given = {name: getattr(self, name, None) for name in ("of", "separator", "root")}
        options = {name: value for name, value in given.items() if value}
        return {"kind": self.kind, **options} if options else self.kind

    def learn(self, column: Array) -> None:  # noqa: B027 - some have nothing to learn
        """Take in the next piece of a train column, ``(records,)``."""

    def learnt(self) -> dict[str, Any]:
        """What all pieces taught, as JSON values."""
        return {}

    def restore(self, learnt: Mapping[str, Any]) -> None:  # noqa: B027
        """Take what :meth:`learnt` gave, in this process or another."""

    @abstractmethod
    def encode(self, column: Array) -> Array:
        """The arrays ``(records, ...)`` of a column ``(records,)``, each record's by itself."""

    def description(self) -> dict[str, Any]:
        """What a network has to know of it besides, as JSON values."""
        return {}
