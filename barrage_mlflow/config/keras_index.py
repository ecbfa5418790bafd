"""The names that Keras knows and the arguments that each of them takes.

All that the config checker asks of Keras goes through `short`, `at`, `names` and `members`. They
answer from an index of the installed Keras, which is made once and kept in a file, so that a config
can be checked without importing Keras; only `load` gives the object itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from barrage_mlflow.config.keras_cache import cached_scan
from barrage_mlflow.config.keras_names import BASES, NAMESPACES, VALUES, is_private, snake_name
from barrage_mlflow.config.signatures import Accepts

__all__ = [
    "BASES",
    "NAMESPACES",
    "VALUES",
    "KerasEntry",
    "at",
    "is_shape_alias",
    "load",
    "members",
    "names",
    "short",
    "snake_name",
    "value_names",
]

_SHAPE_ALIASES = {"loss": ("crossentropy", "ce"), "metric": ("accuracy", "acc")}


@dataclass(frozen=True)
class KerasEntry:
    """One class or function of Keras.

    Attributes:
        path: where it stands below ``keras``, ``"losses.MeanSquaredError"``.
        form: ``"class"``, ``"function"`` or ``"other"``.
        kinds: the kinds of component that a class can be, by its base class.
        accepts: the arguments that it takes.
        name: the name that a loss or metric gives itself; its snake case name if it sets none.
        direction: of a loss or metric, whether ``"min"`` or ``"max"`` is better; empty if neither.
    """

    path: str
    form: str
    kinds: tuple[str, ...] = ()
    accepts: Accepts = field(default_factory=Accepts)
    name: str = ""
    direction: str = ""


def is_shape_alias(kind: str, name: str) -> bool:
    """Whether Keras picks the class for this alias from the shapes, once it knows them.

    Example:
        >>> is_shape_alias("metric", "acc"), is_shape_alias("metric", "auc")
        (True, False)
    """
    return name.lower() in _SHAPE_ALIASES.get(kind, ())


def short(kind: str, name: str) -> KerasEntry | None:
    """The class that a short name or string alias means for a kind of component.

    Raises:
        ImportError: there is no index yet, and Keras cannot be imported.

    Example:
        >>> short("loss", "mse").path, short("optimizer", "adam").path
        ('losses.MeanSquaredError', 'optimizers.Adam')
    """
    if kind == "layer" and name == "Input":
        return at("layers.InputLayer")
    classes, aliases = _names(kind)
    found = classes.get(name) or aliases.get(name)
    if found is None and kind == "optimizer":
        found = {known.lower(): path for known, path in classes.items()}.get(name.lower())
    return at(found) if found else None


def names(kind: str) -> tuple[str, ...]:
    """Every short name and alias of a kind, for suggestions.

    Raises:
        ImportError: as `short`.

    Example:
        >>> "mse" in names("loss"), "Dense" in names("layer")
        (True, True)
    """
    classes, aliases = _names(kind)
    others: tuple[str, ...] = _SHAPE_ALIASES.get(kind, ())
    if kind == "layer":
        others = ("Input",)
    if kind == "optimizer":
        others = tuple(name.lower() for name in classes)
    return (*classes, *aliases, *others)


def _names(kind: str) -> tuple[dict[str, str], dict[str, str]]:
    index = _index()
    return index["classes"][kind], index["aliases"].get(kind, {})


@cache
def at(path: str) -> KerasEntry | None:
    """What stands at a path below ``keras``, None if nothing does.

    A path into Keras's private modules is not in the index, and imports Keras.

    Raises:
        ImportError: as `short`.

    Example:
        >>> entry = at("metrics.AUC")
        >>> entry.form, entry.kinds, entry.name, entry.direction
        ('class', ('metric',), 'auc', 'max')
        >>> at("losses.mean_squared_error").form
        'function'
    """
    if is_private(path):
        from barrage_mlflow.config import keras_scan

        found = keras_scan.find(path)
        description = keras_scan.describe(found) if found is not None else None
    else:
        index = _index()
        number = index["paths"].get(path)
        description = index["described"][number] if number is not None else None
    if description is None:
        return None
    accepts: dict[str, Any] = {
        key: tuple(value) if key in ("positional", "names", "required") else value
        for key, value in description.get("accepts", {}).items()
    }
    return KerasEntry(
        path,
        description["form"],
        tuple(description.get("kinds", ())),
        Accepts(**accepts),
        description.get("name", ""),
        description.get("direction", ""),
    )


def members(path: str) -> tuple[str, ...]:
    """The public names of a Keras module, empty if there is no such module.

    Raises:
        ImportError: as `short`.

    Example:
        >>> "Adam" in members("optimizers"), members("no_such")
        (True, ())
    """
    if is_private(path):
        from barrage_mlflow.config import keras_scan

        return tuple(keras_scan.public_names(keras_scan.find(path)))
    return tuple(_index()["members"].get(path, ()))


def value_names(kind: str) -> tuple[str, ...]:
    """The names that params take for a kind of value, one of `VALUES`; empty if not known.

    Raises:
        ImportError: as `short`.

    Example:
        >>> "relu" in value_names("activation")
        True
    """
    return tuple(_index()["values"][kind])


def load(entry: KerasEntry) -> Any:
    """The object itself; imports Keras.

    Raises:
        ImportError: Keras cannot be imported.

    Example:
        >>> load(at("losses.MeanSquaredError")).__name__
        'MeanSquaredError'
    """
    from barrage_mlflow.config import keras_scan

    return keras_scan.find(entry.path)


@cache
def _index() -> dict[str, Any]:
    return cached_scan()
