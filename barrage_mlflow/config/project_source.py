"""The project's modules as their source shows them: parsed, never run.

Checking a config must not run its project: that would import TensorFlow, take seconds and have
effects. Only what is plain to see is read: classes with one base, functions and imports, at the
top of a module. All else ends in `UnreadableError`, and the caller imports after all.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.import_targets import (
    ANYTHING,
    Accepts,
    Target,
    is_json,
    leads_nowhere,
    no_module,
)
from barrage_mlflow.config.project import ENGINE, modules_in, search_path
from barrage_mlflow.errors import ImportPathError

Names = dict[str, ast.AST | str | None]
"""What each name is bound to at last: its definition or value; of an import, the path that it
leads to; None where only running the code shows it. With ``"*"``, there may be further names."""

_OBJECT = Target("object", "class")
_MAKES_NAMES = ("globals(", "__dict__", "sys.modules", "setattr(", "__getattr__")
_KEEPS_THE_SIGNATURE = {"cache", "override", "register_keras_serializable"}
"""Decorators after which a class or function still takes what its source shows."""


class UnreadableError(Exception):
    """Only importing the code can answer."""


class SourceReader:
    """Reads modules, each once.

    Args:
        folders: a project's, which are looked in besides the Python path.

    Attributes:
        search_path: the Python path with these folders in it.
        names: called with a module, what it binds; None if there is no module of that name. Raises
            `UnreadableError` for one that is not written in Python.

    Example:
        >>> reader = SourceReader()
        >>> reader.target("json.decoder.JSONDecoder").accepts.names[:2]
        ('object_hook', 'parse_float')
        >>> names = reader.names("json.tool")
        >>> names["json"], type(names["main"]).__name__
        ('json', 'FunctionDef')
    """

    def __init__(self, folders: Sequence[str] = ()) -> None:
        self.search_path = search_path(folders)
        self.names = functools.cache(self._read)

    def target(self, path: str) -> Target:
        """What a path means; where its arguments cannot be read, it accepts `ANYTHING`.

        Raises:
            ImportPathError: it leads nowhere.
            UnreadableError: only importing it can answer.
        """
        path = path.replace("tensorflow.keras.", "keras.", 1)
        known = keras_index.at(path)
        if known is not None:
            return known
        here, *parts = path.split(".")
        if here in ENGINE:  # all that counts of it is in the index
            raise UnreadableError(path)
        if self.names(here) is None:
            raise no_module(path, self.search_path)
        # As in "from a.b import C": modules on the way, but rather what the last of them binds.
        while len(parts) > 1 and self.names(f"{here}.{parts[0]}") is not None:
            here = f"{here}.{parts.pop(0)}"
        names = self.names(here) or {}
        if parts and parts[0] in names:
            return self._bound(here, names[parts[0]], parts)
        if self.names(path) is not None:
            return Target(path, "a module")
        if "*" in names:
            raise UnreadableError(path)
        public = {name for name in names if name[0] != "_"} | modules_in(self.folders(here))
        raise leads_nowhere(path, here, parts[0], sorted(public))

    def folders(self, package: str) -> list[str]:
        """Where the modules of a package are; none for a plain module."""
        spec = self._spec(package)
        return list(spec.submodule_search_locations or ()) if spec else []

    def _spec(self, module: str) -> ModuleSpec | None:
        above, _, last = module.rpartition(".")
        try:
            spec = PathFinder.find_spec(last, self.folders(above) if above else self.search_path)
            return importlib.util.find_spec(last) if spec is None and not above else spec
        except (ImportError, ValueError) as error:  # a module made by hand has no spec
            raise UnreadableError(module) from error

    def _read(self, module: str) -> Names | None:
        spec = self._spec(module)
        if spec is None or spec.origin is None:
            return None if spec is None else {}  # a folder alone is a package too
        package = module if spec.submodule_search_locations else module.rpartition(".")[0]
        try:
            text = importlib.util.decode_source(Path(spec.origin).read_bytes())
            names = _names(ast.parse(text).body, package)
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            raise UnreadableError(module) from error
        if any(word in text for word in _MAKES_NAMES):
            names["*"] = None
        # "from . import parts" in a package binds a module of its own, which is found anyway.
        return {name: node for name, node in names.items() if node != f"{module}.{name}"}

    def _bound(self, module: str, node: ast.AST | str | None, parts: list[str]) -> Target:
        """What a name of a module is bound to, or what is below that."""
        path = ".".join([module, *parts])
        if isinstance(node, str):
            return self._elsewhere(".".join([node, *parts[1:]]))
        if len(parts) == 1 and isinstance(node, ast.ClassDef):
            return self._class(path, node, module)
        if len(parts) == 1 and isinstance(node, ast.FunctionDef):
            returns = ast.unparse(node.returns) if node.returns else ""
            return Target(path, "function", _arguments(node), doc=_doc(node), returns=returns)
        raise UnreadableError(path)

    def _elsewhere(self, path: str) -> Target:
        try:
            return self.target(path)
        except (ImportPathError, RecursionError) as error:
            # The import itself would fail, and Python's own message is the best one then.
            raise UnreadableError(path) from error

    def _class(self, path: str, node: ast.ClassDef, module: str) -> Target:
        bases = [ast.unparse(base) for base in node.bases]
        bases = [base for base in bases if base not in ("object", "ABC", "abc.ABC")]
        parent = self._elsewhere(f"{module}.{bases[0]}") if bases else _OBJECT
        if len(bases) > 1 or node.keywords or parent.form != "class":
            raise UnreadableError(path)
        own = _names(node.body, module)
        declared = parent.network_param_names
        if "network_param_names" in own:
            value = _literal(own["network_param_names"])
            declared = tuple(value) if isinstance(value, list | tuple) else None
        return Target(
            path,
            "class",
            _constructor(node, own, parent.accepts),
            parent.kinds,
            tuple(name for name in parent.abstract if name not in own),
            doc=_doc(node),
            network_param_names=declared,
        )


def _constructor(node: ast.ClassDef, own: Names, inherited: Accepts) -> Accepts:
    """The arguments of a class that defines some names and derives from one with others."""
    if _is_decorated(node) or "__new__" in own:
        return ANYTHING
    if "__init__" not in own:
        return inherited
    init = own["__init__"]
    if not isinstance(init, ast.FunctionDef):
        return ANYTHING
    accepts = _arguments(init, bound=True)
    call = _handed_on(init)
    if call is None:
        return accepts
    if ANYTHING in (accepts, inherited):
        return ANYTHING
    given = {word.arg for word in call.keywords if word.arg}
    given |= {*inherited.positional[: len(call.args)], *accepts.names}
    below = inherited.without(given)
    return replace(
        below,
        positional=accepts.positional,
        names=accepts.names + below.names,
        required=accepts.required + below.required,
        any_count=accepts.any_count,
        types={**accepts.types, **below.types},
        defaults={**accepts.defaults, **below.defaults},
    )


def _handed_on(init: ast.FunctionDef) -> ast.Call | None:
    """The call of the next constructor, if it alone gets the ``**kwargs`` of this one."""
    rest = init.args.kwarg.arg if init.args.kwarg else None
    uses = [node for node in ast.walk(init) if isinstance(node, ast.Name) and node.id == rest]
    for call in ast.walk(init):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            stars = [word.value for word in call.keywords if word.arg is None]
            if len(uses) == 1 and stars == uses:
                return call
    return None


def _arguments(function: ast.FunctionDef, *, bound: bool = False) -> Accepts:
    """The arguments of a function; of a method that is bound, without the first."""
    if _is_decorated(function):
        return ANYTHING
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = dict(zip(positional[::-1], given.defaults[::-1], strict=False))
    by_name = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    defaults |= {argument: default for argument, default in by_name if default}
    positional = positional[1:] if bound else positional
    every = [*positional, *given.kwonlyargs]
    values = {argument.arg: _literal(default) for argument, default in defaults.items()}
    return Accepts(
        positional=tuple(one.arg for one in positional),
        names=tuple(one.arg for one in every if one not in given.posonlyargs),
        required=tuple(one.arg for one in every if one not in defaults),
        any_count=given.vararg is not None,
        any_name=given.kwarg is not None,
        types={one.arg: ast.unparse(one.annotation) for one in every if one.annotation},
        defaults={name: value for name, value in values.items() if is_json(value)},
    )


def _is_decorated(node: ast.ClassDef | ast.FunctionDef) -> bool:
    """Whether a decorator may change what a class or function takes."""
    calls = [ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list]
    return not {call.rpartition(".")[2] for call in calls} <= _KEEPS_THE_SIGNATURE


def _literal(node: ast.AST | str | None) -> Any:
    """The value of an expression; ``...`` where it is no literal."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else ...
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ...


def _doc(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n")[0]


def _names(body: list[ast.stmt], package: str) -> Names:
    """What the statements of a module or class bind."""
    found: Names = {}
    for statement in body:
        match statement:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = value
            case ast.Import() | ast.ImportFrom():
                found |= imported(statement, package)
            case _:
                # What an "if", a loop and the like bind depends on how they run.
                found |= dict.fromkeys(_bound_within(statement))
    return found


def imported(statement: ast.Import | ast.ImportFrom, package: str) -> dict[str, str]:
    """What an import binds: by name, the path of what it is.

    Args:
        statement: anywhere in a module.
        package: that the module is in, for a relative import.

    Example:
        >>> (statement,) = ast.parse("from a.b import c as d").body
        >>> imported(statement, "")
        {'d': 'a.b.c'}
    """
    if isinstance(statement, ast.ImportFrom):
        source = statement.module or ""
        if statement.level:
            above = package.rsplit(".", statement.level - 1)[0]
            source = f"{above}.{source}".rstrip(".")
        return {one.asname or one.name: f"{source}.{one.name}" for one in statement.names}
    # "import a.b" binds a.
    paths = [
        (one.asname, one.name if one.asname else one.name.split(".")[0]) for one in statement.names
    ]
    return {name or path: path for name, path in paths}


def _bound_within(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name.split(".")[0]
