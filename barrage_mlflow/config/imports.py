"""Import strings: from a name in a config to the class or function that it means."""

from __future__ import annotations

import contextlib
import inspect
import logging
import sys
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.kinds import KINDS
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.project_source import SourceReader, UnreadableError
from barrage_mlflow.config.signatures import ANYTHING, Accepts
from barrage_mlflow.config.targets import (
    NotImportableError,
    Target,
    check_path,
    leads_nowhere,
    load_path,
)

logger = logging.getLogger(__name__)

_BYGONE = ("legacy", "experimental")
_GIVE_PATH = "give the whole path of one of your own"


def load_import(path: str, kind: str) -> Any:
    """Loads the class or function that an import string means.

    Args:
        path: a Python path, a short name or a Keras alias. Old paths (``tensorflow.keras…``,
            ``tensorflow.python.keras…``, ``barrage…``) mean today's classes.
        kind: ``"loader"``, ``"transformer"``, ``"augmentor"``, ``"network"``, ``"loss"``,
            ``"metric"``, ``"optimizer"``, ``"schedule"``, ``"layer"`` or ``"callback"``.

    Returns:
        The class or function. For an alias whose class Keras picks from the shapes
        (``"accuracy"``, ``"acc"``, ``"crossentropy"``, ``"ce"``), the alias itself.

    Raises:
        ImportPathError: the path leads nowhere, to the wrong kind of thing, or into a module
            that fails when it is imported; that failure is the error's cause.

    Example:
        >>> load_import("tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizer").__name__
        'Adam'
        >>> load_import("accuracy", "metric")
        'accuracy'
    """
    return find_target(path, kind).load()


def find_target(path: str, kind: str, reader: SourceReader | None = None) -> Target:
    """Finds what an import string means, and makes sure that it is of the right kind.

    Args:
        path: as `load_import` takes it.
        kind: as `load_import` takes it.
        reader: reads the project's modules, which are then imported only where their source
            does not show enough; without one, they are imported.

    Raises:
        NotImportableError: as `load_import`.

    Example:
        >>> find_target("Adam", "optimizer").path
        'keras.optimizers.Adam'
    """
    check_path(path)
    target = known_target(path, kind) or _project_target(path, kind, reader)
    _check_kind(path, kind, target)
    return target


def known_target(path: str, kind: str) -> Target | None:
    """What an import string means that names something of Keras's or Barrage's.

    Returns:
        None if it leads into other modules, which only reading or importing them can explain.

    Raises:
        NotImportableError: there is nothing of that name.

    Example:
        >>> known_target("mse", "loss").path, known_target("my_project.Loss", "loss")
        ('keras.losses.MeanSquaredError', None)
    """
    today = keras_index.current_path(path)
    top, *parts = today.split(".")
    if not parts:
        return _of_short_name(path, path, kind)
    if top in ("tf", "tensorflow"):
        message = f"{path!r} leads nowhere: of TensorFlow, only '{top}.keras' can be named"
        raise NotImportableError(message, did_you_mean(parts[0], ["keras"]))
    if top not in ("keras", "barrage_mlflow") or parts[0] == "src":
        return None
    is_old = path.startswith("tensorflow.python.") or any(part in _BYGONE for part in parts)
    if KINDS[kind].is_keras and (is_old or parts[-1] == "Input"):
        return _of_short_name(path, parts[-1], kind)
    found = keras_index.at(f"keras.models.{parts[-1]}" if is_old else today)
    if found is None:
        raise _unknown_name(path, parts[-1], kind) if is_old else _not_in_index(path, today)
    return found


def is_sequential(path: object) -> bool:
    """Whether an import string means the built-in network of layer blocks.

    Example:
        >>> is_sequential("barrage.model.sequential_from_config"), is_sequential("my.network")
        (True, False)
    """
    if not isinstance(path, str):
        return False
    name = "sequential_from_config"
    return path == name or keras_index.current_path(path) == f"barrage_mlflow.model.{name}"


def is_from_keras(path: str) -> bool:
    """Whether an import string means something of Keras, whatever its kind.

    Example:
        >>> is_from_keras("tf.keras.losses.Huber"), is_from_keras("my_project.Loss")
        (True, False)
    """
    return keras_index.current_path(path).startswith("keras.")


def base_classes(kind: str) -> tuple[type, ...]:
    """The classes that a component of a kind derives from.

    Raises:
        NotImportableError: they cannot be imported.

    Example:
        >>> [base.__name__ for base in base_classes("metric")]
        ['Metric', 'Loss']
    """
    return tuple(load_path(base) for base in KINDS[kind].bases)


def _of_short_name(path: str, name: str, kind: str) -> Target:
    found = keras_index.short(kind, name)
    if found is None:
        raise _unknown_name(path, name, kind)
    return found


def _unknown_name(path: str, name: str, kind: str) -> NotImportableError:
    home = "Keras" if KINDS[kind].is_keras or path != name else "Barrage"
    message = f"{path!r} is not the name of {KINDS[kind].called} in {home}"
    return NotImportableError(message, did_you_mean(name, keras_index.names(kind)) or _GIVE_PATH)


def _not_in_index(path: str, today: str) -> NotImportableError:
    """The error for the first part of a path below Keras or Barrage that is not there."""
    holder, *parts = today.split(".")
    for part in parts:
        known = keras_index.members(holder)
        if part not in known:
            break
        holder = f"{holder}.{part}"
    return leads_nowhere(path, holder, part, known)


def _project_target(path: str, kind: str, reader: SourceReader | None) -> Target:
    if reader is not None:
        with contextlib.suppress(UnreadableError):
            target = reader.target(path)
            if target.accepts != ANYTHING:
                return target
        module = path.rpartition(".")[0]
        logger.info("importing %s: only running it shows what %s is", module, path)
        sys.path[:] = reader.search_path
    return _imported(path, kind)


def _imported(path: str, kind: str) -> Target:
    """What a path means, by importing it."""
    found = load_path(path)
    if inspect.ismodule(found):
        return Target(path, "a module")
    if not callable(found):
        return Target(path, f"of type {type(found).__name__}")
    if not inspect.isclass(found):
        return Target(path, "function", Accepts.of(found))
    names = getattr(found, "network_param_names", None)
    return Target(
        path,
        "class",
        Accepts.of(found),
        (kind,) if issubclass(found, base_classes(kind)) else (),
        tuple(sorted(getattr(found, "__abstractmethods__", ()))),
        network_param_names=tuple(names) if isinstance(names, list | tuple) else None,
    )


def _check_kind(path: str, kind: str, target: Target) -> None:
    if target.form == "class" and kind == "augmentor":
        message = f"{path!r} is a class, expected a function f(data_record, **params)"
        raise NotImportableError(message)
    if target.form == "class" and kind not in target.kinds:
        near = keras_index.short(kind, path.rpartition(".")[2])
        remedy = f"did you mean {near.path!r}?" if near and is_from_keras(path) else ""
        raise NotImportableError(f"{path!r} is no {KINDS[kind].wanted}", remedy)
    if target.abstract:
        lacking = ", ".join(target.abstract)
        raise NotImportableError(f"{path!r} is abstract: it does not define {lacking}")
    if target.form not in ("class", "function", "alias"):
        raise NotImportableError(f"{path!r} is {target.form}, expected a {KINDS[kind].wanted}")
    if kind in ("loss", "metric") and target.accepts.positional[:2] == ("y_true", "y_pred"):
        remedy = f"write {path.rpartition('.')[2]!r}, or give a class"
        if not is_from_keras(path):
            remedy = f"give a class derived from {KINDS[kind].wanted}"
        message = f"{path!r} is a plain function of (y_true, y_pred), no {kind}"
        raise NotImportableError(message, remedy)
