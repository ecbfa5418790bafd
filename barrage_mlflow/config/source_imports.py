"""Which import of a module would fail, as far as source code tells."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable

from barrage_mlflow.config.source_code import (
    BrokenModuleError,
    CannotTellError,
    NotThereError,
    SourceModule,
    find_module,
    find_spec,
    source_of,
)


def check_imports(module: SourceModule, is_own: Callable[[str], bool]) -> None:
    """Finds the import that would fail if a module were imported, in it and in what it imports.

    Only what is imported outright is looked at: not within a condition, a ``try`` or a function.

    Args:
        module: the module.
        is_own: tells of a top-level name whether it is the project's own; others are not read.

    Raises:
        BrokenModuleError: holding the error that Python would raise.

    Example:
        >>> check_imports(find_module("barrage_mlflow.errors"), lambda top: False)
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        here = waiting.pop()
        if here.file in seen:
            continue
        seen.add(here.file)
        for statement in here.tree.body:
            if isinstance(statement, ast.Import):
                names = [(alias.name, "") for alias in statement.names]
            elif isinstance(statement, ast.ImportFrom) and statement.module != "__future__":
                base = source_of(statement, here)
                names = [(base, alias.name) for alias in statement.names]
            else:
                continue
            for path, name in names:
                try:
                    found = _imported_module(path, name, is_own)
                except CannotTellError:
                    continue
                if found is not None:
                    waiting.append(found)


def _imported_module(path: str, name: str, is_own: Callable[[str], bool]) -> SourceModule | None:
    """The own module that an import leads to; None for one that is not the project's."""
    top = path.partition(".")[0]
    if find_spec(top) is None and top not in sys.modules:
        missing = ModuleNotFoundError(f"No module named {top!r}", name=top)
        raise BrokenModuleError(missing)
    if not is_own(top):
        return None
    found = find_module(path)
    if found is None:
        raise BrokenModuleError(ModuleNotFoundError(f"No module named {path!r}", name=path))
    if name in ("", "*"):
        return found
    try:
        found.lookup(name)
    except NotThereError:
        inner = find_module(f"{path}.{name}")
        if inner is None:
            message = f"cannot import name {name!r} from {path!r} ({found.file})"
            raise BrokenModuleError(ImportError(message, name=path)) from None
        return inner
    return found
