"""Finds what a packaged model must bring along: pinned packages and the project's own code."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from barrage_mlflow.config.project import code_modules, own_source

# What scoring imports of its own; a test compares the list with what a scoring process loads.
_SCORING = ("keras", "mlflow", "numpy", "pandas", "pyarrow", "tensorflow")

# Several workers of MLflow's server answer twenty times slower without it. It is not on Windows,
# where a model may be trained that is served elsewhere.
_UVLOOP = 'uvloop>=0.21,<1; sys_platform != "win32"'


def requirements(code: Iterable[Path] = (), images: bool = False) -> list[str]:
    """Return what scoring needs, pinned to what is installed here.

    Args:
        code: files and folders of the project's own code, whose installed packages are added.
        images: whether the engine itself decodes images.

    Example:
        >>> [line for line in requirements() if line.startswith("keras==")]  # doctest: +ELLIPSIS
        ['keras==3...']
    """
    names = {*_SCORING, *(["PIL"] if images else [])}
    for source in code:
        names |= _imports(source)
    owners = metadata.packages_distributions()
    found = {each for name in names - {"barrage_mlflow", "uvloop"} for each in owners.get(name, ())}
    return sorted([*filter(None, map(_pin, found)), _UVLOOP])


def project_code(config: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders of the project's own code that a config leads to.

    Args:
        config: a resolved config.

    Returns:
        The folder of each package and the file of each single module, followed through their
        imports; whatever was installed and the standard library are left out.

    Example:
        >>> project_code({"dataset": {"loader": {"import": "KeySelector"}}})
        []
    """
    sources = set()
    waiting, seen = set(code_modules(config)), {"__main__"}
    while waiting := waiting - seen:
        name = waiting.pop()
        seen.add(name)
        if source := own_source(name):
            sources.add(source)
            waiting |= _imports(source)
    return sorted(sources)


def _imports(source: Path) -> set[str]:
    """Return the top-level modules that a file, or the files of a folder, import."""
    found = set()
    for file in source.rglob("*.py") if source.is_dir() else [source]:
        tree: ast.AST = ast.Module([], [])
        with suppress(SyntaxError, ValueError):  # not Python, or not today's
            tree = ast.parse(file.read_bytes())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def _pin(distribution: str) -> str:
    """Return the requirement that installs just this again; nothing for a local folder's."""
    found = metadata.distribution(distribution)
    name = found.metadata["Name"]
    origin = json.loads(found.read_text("direct_url.json") or "{}")
    if vcs := origin.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{origin['url']}@{vcs['commit_id']}"
    if "dir_info" in origin:  # code of this machine, which `project_code` finds
        return ""
    # A wheel's file on this machine is taken to be the release that its version names.
    if origin and not origin["url"].startswith("file:"):
        return f"{name} @ {origin['url']}"
    # A build's own label, as in 2.21.0+cu128, is known to no package index.
    return f"{name}=={found.version.partition('+')[0]}"
