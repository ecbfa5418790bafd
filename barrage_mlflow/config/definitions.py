"""Classes and functions as their source tells them: kind, params and what is still abstract."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from barrage_mlflow.config import keras_index, source_code
from barrage_mlflow.config.signatures import Accepts, is_json
from barrage_mlflow.config.source_code import (
    CannotTellError,
    FunctionNode,
    NotThereError,
    SourceModule,
)

BARRAGE_BASES = {
    "loader": "barrage_mlflow.dataset.RecordLoader",
    "transformer": "barrage_mlflow.dataset.RecordTransformer",
}
_BASES_OF_NOTHING = {
    "builtins.object", "abc.ABC", "typing.Generic", "typing.Protocol",
    "typing_extensions.Generic", "typing_extensions.Protocol",
}  # fmt: skip
_KEEPS_THE_SIGNATURE = {
    "keras.saving.register_keras_serializable", "keras.utils.register_keras_serializable",
    "typing.final", "typing.override", "typing_extensions.override", "abc.abstractmethod",
    "functools.cache", "functools.lru_cache", "tensorflow.function",
}  # fmt: skip
"""Decorators after which a class or function still takes what its source says."""

_Parent = tuple[SourceModule, ast.ClassDef] | keras_index.KerasEntry


@dataclass(frozen=True)
class Definition:
    """A class or function in source code.

    Attributes:
        path: where it is defined.
        form: ``"class"`` or ``"function"``.
        node: its syntax.
        module: the module that it stands in.
    """

    path: str
    form: str
    node: ast.ClassDef | FunctionNode = field(repr=False)
    module: SourceModule = field(repr=False)

    @property
    def doc(self) -> str:
        """The first line of its docstring."""
        return (ast.get_docstring(self.node) or "").partition("\n")[0]

    @cached_property
    def accepts(self) -> Accepts:
        """The arguments that it takes.

        Raises:
            CannotTellError: only running the code tells.
        """
        _check_decorators(self.node, self.module)
        if isinstance(self.node, ast.ClassDef):
            return _constructor(_parents(self.node, self.module))
        return _of_arguments(self.node.args)

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of component that a class can be, by what it derives from.

        Raises:
            CannotTellError: only running the code tells.
        """
        homes = {source_code.find(base).path: kind for kind, base in BARRAGE_BASES.items()}
        kinds: set[str] = set()
        for parent in _parents(self.node, self.module):
            if isinstance(parent, keras_index.KerasEntry):
                kinds.update(parent.kinds)
            else:
                module, node = parent
                kinds.update({homes.get(f"{module.name}.{node.name}", "")} - {""})
        return frozenset(kinds)

    @cached_property
    def abstract(self) -> list[str]:
        """The methods that a class still has to define, sorted."""
        lacking: dict[str, bool] = {}
        for parent in reversed(_parents(self.node, self.module)):
            if isinstance(parent, tuple):
                for name, statement in _members(parent[1]):
                    lacking[name] = isinstance(statement, FunctionNode) and any(
                        _last_name(decorator) == "abstractmethod"
                        for decorator in statement.decorator_list
                    )
        return sorted(name for name, is_abstract in lacking.items() if is_abstract)

    def literal(self, name: str) -> Any:
        """The value of a class attribute, which must be written as a literal.

        Returns:
            None if neither the class nor one that it derives from sets it.

        Raises:
            CannotTellError: it is set, but not to a literal.
        """
        for parent in _parents(self.node, self.module):
            if isinstance(parent, keras_index.KerasEntry):
                continue
            module, node = parent
            for member, statement in _members(node):
                if member == name:
                    return _literal(statement, module)
        return None


def define(path: str) -> Definition:
    """The class or function that a path means.

    Raises:
        NotThereError: the path leads nowhere.
        CannotTellError: only running the code tells, or it is neither.
        SyntaxError: a module on the way is no Python.

    Example:
        >>> selector = define("barrage_mlflow.dataset.KeySelector")
        >>> sorted(selector.kinds), selector.accepts.required
        (['loader'], ('mode', 'inputs', 'outputs'))
    """
    found = source_code.find(path)
    if found.module is None or not isinstance(found.binding, ast.ClassDef | FunctionNode):
        raise CannotTellError(path)
    return _definition(found.binding, found.module)


def defined_in(module: SourceModule) -> Iterator[Definition]:
    """The public classes and functions that a module defines itself.

    Example:
        >>> module = source_code.find_module("barrage_mlflow.dataset.components.loader")
        >>> [found.path.rpartition(".")[2] for found in defined_in(module)]
        ['RecordLoader', 'KeySelector', 'load_each']
    """
    for name, bound in module.bindings.items():
        binding = bound[-1][0]
        if isinstance(binding, ast.ClassDef | FunctionNode) and not name.startswith("_"):
            yield _definition(binding, module)


def _definition(node: ast.ClassDef | FunctionNode, module: SourceModule) -> Definition:
    form = "class" if isinstance(node, ast.ClassDef) else "function"
    return Definition(f"{module.name}.{node.name}", form, node, module)


def _check_decorators(node: ast.ClassDef | FunctionNode, module: SourceModule) -> None:
    for decorator in node.decorator_list:
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        path = source_code.qualified(module, called)
        if path.replace("tensorflow.keras.", "keras.") not in _KEEPS_THE_SIGNATURE:
            raise CannotTellError(path)


def _parents(node: ast.AST, module: SourceModule, depth: int = 20) -> list[_Parent]:
    """The class itself and all that it derives from, in the order in which Python looks."""
    if not isinstance(node, ast.ClassDef):
        return []
    metaclass = [word for word in node.keywords if _last_name(word.value) != "ABCMeta"]
    if metaclass or depth == 0:
        raise CannotTellError(node.name)
    found: list[_Parent] = [(module, node)]
    for base in node.bases:
        plain = base.value if isinstance(base, ast.Subscript) else base
        path = source_code.qualified(module, plain)
        if path not in _BASES_OF_NOTHING:
            found += _parents_at(path, depth)
    # A base that two of them share comes after both.
    return [parent for i, parent in enumerate(found) if parent not in found[i + 1 :]]


def _parents_at(path: str, depth: int) -> list[_Parent]:
    try:
        found = source_code.find(path)
    except NotThereError as error:
        raise CannotTellError(path) from error
    if found.module is None:
        entry = keras_index.at(found.path.removeprefix("keras."))
        if entry is None or entry.form != "class":
            raise CannotTellError(path)
        return [entry]
    if not isinstance(found.binding, ast.ClassDef):
        raise CannotTellError(path)
    return _parents(found.binding, found.module, depth - 1)


def _constructor(parents: list[_Parent]) -> Accepts:
    for i, parent in enumerate(parents):
        if isinstance(parent, keras_index.KerasEntry):
            return parent.accepts
        module, node = parent
        members = dict(_members(node))
        init = members.get("__init__")
        if "__new__" in members or (init is not None and not isinstance(init, FunctionNode)):
            raise CannotTellError(node.name)
        if init is not None:
            _check_decorators(init, module)
            own = _of_arguments(init.args, bound=True)
            handed_on = _handed_on(init) if own.any_name else None
            return own if handed_on is None else _joined(own, handed_on, parents[i + 1 :])
    return Accepts()


def _handed_on(init: FunctionNode) -> ast.Call | None:
    """The call of the next constructor, if it alone gets the ``**kwargs`` of this one."""
    assert init.args.kwarg is not None
    name = init.args.kwarg.arg
    uses = [n for n in ast.walk(init) if isinstance(n, ast.Name) and n.id == name]
    for call in ast.walk(init):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            stars = [word.value for word in call.keywords if word.arg is None]
            if len(uses) == 1 and stars == uses:
                return call
    return None


def _joined(own: Accepts, call: ast.Call, parents: list[_Parent]) -> Accepts:
    """What a constructor takes that hands its ``**kwargs`` on to the next one."""
    below = _constructor(parents)
    given = {word.arg for word in call.keywords if word.arg}
    given |= {*below.positional[: len(call.args)], *own.names}
    names = tuple(name for name in below.names if name not in given)
    return replace(
        own,
        names=own.names + names,
        required=own.required + tuple(name for name in below.required if name in names),
        any_name=below.any_name,
        types={**own.types, **{n: text for n, text in below.types.items() if n in names}},
        defaults={**own.defaults, **{n: d for n, d in below.defaults.items() if n in names}},
    )


def _of_arguments(arguments: ast.arguments, bound: bool = False) -> Accepts:
    by_position = [*arguments.posonlyargs, *arguments.args][1 if bound else 0 :]
    by_name = [*by_position, *arguments.kwonlyargs]
    defaults: dict[str, ast.expr] = {}
    if arguments.defaults:
        given = zip(by_position[-len(arguments.defaults) :], arguments.defaults, strict=False)
        defaults = {argument.arg: value for argument, value in given}
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is not None:
            defaults[argument.arg] = default
    only_by_position = {argument.arg for argument in arguments.posonlyargs}
    return Accepts(
        positional=tuple(argument.arg for argument in by_position),
        names=tuple(a.arg for a in by_name if a.arg not in only_by_position),
        required=tuple(a.arg for a in by_name if a.arg not in defaults),
        any_count=arguments.vararg is not None,
        any_name=arguments.kwarg is not None,
        types={a.arg: _annotation(a.annotation) for a in by_name if a.annotation},
        defaults=dict(_json_values(defaults)),
    )


def _annotation(expression: ast.expr) -> str:
    if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        return expression.value
    return ast.unparse(expression)


def _json_values(defaults: dict[str, ast.expr]) -> Iterator[tuple[str, Any]]:
    for name, expression in defaults.items():
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        if is_json(value):
            yield name, value


def _members(node: ast.ClassDef) -> Iterator[tuple[str, ast.stmt | ast.expr | None]]:
    """What a class body binds: methods, and attributes with the value that they are given."""
    for statement in node.body:
        if isinstance(statement, FunctionNode):
            yield statement.name, statement
        elif isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield target.id, statement.value
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            if statement.value is not None:
                yield statement.target.id, statement.value
        elif not isinstance(statement, ast.Expr | ast.Pass | ast.ClassDef | ast.AnnAssign):
            # Conditions, loops and imports inside a class body are rare: let Python run them.
            raise CannotTellError(node.name)


def _literal(statement: ast.stmt | ast.expr | None, module: SourceModule) -> Any:
    if isinstance(statement, ast.Name):
        try:
            bound = module.lookup(statement.id)
        except NotThereError as error:
            raise CannotTellError(statement.id) from error
        statement = bound if isinstance(bound, ast.expr) else None
    if not isinstance(statement, ast.expr):
        raise CannotTellError(module.name)
    try:
        return ast.literal_eval(statement)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise CannotTellError(module.name) from error


def _last_name(expression: ast.expr) -> str:
    return (
        expression.attr if isinstance(expression, ast.Attribute) else getattr(expression, "id", "")
    )
