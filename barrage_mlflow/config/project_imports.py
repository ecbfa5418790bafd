"""Import strings that lead into Python modules: the project's, the engine's or any other.

A path is read from source code, or, where that does not tell or the code is to run anyway,
followed by importing.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from barrage_mlflow.config import source_code
from barrage_mlflow.config.definitions import BARRAGE_BASES, define
from barrage_mlflow.config.names import did_you_mean, suggest
from barrage_mlflow.config.project import is_own, own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.source_code import BrokenModuleError, CannotTellError, NotThereError
from barrage_mlflow.config.source_imports import check_imports
from barrage_mlflow.config.targets import (
    NotImportableError,
    Target,
    base_classes,
    one_line,
    wanted,
)

_ROOTS = ("keras", "tensorflow", "barrage", "barrage_mlflow")
"""First parts of paths that lead to Keras and to the engine."""


def project_target(path: str, today: str, kind: str, run_code: bool) -> Target:
    """What a path into Python modules means.

    Args:
        path: as it is written in the config, for messages.
        today: the path today.
        kind: as `load_import` takes it.
        run_code: whether its modules are imported; else only if their source does not tell.

    Raises:
        NotImportableError: it leads nowhere, to the wrong kind of thing, or into a module that
            cannot be imported.

    Example:
        >>> path = "barrage_mlflow.dataset.KeySelector"
        >>> project_target(path, path, "loader", run_code=False).accepts.required
        ('mode', 'inputs', 'outputs')
    """
    if not run_code:
        try:
            return _source_target(path, today, kind)
        except CannotTellError:
            pass
    return _python_target(path, today, kind)


def _source_target(path: str, today: str, kind: str) -> Target:
    """What source code tells of a path, without running it.

    Raises:
        CannotTellError: only running it tells.
    """
    try:
        here = today.partition(".")[0]
        if is_own(here):
            for part in today.split(".")[1:]:
                module = source_code.find_module(here)
                if module is None:
                    break
                check_imports(module, is_own)
                here = f"{here}.{part}"
        found = source_code.find(today)
    except BrokenModuleError as broken:
        raise _failed_import(path, here, broken.error) from broken
    except NotThereError as error:
        raise _leads_nowhere(path, error.holder, error.part, error.names) from None
    if found.module is None:
        raise CannotTellError(path)
    if found.binding is None:
        raise NotImportableError(f"{path!r} is a module, expected a {wanted(kind)}")
    if isinstance(found.binding, ast.Constant):
        name = type(found.binding.value).__name__
        raise NotImportableError(f"{path!r} is of type {name}, expected a {wanted(kind)}")
    definition = define(today)
    if definition.form == "class":
        _check_kind(path, kind, kind in definition.kinds, definition.abstract)
    load = functools.partial(_load_python, path, today, kind)
    return Target(today, definition.form, definition.accepts, load, definition)


def _load_python(path: str, today: str, kind: str) -> Any:
    return _python_target(path, today, kind).load()


def _python_target(path: str, today: str, kind: str) -> Target:
    found = _locate(path, today)
    if inspect.isclass(found):
        _check_base(path, found, kind)
        form = "class"
    elif callable(found):
        form = "function"
    else:
        is_module = isinstance(found, ModuleType)
        what = "a module" if is_module else f"of type {type(found).__name__}"
        raise NotImportableError(f"{path!r} is {what}, expected a {wanted(kind)}")
    return Target(today, form, Accepts.of(found), lambda: found)


def _check_kind(
    path: str, kind: str, fits: bool, abstract: Iterable[str], remedy: str = ""
) -> None:
    if kind == "augmentor":
        raise NotImportableError(
            f"{path!r} is a class, expected a function f(data_record, **params)"
        )
    if not fits:
        raise NotImportableError(f"{path!r} is no {wanted(kind)}", remedy)
    lacking = ", ".join(sorted(abstract))
    if lacking:
        raise NotImportableError(f"{path!r} is abstract: it does not define {lacking}")


def _check_base(path: str, found: type, kind: str) -> None:
    fits = kind != "augmentor" and issubclass(found, base_classes(kind))
    abstract = getattr(found, "__abstractmethods__", ()) if inspect.isabstract(found) else ()
    modules = {base.__module__ for base in found.__mro__}
    if any(module.split(".")[0] == "barrage" for module in modules):
        remedy = f"derive it from {BARRAGE_BASES.get(kind, 'a Keras class')}, not from barrage's"
    elif any(module.startswith(("tensorflow.python.keras", "tf_keras")) for module in modules):
        remedy = "derive it from the class of the installed Keras, not from an old one"
    else:
        remedy = ""
    _check_kind(path, kind, fits, abstract, remedy)


def _locate(path: str, today: str) -> Any:
    """Imports the longest module path there is, then follows attributes."""
    parts = today.split(".")
    found: Any = _module(path, parts[0])
    if found is None:
        raise _leads_nowhere(path, "", parts[0])
    for i, part in enumerate(parts[1:], 1):
        here = ".".join(parts[:i])
        last = i == len(parts) - 1
        # As in "from a.b import C": a module on the way, but rather what the module holds last.
        inner = _attribute(path, found, part) if last else None
        if inner is None and hasattr(found, "__path__"):
            inner = _module(path, f"{here}.{part}")
        if inner is None and not last:
            inner = _attribute(path, found, part)
        if inner is None:
            what = "module" if isinstance(found, ModuleType) else "class"
            raise _leads_nowhere(path, here, part, _public_names(found), what)
        found = inner
    return found


def _leads_nowhere(
    path: str, holder: str, part: str, names: Iterable[str] = (), what: str = "module"
) -> NotImportableError:
    if not holder:
        message = f"{path!r} leads nowhere: no module {part!r} on the Python path"
        return NotImportableError(message, did_you_mean(part, {*own_modules(), *_ROOTS}))
    message = f"{path!r} leads nowhere: {what} {holder!r} has no {part!r}"
    return NotImportableError(message, suggest(part, names, "names"))


def _attribute(path: str, holder: Any, name: str) -> Any:
    """An attribute, None if there is none; a module may import on demand and fail at that."""
    try:
        return getattr(holder, name, None)
    except (Exception, SystemExit) as error:
        raise _failed_import(path, getattr(holder, "__name__", name), error) from error


def _public_names(holder: Any) -> list[str]:
    names = getattr(holder, "__all__", None) or dir(holder)
    names = [name for name in names if not name.startswith("_")]
    if hasattr(holder, "__path__"):
        names += [module.name for module in pkgutil.iter_modules(holder.__path__)]
    return sorted(set(names))


def _module(path: str, name: str) -> ModuleType | None:
    """Imports a module; None if there is none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise _failed_import(path, name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed_import(path, name, error) from error


def _failed_import(path: str, module: str, error: BaseException) -> NotImportableError:
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if missing and missing.split(".")[0] == "barrage":
        return NotImportableError(
            f"{path!r}: module {module!r} imports {missing!r}, the package of old",
            f"write 'import barrage_mlflow{missing.removeprefix('barrage')}' there instead",
        )
    what = f"{type(error).__name__}: {one_line(error)}"
    return NotImportableError(f"{path!r}: importing module {module!r} raised {what}")
