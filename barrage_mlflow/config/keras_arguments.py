"""The arguments that a class of Keras takes, those that its ``**kwargs`` stand for among them.

``Dense(units, …, **kwargs)`` hands its ``**kwargs`` on to `Layer`, which takes ``name``, ``dtype``
and a few more and turns down the rest. What an ``__init__`` does with them is read from its source.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass, field
from functools import cache
from types import FunctionType
from typing import Any

from barrage_mlflow.config.signatures import Accepts

_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def arguments(found: type, own_only: bool = False) -> Accepts:
    """The arguments of a class.

    Args:
        found: a class.
        own_only: whether to leave out all that ``**kwargs`` stand for.

    Example:
        >>> import keras
        >>> accepts = arguments(keras.layers.Flatten)
        >>> accepts.names[:4], accepts.any_name
        (('data_format', 'activity_regularizer', 'trainable', 'dtype'), False)
    """
    parameters = _of_init(found.__mro__, own_only)
    if parameters is None:
        return Accepts.of(found)

    def stand_in() -> None: ...

    stand_in.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return Accepts.of(stand_in)


def _of_init(classes: tuple[type, ...], own_only: bool = False) -> list[inspect.Parameter] | None:
    """The parameters of the first ``__init__`` of some classes; None if there is none to read."""
    for i, holder in enumerate(classes):
        init = vars(holder).get("__init__")
        if isinstance(init, FunctionType):
            _, *own = inspect.signature(init).parameters.values()
            if not own or own[-1].kind is not inspect.Parameter.VAR_KEYWORD:
                return own
            rest = own.pop()
            meant = [] if own_only else _meant_by(rest, init, classes[i + 1 :])
            names = {parameter.name for parameter in own}
            return own + [parameter for parameter in meant if parameter.name not in names]
    return None


def _meant_by(
    rest: inspect.Parameter, init: FunctionType, parents: tuple[type, ...]
) -> list[inspect.Parameter]:
    """What ``**kwargs`` stand for: params by name, and themselves last if that is anything."""
    use = _use(init, rest.name)
    if use.elsewhere:
        return [rest]
    found = {
        name: inspect.Parameter(name, _BY_NAME, default=default)
        for name, default in use.taken.items()
    }
    if use.handed_on:
        inherited = _of_init(parents) or []
        given = {parameter.name for parameter in inherited[: len(use.handed_on.args)]}
        given |= {str(keyword.arg) for keyword in use.handed_on.keywords}
        for parameter in inherited:
            if parameter.kind is parameter.VAR_KEYWORD:
                found[parameter.name] = parameter
            elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.name not in given:
                found.setdefault(parameter.name, parameter.replace(kind=_BY_NAME))
    return list(found.values())


@dataclass
class _Use:
    """What a function does with its ``**kwargs``.

    Attributes:
        taken: the names that it takes out of them, each with its default.
        handed_on: the call of the next ``__init__`` that gets them.
        elsewhere: whether they go where they cannot be followed.
    """

    taken: dict[str, Any] = field(default_factory=dict)
    handed_on: ast.Call | None = None
    elsewhere: bool = False


@cache
def _use(function: FunctionType, rest: str) -> _Use:
    use = _Use()
    try:
        source = inspect.getsource(function)
    except OSError:
        use.elsewhere = True
        return use
    nodes = list(ast.walk(ast.parse(textwrap.dedent(source))))
    unpacked: set[ast.expr] = set()
    followed: set[ast.AST] = set()
    for node in nodes:
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name() as name, attr="pop" | "get" as method),
                args=[ast.Constant(value=str(key)), *default],
            ) if name.id == rest:
                followed.add(name)
                if method == "pop":
                    # Whatever is no JSON value stands for a default that is none.
                    constant = default[0] if default else None
                    value = constant.value if isinstance(constant, ast.Constant) else ...
                    use.taken[key] = value
            case ast.Call(
                func=ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr="__init__")
            ) if any(word.arg is None for word in node.keywords):
                use.handed_on = node
            case ast.keyword(arg=None, value=ast.Name() as name):
                unpacked.add(name)
            case (
                ast.If(test=ast.Name() as name)
                | ast.Compare(left=ast.Constant(), comparators=[ast.Name() as name])
                | ast.Subscript(value=ast.Name() as name, slice=ast.Constant())
            ):
                followed.add(name)
            case ast.Raise():
                followed.update(ast.walk(node))
    if use.handed_on:
        # What else gets them as well cannot widen what the parent takes.
        followed |= unpacked
    uses = {node for node in nodes if isinstance(node, ast.Name) and node.id == rest}
    use.elsewhere = not uses <= followed
    return use
