"""The project's own code: where it is looked for, and which modules belong to it."""

from __future__ import annotations

import importlib.util
import pkgutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.paths import walk

ENGINE = ("keras", "tensorflow", "tf", "barrage", "barrage_mlflow")
"""First parts of paths that lead to Keras and to the engine."""
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}


def add_project_path(document: Document) -> None:
    """Makes the project's own modules importable.

    The folder of the config file and the working folder come after the standard library, which
    no file beside a config can take the place of, and before what is installed. A folder that is
    on the Python path already stays where it is.

    Args:
        document: the config; one that was given as a dict has no folder.

    Example:
        >>> import os, sys
        >>> add_project_path(Document({}))
        >>> os.getcwd() in sys.path or "" in sys.path
        True
    """
    sys.path[:] = search_path(document.folders)


def search_path(folders: Iterable[str]) -> list[str]:
    """The Python path with a project's folders in it.

    Example:
        >>> "/somewhere" in search_path(["/somewhere"])
        True
    """
    standard = {*_STANDARD, str(sysconfig.get_config_var("DESTSHARED"))}
    after = 1 + max((i for i, entry in enumerate(sys.path) if entry in standard), default=-1)
    known = {str(Path(entry or ".").absolute()) for entry in sys.path}
    added = [folder for folder in folders if folder not in known]
    return [*sys.path[:after], *added, *sys.path[after:]]


def code_modules(config: Mapping[str, Any]) -> list[str]:
    """The top-level modules of the project's own code that a resolved config imports.

    Args:
        config: a resolved config.

    Returns:
        Their names, sorted.

    Example:
        >>> code_modules({"model": {"network": {"import": "keras.applications.MobileNetV2"}}})
        []
    """
    names = [name for path, name in walk(config) if path[-1:] == ("import",)]
    tops = {name.split(".")[0] for name in names if isinstance(name, str) and "." in name}
    return sorted(top for top in tops if own_source(top))


def own_source(module: str) -> Path | None:
    """Where a top-level module of the project's own lies: a file, or the folder of a package.

    Keras, TensorFlow, Barrage, the standard library and whatever is installed as a package
    beside them are not the project's own.

    Args:
        module: its name.

    Returns:
        None for any other, and for one that is in no file.

    Example:
        >>> own_source("json") is own_source("numpy") is None
        True
    """
    if module in ENGINE or module in sys.stdlib_module_names:
        return None
    source = module_source(module)
    return None if source is None or is_installed(str(source)) else source


def module_source(module: str) -> Path | None:
    """Where a top-level module lies: a file, or the folder of a package; None if it is in no file.

    Example:
        >>> module_source("json").name
        'json'
    """
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # a module made by hand has no spec
        return None
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec else [""]
    source = Path(places[0]).resolve()
    return source if places[0] and source.exists() else None


def own_modules(path: Iterable[str]) -> set[str]:
    """Every top-level module on a Python path that is neither installed nor built in.

    Example:
        >>> "json" in own_modules(sys.path)
        False
    """
    folders = [entry for entry in path if not is_installed(entry)]
    return modules_in(folders) - sys.stdlib_module_names


def modules_in(folders: Iterable[str]) -> set[str]:
    """The names of the modules and packages in some folders.

    Example:
        >>> import json
        >>> "decoder" in modules_in(json.__path__)
        True
    """
    return {module.name for module in pkgutil.iter_modules(list(folders))}


def is_installed(place: str) -> bool:
    """Whether a file or folder is of the standard library or of an installed package.

    Example:
        >>> import json
        >>> is_installed(json.__file__), is_installed("/usr/src/app/shop.py")
        (True, False)
    """
    path = Path(place)
    return bool({*path.parts} & _INSTALLED) or any(map(path.is_relative_to, _STANDARD))
