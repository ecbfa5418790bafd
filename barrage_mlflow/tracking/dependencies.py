"""Finds what a packaged model must bring along: pinned packages and the project's own code."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path

_ENGINE = "barrage_mlflow"
# What scoring imports of its own; a test compares the list with what a scoring process loads.
_SCORING = ("keras", "mlflow", "numpy", "pandas", "pyarrow", "tensorflow")

# Several workers of MLflow's server answer twenty times slower without it. It is not on Windows,
# where a model may be trained that is served elsewhere.
_UVLOOP = "uvloop"
_UVLOOP_RANGE = ">=0.21,<1"
_NOT_WINDOWS = '; sys_platform != "win32"'


def requirements(modules: Sequence[str] = ()) -> list[str]:
    """Return what scoring needs, pinned to what is installed here.

    Args:
        modules: top-level modules of the project; the installed packages that they, or modules
            beside them, import are added.

    Example:
        >>> [line for line in requirements() if line.startswith("keras==")]  # doctest: +ELLIPSIS
        ['keras==3...']
    """
    names = set(_SCORING)
    for source in _project_sources(modules).values():
        names |= _imports(source) - {_ENGINE, "barrage"} - sys.stdlib_module_names
    pins = {}
    for name in sorted(names):
        for distribution in _distributions(name):
            key = _canonical(distribution)
            if key != _UVLOOP and (pin := _pin(distribution)):
                pins[key] = pin
    pins[_UVLOOP] = _pin(_UVLOOP, otherwise=_UVLOOP + _UVLOOP_RANGE) + _NOT_WINDOWS
    return [pins[key] for key in sorted(pins)]


def project_code(modules: Sequence[str]) -> list[str]:
    """Return the files and folders of the project's own code.

    Args:
        modules: top-level modules of the project.

    Returns:
        The folder of each package and the file of each single module, followed through their
        imports; whatever was installed and the standard library are left out.

    Example:
        >>> project_code(["json", "numpy"])
        []
    """
    return sorted(str(path) for path in _project_sources(modules).values())


def _project_sources(modules: Sequence[str]) -> dict[str, Path]:
    sources: dict[str, Path] = {}
    waiting, seen = [name.partition(".")[0] for name in modules], {_ENGINE, "barrage", "__main__"}
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if source := _source(name):
            sources[name] = source
            waiting += _imports(source)
    return sources


def _source(name: str) -> Path | None:
    """Return where a top-level module of the project's own lies; nothing for an installed one."""
    if name in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [*(spec.submodule_search_locations or ()), spec.origin or ""]
    path = Path(places[0]).resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    return None if installed or not places[0] or not path.exists() else path


def _imports(source: Path) -> set[str]:
    """Return the top-level modules that a file, or the files of a folder, import."""
    files = source.rglob("*.py") if source.is_dir() else [source]
    return {name for file in files for name in _file_imports(file)}


def _file_imports(file: Path) -> Iterator[str]:
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):  # not Python, or not today's
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def _distributions(module: str) -> list[str]:
    """Return the distributions that a top-level module comes from; several may share ``google``."""
    with suppress(metadata.PackageNotFoundError):
        # Most are called like their module. The whole map takes seconds to make.
        return [metadata.distribution(module).metadata["Name"]]
    return sorted(set(_installed().get(module, ())))


@cache
def _installed() -> Mapping[str, Sequence[str]]:
    return metadata.packages_distributions()


def _pin(distribution: str, otherwise: str = "") -> str:
    """Return the requirement that installs just this again; nothing for a local folder's."""
    try:
        found = metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return otherwise
    name = found.metadata["Name"]
    if text := found.read_text("direct_url.json"):
        origin = json.loads(text)
        if vcs := origin.get("vcs_info"):
            return f"{name} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
        if origin["url"].startswith("file:"):
            # A folder of this machine is code, which `project_code` finds; a wheel's file is
            # taken to be the release that its version names.
            return "" if "dir_info" in origin else f"{name}=={_public(found.version)}"
        return f"{name} @ {origin['url']}"
    return f"{name}=={_public(found.version)}"


def _public(version: str) -> str:
    """Drop a build's own label (``2.21.0+cu128``), which no package index knows."""
    return version.partition("+")[0]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
