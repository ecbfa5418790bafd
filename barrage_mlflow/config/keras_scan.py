"""Describes the installed Keras: the names that a config can use, and what each of them takes.

Importing Keras takes seconds. What is found here is plain data, so that `keras_index` can keep it
in a file; nothing of Keras is built or called.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from barrage_mlflow.config.keras_arguments import arguments
from barrage_mlflow.config.keras_names import BASES, NAMESPACES, VALUES, is_private, snake_name
from barrage_mlflow.config.signatures import Accepts

_ABBREVIATIONS = {
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}
_BETTER = {
    "max": r".*(Accuracy|AUC|Correlation|IoU|Score|Similarity)"
    r"|Precision|Recall|\w+At(Precision|Recall|Sensitivity|Specificity)|True(Posi|Nega)tives",
    "min": r".*(Crossentropy|Divergence|Error|Hinge)|Poisson|False(Posi|Nega)tives",
}
"""Of metrics, the class names of those of which more is better, and of which less is."""
_importing = threading.Lock()


def import_keras() -> ModuleType:
    """Imports Keras without the start-up notes of what it stands on.

    Raises:
        ImportError: whatever went wrong.

    Example:
        >>> import_keras().__name__
        'keras'
    """
    try:
        if "keras" in sys.modules:
            return importlib.import_module("keras")
        with _importing, _silent():
            return importlib.import_module("keras")
    except Exception as error:
        # A backend that is missing or broken is a ValueError, an AttributeError …
        raise ImportError(f"{type(error).__name__}: {error}") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Turns the file descriptor of stderr away: native code writes there past `sys.stderr`."""
    if sys.stderr:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # It is closed: nothing is seen of what is written there.
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def find(path: str) -> Any:
    """What stands at a path below ``keras``, None if nothing does.

    Example:
        >>> find("losses.Huber").__name__, find("losses.Hubr")
        ('Huber', None)
    """
    found: Any = import_keras()
    for part in path.split(".") if path else ():
        found = getattr(found, part, None)
    return found


def scan() -> dict[str, Any]:
    """Everything public that the installed Keras has, as JSON values.

    Returns:
        ``paths``: of each path below ``keras``, the place in ``described`` of its description, as
        `describe` gives it; ``members``: of each module, its public names; ``classes`` and
        ``aliases``: of each kind of component, the path that a name means; ``values``: of each
        kind of value, the names that params take for it.

    Example:
        >>> data = scan()
        >>> data["described"][data["paths"]["losses.Huber"]]["kinds"]
        ['loss', 'metric']
        >>> data["aliases"]["loss"]["mse"]
        'losses.MeanSquaredError'
    """
    members: dict[str, list[str]] = {}
    paths: dict[str, int] = {}
    described: dict[str, int] = {}
    for path, found in _walk("", import_keras(), members):
        text = json.dumps(describe(found))
        paths[path] = described.setdefault(text, len(described))
    classes = {kind: _classes(kind) for kind in NAMESPACES}
    return {
        "paths": paths,
        "described": [json.loads(text) for text in described],
        "members": members,
        "classes": classes,
        "aliases": {kind: _aliases(classes[kind]) for kind in ("loss", "metric")},
        "values": {kind: _value_names(kind) for kind in VALUES},
    }


def _value_names(kind: str) -> list[str]:
    """The names in the table that Keras looks values of params up in, which is not public.

    Of a Keras that keeps no such table, none: nothing is known then, and nothing checked.
    """
    try:
        module = importlib.import_module(f"keras.src.{kind}s")
    except ImportError:
        return []
    return sorted(getattr(module, "ALL_OBJECTS_DICT", ()))


def _walk(
    path: str, module: ModuleType, members: dict[str, list[str]]
) -> Iterator[tuple[str, Any]]:
    """Every path below a module with what stands there, down to the class methods."""
    members[path] = public_names(module)
    for name in members[path]:
        here, found = f"{path}.{name}".lstrip("."), getattr(module, name)
        if not isinstance(found, ModuleType):
            yield here, found
            yield from _class_methods(here, found)
        elif found.__name__ == f"keras.{here}":
            yield here, found
            yield from _walk(here, found, members)


def _class_methods(path: str, found: Any) -> Iterator[tuple[str, Any]]:
    """Those that make an object, ``from_config`` above all."""
    if _kinds(found):
        for name in public_names(found):
            if isinstance(inspect.getattr_static(found, name), classmethod):
                yield f"{path}.{name}", getattr(found, name)


def public_names(found: Any) -> list[str]:
    """The names that a module or class shows.

    Example:
        >>> import keras
        >>> "losses" in public_names(keras), "src" in public_names(keras)
        (True, False)
    """
    return [name for name in dir(found) if not name.startswith("_") and not is_private(name)]


def describe(found: Any) -> dict[str, Any]:
    """One class or function of Keras: the fields of a `KerasEntry` that are not empty.

    Example:
        >>> import keras
        >>> about = describe(keras.losses.Huber)
        >>> about["form"], about["name"], about["direction"], about["accepts"]["defaults"]["delta"]
        ('class', 'huber_loss', 'min', 1.0)
    """
    if not inspect.isclass(found):
        if not inspect.isroutine(found):
            return {"form": "other"}
        return {"form": "function", "accepts": _filled(Accepts.of(found))}
    kinds = _kinds(found)
    # The **kwargs of optimizers and callbacks only serve to turn down names of long ago.
    accepts = arguments(found, own_only="optimizer" in kinds or "callback" in kinds)
    about = {
        "form": "class",
        "kinds": kinds,
        "accepts": _filled(accepts),
        "name": _own_name(found, accepts) if kinds else "",
        "direction": _direction(found.__name__, kinds),
    }
    return {key: value for key, value in about.items() if value}


def _filled(accepts: Accepts) -> dict[str, Any]:
    return {key: value for key, value in vars(accepts).items() if value}


def _kinds(found: Any) -> list[str]:
    if not inspect.isclass(found):
        return []
    return [kind for kind in BASES if issubclass(found, _bases(kind))]


@cache
def _bases(kind: str) -> tuple[type, ...]:
    return tuple(find(base) for base in BASES[kind])


def _own_name(found: type, accepts: Accepts) -> str:
    given = accepts.defaults.get("name")
    return given if isinstance(given, str) else snake_name(found.__name__)


def _direction(name: str, kinds: list[str]) -> str:
    if "loss" in kinds:
        return "min"
    if "metric" not in kinds:
        return ""
    return next((way for way, names in _BETTER.items() if re.fullmatch(names, name)), "")


def _classes(kind: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for namespace in NAMESPACES[kind]:
        for name, value in vars(find(namespace)).items():
            if kind in _kinds(value):
                found.setdefault(name, f"{namespace}.{name}")
    return found


def _aliases(classes: dict[str, str]) -> dict[str, str]:
    """Keras's string aliases: a class's snake case name, or one of a few abbreviations."""
    found = {snake_name(name): path for name, path in classes.items()}
    for alias, name in _ABBREVIATIONS.items():
        found[alias] = found[alias.upper()] = classes[name]
    return found
