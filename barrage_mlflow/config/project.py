"""The project's own code: where it is looked for, and which modules belong to it."""

from __future__ import annotations

import importlib.util
import pkgutil
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import Document

_ENGINE = ("keras", "tensorflow", "tf", "barrage", "barrage_mlflow")


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
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    standard.add(str(sysconfig.get_config_var("DESTSHARED")))
    after = 1 + max((i for i, entry in enumerate(sys.path) if entry in standard), default=-1)
    known = {str(Path(entry or ".").absolute()) for entry in sys.path}
    added = [folder for folder in folders if folder not in known]
    return [*sys.path[:after], *added, *sys.path[after:]]


def code_modules(config: Mapping[str, Any]) -> list[str]:
    """The top-level modules of the project's own code that a resolved config imports.

    Keras, TensorFlow, Barrage, the standard library and whatever is installed as a package
    beside them are not the project's own.

    Args:
        config: a resolved config.

    Returns:
        Their names, sorted.

    Example:
        >>> code_modules({"model": {"network": {"import": "keras.applications.MobileNetV2"}}})
        []
    """
    tops = {name.split(".")[0] for name in _import_strings(config) if "." in name}
    return sorted(top for top in tops if _is_own(top))


def own_modules(path: Iterable[str]) -> set[str]:
    """Every top-level module on a Python path that is neither installed nor built in.

    Example:
        >>> "json" in own_modules(sys.path)
        False
    """
    folders = [entry for entry in path if not _is_installed(entry)]
    return modules_in(folders) - sys.stdlib_module_names


def modules_in(folders: Iterable[str]) -> set[str]:
    """The names of the modules and packages in some folders.

    Example:
        >>> import json
        >>> "decoder" in modules_in(json.__path__)
        True
    """
    return {module.name for module in pkgutil.iter_modules(list(folders))}


def _import_strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("import"), str):
            yield value["import"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _import_strings(item)


def _is_own(top: str) -> bool:
    if top in _ENGINE or top in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        # A module made by hand has no spec; it is in no file that could be kept.
        return False
    if spec is None:
        return False
    origins = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return not any(_is_installed(origin) for origin in origins)


def _is_installed(place: str) -> bool:
    paths = sysconfig.get_paths()
    homes = {paths[name] for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    homes |= {*site.getsitepackages(), site.getusersitepackages()}
    return any(Path(place).is_relative_to(home) for home in homes)
