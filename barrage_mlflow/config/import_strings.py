"""Import strings: from a name in a config to the class or function that it means."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
import sys
import traceback
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.bygone import GONE, old_imports, old_imports_of
from barrage_mlflow.config.component_kinds import KINDS
from barrage_mlflow.config.import_targets import (
    ANYTHING,
    Accepts,
    Target,
    check_path,
    leads_nowhere,
    no_module,
)
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.project import modules_in
from barrage_mlflow.config.project_source import SourceReader, UnreadableError
from barrage_mlflow.errors import ImportPathError

logger = logging.getLogger(__name__)

_BYGONE = ("legacy", "experimental")
_GIVE_PATH = "give the whole path of one of your own"


def find_target(path: str, kind: str, reader: SourceReader | None = None) -> Target:
    """Finds what an import string means, and makes sure that it is of the right kind.

    Args:
        path: a Python path, a short name or a Keras alias. Old paths (``tensorflow.keras…``,
            ``tensorflow.python.keras…``, ``barrage…``) mean today's classes.
        kind: ``"loader"``, ``"transformer"``, ``"augmentor"``, ``"network"``, ``"loss"``,
            ``"metric"``, ``"optimizer"``, ``"schedule"``, ``"layer"``, ``"initializer"``,
            ``"regularizer"``, ``"constraint"`` or ``"callback"``.
        reader: reads the project's modules, which are then imported only where their source
            does not show enough; without one, they are imported.

    Raises:
        ImportPathError: the path leads nowhere, to the wrong kind of thing, or into a module
            that fails when it is imported; that failure is the error's cause.

    Example:
        >>> find_target("tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizer").path
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
        ImportPathError: there is nothing of that name.

    Example:
        >>> known_target("mse", "loss").path, known_target("my_project.Loss", "loss")
        ('keras.losses.MeanSquaredError', None)
    """
    today, row = keras_index.current_path(path), KINDS[kind]
    top, *parts = today.split(".")
    if parts and (top not in ("keras", "barrage_mlflow", "tf", "tensorflow") or parts[0] == "src"):
        return None
    name = today.rpartition(".")[2]
    is_old = path.startswith("tensorflow.python.") or any(part in _BYGONE for part in parts)
    if not parts or (row.is_keras and (is_old or name == "Input")):
        meant, known = name, keras_index.names(kind)
        found = keras_index.short(kind, name)
        message = f"{path!r} names no {kind} in {'Keras' if row.is_keras else 'Barrage'}"
    else:
        meant, known = f"keras.models.{name}" if is_old else today, keras_index.paths()
        found = keras_index.at(meant)
        message = f"{path!r} leads nowhere in Keras and Barrage"
    if found is None:
        remedy = did_you_mean(meant, known) or ("" if parts else _GIVE_PATH)
        raise ImportPathError(message, GONE.get((kind, name), remedy))
    return found


def base_classes(kind: str) -> tuple[type, ...]:
    """The classes that a component of a kind derives from.

    Raises:
        ImportPathError: they cannot be imported.

    Example:
        >>> [base.__name__ for base in base_classes("metric")]
        ['Metric', 'Loss']
    """
    return tuple(load_path(base) for base in KINDS[kind].bases)


def load_path(path: str) -> Any:
    """Imports the longest module that a path names, then follows attributes.

    Raises:
        ImportPathError: it leads nowhere, or a module on the way cannot be imported.

    Example:
        >>> load_path("json.decoder.JSONDecoder").__name__
        'JSONDecoder'
    """
    here, *parts = path.split(".")
    found = _module(path, here)
    if found is None:
        raise no_module(path, sys.path)
    # As in "from a.b import C": modules on the way, but rather what the last of them binds.
    while len(parts) > 1 and (module := _module(path, f"{here}.{parts[0]}")):
        found, here = module, f"{here}.{parts.pop(0)}"
    for part in parts:
        holder = found
        with _failure_of(path, here):
            found = getattr(holder, part, None)
        if found is None:
            found = _module(path, f"{here}.{part}")
        if found is None:
            raise leads_nowhere(path, here, part, _public_names(holder))
        here = f"{here}.{part}"
    return found


def _module(path: str, name: str) -> ModuleType | None:
    """Imports a module; None if there is none of that name."""
    with _failure_of(path, name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise
    return None


@contextlib.contextmanager
def _failure_of(path: str, module: str) -> Iterator[None]:
    """What a module raises while it is imported, or makes a name on demand, as our error."""
    try:
        yield
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        message = f"{path!r}: importing module {module!r} raised {what}"
        place = traceback.extract_tb(error.__traceback__)[-1]
        remedy = old_imports(place.filename) if isinstance(error, ImportError) else ""
        raise ImportPathError(message, remedy) from error


def _public_names(holder: Any) -> list[str]:
    names = getattr(holder, "__all__", None) or dir(holder)
    names = [name for name in names if not name.startswith("_")]
    return sorted({*names, *modules_in(getattr(holder, "__path__", ()))})


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
    if not issubclass(found, base_classes(kind)):
        raise ImportPathError(f"{path!r} is no {KINDS[kind].wanted}", old_imports_of(found))
    # A constructor that is inherited takes what the index says: some take **kwargs but refuse
    # every name.
    bases = [base for base in KINDS[kind].bases if load_path(base).__init__ is found.__init__]
    inherited = keras_index.at(bases[0]) if bases else None
    names = getattr(found, "network_param_names", None)
    return Target(
        path,
        "class",
        inherited.accepts if inherited else Accepts.of(found),
        (kind,),
        tuple(sorted(getattr(found, "__abstractmethods__", ()))),
        network_param_names=tuple(names) if isinstance(names, list | tuple) else None,
    )


def _check_kind(path: str, kind: str, target: Target) -> None:
    if target.form == "class" and kind not in target.kinds:
        near = keras_index.short(kind, path.rpartition(".")[2])
        remedy = f"did you mean {near.path!r}?" if near and target.path.startswith("keras.") else ""
        raise ImportPathError(f"{path!r} is no {KINDS[kind].wanted}", remedy)
    if target.abstract:
        lacking = ", ".join(target.abstract)
        raise ImportPathError(f"{path!r} is abstract: it does not define {lacking}")
    if target.form not in ("class", "function", "alias"):
        raise ImportPathError(f"{path!r} is {target.form}, expected a {KINDS[kind].wanted}")
    if kind in ("loss", "metric") and target.accepts.positional[:2] == ("y_true", "y_pred"):
        remedy = f"write {path.rpartition('.')[2]!r}, or give a class"
        if not target.path.startswith("keras."):
            remedy = f"give a class derived from {KINDS[kind].wanted}"
        message = f"{path!r} is a plain function of (y_true, y_pred), no {kind}"
        raise ImportPathError(message, remedy)
