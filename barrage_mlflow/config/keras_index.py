"""The names that Keras knows and the arguments that each of them takes.

All that the config checker asks of Keras goes through `short`, `at`, `names` and `members`,
which answer with plain data; only `load` gives the object itself. Keras is imported on the first
question.
"""

from __future__ import annotations

import importlib
import inspect
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from barrage_mlflow.config.signatures import Accepts

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
_SHAPE_ALIASES = {"loss": ("crossentropy", "ce"), "metric": ("accuracy", "acc")}
_ABBREVIATIONS = {
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}


@dataclass(frozen=True)
class KerasEntry:
    """One class or function of Keras.

    Attributes:
        path: where it stands below ``keras``, ``"losses.MeanSquaredError"``.
        form: ``"class"``, ``"function"`` or ``"other"``.
        kinds: the kinds of component that a class can be, by its base class.
        accepts: the arguments that it takes.
        name: the name that a loss or metric gives itself; its snake case name if it sets none.
    """

    path: str
    form: str
    kinds: tuple[str, ...]
    accepts: Accepts
    name: str = ""


def is_shape_alias(kind: str, name: str) -> bool:
    """Whether Keras picks the class for this alias from the shapes, once it knows them.

    Example:
        >>> is_shape_alias("metric", "acc"), is_shape_alias("metric", "auc")
        (True, False)
    """
    return name.lower() in _SHAPE_ALIASES.get(kind, ())


def snake_name(name: str) -> str:
    """Keras's name for an object of a class, without the counter that Keras may add to it.

    Example:
        >>> snake_name("MeanSquaredError"), snake_name("AUC"), snake_name("F1Score")
        ('mean_squared_error', 'auc', 'f1_score')
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def short(kind: str, name: str) -> KerasEntry | None:
    """The class that a short name or string alias means for a kind of component.

    Example:
        >>> short("loss", "mse").path, short("optimizer", "adam").path
        ('losses.MeanSquaredError', 'optimizers.Adam')
    """
    if kind == "layer" and name == "Input":
        return at("layers.InputLayer")
    found = _classes(kind).get(name) or _aliases(kind).get(name)
    if found is None and kind == "optimizer":
        found = {known.lower(): path for known, path in _classes(kind).items()}.get(name.lower())
    return at(found) if found else None


def names(kind: str) -> tuple[str, ...]:
    """Every short name and alias of a kind, for suggestions.

    Example:
        >>> "mse" in names("loss"), "Dense" in names("layer")
        (True, True)
    """
    return (*_classes(kind), *_aliases(kind), *_SHAPE_ALIASES.get(kind, ()))


@cache
def at(path: str) -> KerasEntry | None:
    """What stands at a path below ``keras``, None if nothing does.

    Example:
        >>> at("losses.MeanSquaredError").kinds
        ('loss', 'metric')
        >>> at("losses.mean_squared_error").form
        'function'
    """
    found = _object(path)
    if found is None:
        return None
    form = "class" if inspect.isclass(found) else "other"
    if inspect.isroutine(found):
        form = "function"
    kinds = tuple(
        kind
        for kind, bases in BASES.items()
        if form == "class" and issubclass(found, tuple(_object(base) for base in bases))
    )
    accepts = Accepts.of(found) if form != "other" else Accepts()
    if "optimizer" in kinds or "callback" in kinds:
        # Their **kwargs only serve to turn down names of long ago.
        accepts = Accepts(accepts.positional, accepts.names, accepts.required)
    return KerasEntry(path, form, kinds, accepts, _own_name(found, path) if kinds else "")


def _own_name(found: Any, path: str) -> str:
    parameter = inspect.signature(found).parameters.get("name")
    given = parameter.default if parameter else None
    return given if isinstance(given, str) else snake_name(path.rpartition(".")[2])


def members(path: str) -> tuple[str, ...]:
    """The public names of a Keras module, empty if there is no such module.

    Example:
        >>> "Adam" in members("optimizers"), members("no_such")
        (True, ())
    """
    found = _object(path) if path else _keras()
    return tuple(name for name in dir(found) if not name.startswith("_")) if found else ()


def load(entry: KerasEntry) -> Any:
    """The object itself.

    Example:
        >>> load(at("losses.MeanSquaredError")).__name__
        'MeanSquaredError'
    """
    return _object(entry.path)


def _keras() -> Any:
    try:
        return importlib.import_module("keras")
    except Exception as error:
        # A backend that is missing or broken is a ValueError, an AttributeError …
        raise ImportError(f"{type(error).__name__}: {error}") from error


def _object(path: str) -> Any:
    found = _keras()
    for part in path.split("."):
        found = getattr(found, part, None)
    return found


@cache
def _classes(kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    bases = tuple(_object(base) for base in BASES[kind])
    for namespace in NAMESPACES[kind]:
        for name, value in vars(_object(namespace)).items():
            if inspect.isclass(value) and issubclass(value, bases):
                found.setdefault(name, f"{namespace}.{name}")
    return found


@cache
def _aliases(kind: str) -> dict[str, str]:
    """Keras's string aliases: a class's snake case name, or one of a few abbreviations."""
    if kind not in ("loss", "metric"):
        return {}
    classes = _classes(kind)
    found = {snake_name(name): path for name, path in classes.items()}
    for alias, name in _ABBREVIATIONS.items():
        found[alias] = found[alias.upper()] = classes[name]
    return found
