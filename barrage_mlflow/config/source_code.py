"""Python modules as their source tells them: what stands under a name, without running any of it.

Checking a config must not run its project: that would import TensorFlow, take seconds and have
effects. What only running can tell (a name that is made at run time, a compiled module) ends in
`CannotTellError`, and the caller imports after all.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TypeAlias

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Binding: TypeAlias = ast.ClassDef | FunctionNode | ast.expr | str | None
"""What a module binds to a name: a class, a function, the expression that is assigned, the path
that is imported, or None for what the source does not show."""

_MAKES_NAMES = ("globals(", "__dict__", "sys.modules", "setattr(")
_HOPS = 20
"""Imports that are followed from module to module before giving up."""


class CannotTellError(Exception):
    """Only running the code tells."""


class BrokenModuleError(Exception):
    """A module that cannot be imported, as far as its source shows.

    Attributes:
        error: what importing it would raise.
    """

    def __init__(self, error: SyntaxError | ImportError) -> None:
        super().__init__(str(error))
        self.error = error


class NotThereError(Exception):
    """A path that leads nowhere.

    Attributes:
        holder: the path up to where it still leads; empty where its first module is not there.
        part: the name that is not there.
        names: what the holder does hold.
    """

    def __init__(self, holder: str, part: str, names: Sequence[str] = ()) -> None:
        super().__init__(f"{holder}.{part}")
        self.holder = holder
        self.part = part
        self.names = tuple(names)


@dataclass(frozen=True, eq=False)
class SourceModule:
    """A module or package that is written in Python.

    Attributes:
        name: its dotted name.
        file: its file; empty for a package without ``__init__.py``.
        tree: its syntax tree.
        text: its source.
        folders: of a package, where its modules are; else None.
    """

    name: str
    file: str
    tree: ast.Module = field(repr=False)
    text: str = field(repr=False)
    folders: tuple[str, ...] | None

    @cached_property
    def bindings(self) -> dict[str, list[tuple[Binding, bool]]]:
        """What the module binds, name by name, each with whether that depends on a condition."""
        found: dict[str, list[tuple[Binding, bool]]] = {}
        for name, binding, conditional in _bindings(self.tree.body, self, False):
            found.setdefault(name, []).append((binding, conditional))
        return found

    def lookup(self, name: str) -> Binding:
        """What is bound to a name.

        Raises:
            NotThereError: nothing is.
            CannotTellError: more than one thing, or what only running tells.
        """
        found = self.bindings.get(name)
        if found:
            binding, conditional = found[-1]
            if binding is None or (conditional and len(found) > 1):
                raise CannotTellError(f"{self.name}.{name}")
            return binding
        for star, _ in self.bindings.get("*", ()):
            other = find_module(str(star))
            if other is None:
                raise CannotTellError(f"{self.name}.{name}")
            try:
                return other.lookup(name)
            except NotThereError:
                continue
        if "__getattr__" in self.bindings or any(mark in self.text for mark in _MAKES_NAMES):
            raise CannotTellError(f"{self.name}.{name}")
        raise NotThereError(self.name, name, self.public_names())

    def public_names(self) -> list[str]:
        """The names that one could mean in it: what it binds, and the modules of a package."""
        names = {name for name in self.bindings if not name.startswith("_") and name != "*"}
        return sorted(names | {module.name for module in pkgutil.iter_modules(self.folders or ())})


@dataclass(frozen=True)
class Found:
    """What a path means: the module that it stands in, and its binding there.

    Attributes:
        path: where it is defined, which may be elsewhere than where it was found.
        module: None for something of Keras, whose `path` is below ``keras``.
        binding: a class, a function or an expression; None for a module or for Keras's.
    """

    path: str
    module: SourceModule | None
    binding: ast.ClassDef | FunctionNode | ast.expr | None


def find(path: str, hops: int = _HOPS) -> Found:
    """Finds what a dotted path means, following imports from module to module.

    Raises:
        NotThereError: it leads nowhere.
        CannotTellError: only running the code tells.
        BrokenModuleError: a module on the way is no Python.

    Example:
        >>> find("barrage_mlflow.dataset.KeySelector").path
        'barrage_mlflow.dataset.components.loader.KeySelector'
    """
    if hops == 0 or path.startswith("tensorflow.python."):
        raise CannotTellError(path)
    for root in ("keras.", "tensorflow.keras."):
        if path.startswith(root):
            return Found("keras." + path.removeprefix(root), None, None)
    first, *parts = path.split(".")
    module = find_module(first)
    if module is None:
        raise NotThereError("", first)
    for i, part in enumerate(parts):
        rest = parts[i + 1 :]
        # As in "from a.b import C": a module on the way, but rather what the module holds last.
        inner = None if not rest else find_module(f"{module.name}.{part}")
        if inner is None:
            try:
                binding = module.lookup(part)
            except NotThereError:
                inner = find_module(f"{module.name}.{part}")
                if inner is None:
                    raise
            else:
                if binding == f"{module.name}.{part}":
                    inner = find_module(binding)
                if inner is None:
                    return _follow(module, part, binding, rest, hops)
        module = inner
    return Found(module.name, module, None)


def _follow(
    module: SourceModule, name: str, binding: Binding, rest: Sequence[str], hops: int
) -> Found:
    if isinstance(binding, str):
        return _elsewhere(".".join([binding, *rest]), hops)
    if isinstance(binding, ast.Name | ast.Attribute) and not rest:
        return _elsewhere(qualified(module, binding), hops)
    if not rest:
        return Found(f"{module.name}.{name}", module, binding)
    raise CannotTellError(f"{module.name}.{name}.{'.'.join(rest)}")


def _elsewhere(path: str, hops: int) -> Found:
    try:
        return find(path, hops - 1)
    except NotThereError as error:
        # The import itself would fail; what it says then is best said by Python.
        raise CannotTellError(path) from error


def qualified(module: SourceModule, expression: ast.expr) -> str:
    """The whole path of a name as it is written in a module, ``layers.Dense``.

    Raises:
        CannotTellError: it is no plain name.
    """
    parts: list[str] = []
    while isinstance(expression, ast.Attribute):
        parts.insert(0, expression.attr)
        expression = expression.value
    if not isinstance(expression, ast.Name):
        raise CannotTellError(ast.dump(expression))
    if expression.id not in module.bindings and "*" not in module.bindings:
        return ".".join(["builtins", expression.id, *parts])
    try:
        binding = module.lookup(expression.id)
    except NotThereError as error:
        raise CannotTellError(expression.id) from error
    first = binding if isinstance(binding, str) else f"{module.name}.{expression.id}"
    return ".".join([first, *parts])


def find_module(name: str) -> SourceModule | None:
    """The source of a module; None if there is no module of that name.

    Raises:
        CannotTellError: it is not written in Python, or was made by hand.
        BrokenModuleError: it is no Python.

    Example:
        >>> find_module("json.decoder").name, find_module("json.no_such")
        ('json.decoder', None)
    """
    parent, _, last = name.rpartition(".")
    folders: tuple[str, ...] | None = None
    if parent:
        package = find_module(parent)
        if package is None or package.folders is None:
            return None
        folders = package.folders
    spec = find_spec(name, folders)
    if spec is None:
        if name in sys.modules:
            raise CannotTellError(name)
        return None
    places = spec.submodule_search_locations
    if places is not None and not spec.has_location:
        # A package without __init__.py, whose own list of places needs the imported parent too.
        beside = [Path(folder, last) for folder in (sys.path if folders is None else folders)]
        inside = tuple(str(place) for place in beside if place.is_dir())
        return SourceModule(name, "", ast.Module([], []), "", inside)
    if not spec.has_location or spec.origin is None or not spec.origin.endswith(".py"):
        raise CannotTellError(name)
    return _read(name, spec.origin, None if places is None else tuple(places))


def find_spec(name: str, folders: Sequence[str] | None = None) -> ModuleSpec | None:
    """Where a module stands; unlike `importlib.util.find_spec` it imports no parent package.

    Example:
        >>> find_spec("json").name, find_spec("no_such_module")
        ('json', None)
    """
    key = (name, None if folders is None else tuple(folders))
    if _SPECS.kept is not None and key in _SPECS.kept:
        return _SPECS.kept[key]
    found: ModuleSpec | None = None
    for finder in sys.meta_path:
        try:
            found = finder.find_spec(name, None if folders is None else list(folders))
        except KeyError:
            # Of a package without __init__.py within another, it asks for the imported parent.
            found = ModuleSpec(name, None, is_package=True)
        if found is not None:
            break
    if _SPECS.kept is not None:
        _SPECS.kept[key] = found
    return found


class _Specs(threading.local):
    """Where each module was found; None where that is not to be remembered."""

    kept: dict[tuple[str, tuple[str, ...] | None], ModuleSpec | None] | None = None


_SPECS = _Specs()


@contextmanager
def one_look() -> Iterator[None]:
    """Looks for each module once: while one config is checked, none comes or goes.

    Example:
        >>> with one_look():
        ...     find_spec("json") is find_spec("json")
        True
    """
    before, _SPECS.kept = _SPECS.kept, {}
    try:
        yield
    finally:
        _SPECS.kept = before


_READ: dict[tuple[str, str], tuple[tuple[int, int], SourceModule]] = {}


def _read(name: str, file: str, folders: tuple[str, ...] | None) -> SourceModule:
    """The module in a file, which is read again once the file changes."""
    try:
        status = Path(file).stat()
        stamp = (status.st_mtime_ns, status.st_size)
        if (name, file) not in _READ or _READ[name, file][0] != stamp:
            content = Path(file).read_bytes()
            tree = ast.parse(content, file)
            module = SourceModule(name, file, tree, content.decode("utf-8", "replace"), folders)
            _READ[name, file] = (stamp, module)
    except SyntaxError as error:
        raise BrokenModuleError(error) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CannotTellError(file) from error
    return _READ[name, file][1]


def _bindings(
    body: Sequence[ast.stmt], module: SourceModule, conditional: bool
) -> Iterator[tuple[str, Binding, bool]]:
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name, statement, conditional
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for name, path in imported(statement, module):
                yield name, path, conditional
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For):
            yield from ((*pair, conditional) for pair in _assigned(statement))
        if isinstance(statement, ast.If) and _is_never_run(statement.test):
            yield from _bindings(statement.orelse, module, conditional)
        elif isinstance(statement, ast.If | ast.Try | ast.For | ast.While):
            handlers = statement.handlers if isinstance(statement, ast.Try) else []
            for inner in (statement.body, *(h.body for h in handlers), statement.orelse):
                yield from _bindings(inner, module, True)
        elif isinstance(statement, ast.With):
            yield from _bindings(statement.body, module, conditional)


def _assigned(
    statement: ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For,
) -> Iterator[tuple[str, Binding]]:
    value = statement.value if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, value if node is target else None


def imported(
    statement: ast.Import | ast.ImportFrom, module: SourceModule
) -> Iterator[tuple[str, str]]:
    """The names that an import binds, each with the path that it means; ``*`` with its module."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, alias.name) if alias.asname else (top, top)
        return
    base = source_of(statement, module)
    for alias in statement.names:
        path = base if alias.name == "*" else f"{base}.{alias.name}"
        yield alias.asname or alias.name, path


def source_of(statement: ast.ImportFrom, module: SourceModule) -> str:
    """The module that a ``from … import`` imports from, its dots resolved."""
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    up = statement.level - (1 if module.folders is not None else 0)
    parts = parts[: len(parts) - up]
    return ".".join([*parts, *([statement.module] if statement.module else [])])


def _is_never_run(test: ast.expr) -> bool:
    """Whether a condition holds for type checkers alone, or for a script alone."""
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        return test.left.id == "__name__"
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"
