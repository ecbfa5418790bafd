"""The project's own code: where it is found, and which modules belong to it."""

from __future__ import annotations

import importlib.util
import pkgutil
import site
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import Document

_ENGINE = ("keras", "tensorflow", "tf", "barrage", "barrage_mlflow")


def add_project_path(document: Document) -> None:
    """Makes the project's own modules importable.

    The folder of the config file comes first on the Python path, then the working folder. A
    folder that is there already stays where it is.

    Args:
        document: the config; one that was given as a dict has no folder.

    Example:
        >>> import os, sys
        >>> add_project_path(Document({}))
        >>> os.getcwd() in sys.path or "" in sys.path
        True
    """
    folders = [Path.cwd()]
    if document.source:
        folders.insert(0, Path(document.source).absolute().parent)
    known = {Path(entry or ".").absolute() for entry in sys.path}
    sys.path[:0] = [str(folder) for folder in dict.fromkeys(folders) if folder not in known]


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
    return sorted(top for top in tops if is_own(top))


def own_modules() -> set[str]:
    """Every top-level module on the Python path that is neither installed nor built in.

    Example:
        >>> "json" in own_modules()
        False
    """
    folders = [entry for entry in sys.path if not _is_installed(entry)]
    return {module.name for module in pkgutil.iter_modules(folders)} - sys.stdlib_module_names


def _import_strings(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("import"), str):
            yield value["import"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _import_strings(item)


def is_own(top: str) -> bool:
    """Whether a top-level module is the project's: neither installed, built in nor the engine.

    Example:
        >>> is_own("json"), is_own("keras")
        (False, False)
    """
    if top in _ENGINE or top in sys.stdlib_module_names:
        return False
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        # A module made by hand has no spec; it stands in no file that could be kept.
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
