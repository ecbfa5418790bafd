"""Makes the index of the names that Keras and Barrage bring, and of the params that each takes.

`barrage_mlflow.config.keras_index` answers from it, so that a config is checked without importing
Keras, which takes seconds. Make it anew for another Keras, or once a built-in component of Barrage
takes other params; a test compares. At the top of the repository: ``python -m tools.keras_index``.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from barrage_mlflow.config.component_kinds import KINDS, VALUES
from barrage_mlflow.config.import_targets import Accepts
from barrage_mlflow.config.keras_index import snake_name

FILE = Path(__file__).parents[1] / "barrage_mlflow" / "config" / "keras_index.json"

_BARRAGE = {
    "barrage_mlflow.dataset": (
        "FeatureLoader", "FeatureTransformer", "IdentityTransformer", "KeySelector",
        "RecordLoader", "RecordTransformer",
    ),
    "barrage_mlflow.model": ("feature_network", "sequential_from_config"),
}  # fmt: skip
_BUILT_IN = {
    "loader": ("FeatureLoader", "KeySelector"),
    "transformer": ("FeatureTransformer", "IdentityTransformer"),
    "network": ("feature_network", "sequential_from_config"),
}
_ABBREVIATIONS = {
    "bce": "BinaryCrossentropy",
    "kld": "KLDivergence",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}
_BETTER = {
    "max": r".*(Accuracy|AUC|Correlation|IoU|Score|Similarity)"
    r"|Precision|Recall|\w+At(Precision|Recall|Sensitivity|Specificity)|True(Posi|Nega)tives",
    "min": r".*(Crossentropy|Divergence|Error|Hinge)|Poisson|False(Posi|Nega)tives",
}
"""Of metrics, the class names of those of which more is better, and of which less is."""
_KWARGS_OF_NO_USE = {"optimizer", "callback", "loader", "transformer"}
"""Whose **kwargs only turn down names of long ago, or take what a subclass hands on."""
_BY_NAME = inspect.Parameter.KEYWORD_ONLY


def make_index() -> dict[str, Any]:
    """Everything public that the installed Keras has and that Barrage builds in, as JSON values.

    Returns:
        ``version``: that of Keras; ``paths``: of each path, the place in ``described`` of what is
        known of it (the fields of a `Target` that are not empty); ``names``: of each kind of
        component, and of activations, the path that a short name or alias means.

    Example:
        >>> index = make_index()
        >>> index["described"][index["paths"]["keras.losses.Huber"]]["kinds"]
        ['loss', 'metric']
        >>> index["names"]["loss"]["mse"]
        'keras.losses.MeanSquaredError'
    """
    paths: dict[str, int] = {}
    described: dict[str, int] = {}
    for path, found in [*_walk("keras", importlib.import_module("keras")), *_of_barrage()]:
        text = json.dumps(describe(found))
        paths[path] = described.setdefault(text, len(described))
    return {
        "version": find("keras.__version__"),
        "names": {kind: _names(kind) for kind in (*KINDS, "activation")},
        "paths": paths,
        "described": [json.loads(text) for text in described],
    }


def find(path: str) -> Any:
    """What a path leads to; None if that is nowhere.

    Example:
        >>> find("keras.losses.Huber").__name__, find("keras.losses.Hubr")
        ('Huber', None)
    """
    first, *parts = path.split(".")
    found: Any = importlib.import_module(first)
    for part in parts:
        found = getattr(found, part, None)
    return found


def _of_barrage() -> Iterator[tuple[str, Any]]:
    for package, names in _BARRAGE.items():
        for name in names:
            found = getattr(importlib.import_module(package), name)
            for home in dict.fromkeys((package, found.__module__, "barrage_mlflow")):
                if getattr(importlib.import_module(home), name, None) is found:
                    yield from _modules_above(home)
                    yield f"{home}.{name}", found


def _modules_above(name: str) -> Iterator[tuple[str, ModuleType]]:
    parts = name.split(".")
    for i in range(len(parts)):
        above = ".".join(parts[: i + 1])
        yield above, importlib.import_module(above)


def _walk(path: str, module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Every path below a module with what is there, down to the class methods."""
    yield path, module
    for name in public_names(module):
        here, found = f"{path}.{name}", getattr(module, name)
        if not isinstance(found, ModuleType):
            yield here, found
            yield from _class_methods(here, found)
        elif found.__name__ == here:
            yield from _walk(here, found)


def _class_methods(path: str, found: Any) -> Iterator[tuple[str, Any]]:
    """Those that make an object, ``from_config`` above all."""
    if _kinds(found):
        for name in public_names(found):
            if isinstance(inspect.getattr_static(found, name), classmethod):
                yield f"{path}.{name}", getattr(found, name)


def public_names(found: Any) -> list[str]:
    """The names that a module or class shows.

    Example:
        >>> import keras
        >>> "losses" in public_names(keras), "src" in public_names(keras)
        (True, False)
    """
    return [name for name in dir(found) if not name.startswith("_") and name != "src"]


def describe(found: Any) -> dict[str, Any]:
    """What is known of one class or function: the fields of a `Target` that are not empty.

    Example:
        >>> import keras
        >>> about = describe(keras.losses.Huber)
        >>> about["form"], about["name"], about["direction"], about["accepts"]["defaults"]["delta"]
        ('class', 'huber_loss', 'min', 1.0)
    """
    if inspect.ismodule(found):
        return {"form": "a module"}
    if not inspect.isclass(found):
        if not inspect.isroutine(found):
            return {"form": f"of type {type(found).__name__}"}
        return {"form": "function", "accepts": _filled(Accepts.of(found)), "doc": _doc(found)}
    kinds = _kinds(found)
    accepts = arguments(found, own_only=not _KWARGS_OF_NO_USE.isdisjoint(kinds))
    about = {
        "form": "class",
        "accepts": _filled(accepts),
        "kinds": kinds,
        "abstract": sorted(getattr(found, "__abstractmethods__", ())),
        "name": _own_name(found, accepts) if kinds else "",
        "direction": _direction(found.__name__, kinds),
        "doc": _doc(found),
        "network_param_names": getattr(found, "network_param_names", None),
    }
    return {key: value for key, value in about.items() if value not in ("", [], None)}


def _filled(accepts: Accepts) -> dict[str, Any]:
    return {key: value for key, value in vars(accepts).items() if value}


def _doc(found: Any) -> str:
    """The first line of the docstring of what is Barrage's; Keras's are not needed."""
    ours = found.__module__.startswith("barrage_mlflow.")
    return (inspect.getdoc(found) or "").partition("\n")[0] if ours else ""


def _kinds(found: Any) -> list[str]:
    if not inspect.isclass(found):
        return []
    return [kind for kind in KINDS if issubclass(found, _bases(kind))]


@cache
def _bases(kind: str) -> tuple[type, ...]:
    for package in _BARRAGE:
        importlib.import_module(package)
    return tuple(find(base) for base in KINDS[kind].bases)


def _own_name(found: type, accepts: Accepts) -> str:
    given = accepts.defaults.get("name")
    return given if isinstance(given, str) else snake_name(found.__name__)


def _direction(name: str, kinds: list[str]) -> str:
    if "loss" in kinds:
        return "min"
    if "metric" not in kinds:
        return ""
    return next((way for way, names in _BETTER.items() if re.fullmatch(names, name)), "")


def _names(kind: str) -> dict[str, str]:
    """Of each short name or alias, the path that it means."""
    if kind in (*VALUES, "activation"):
        # The table that Keras looks values of params up in is not public.
        table = importlib.import_module(f"keras.src.{kind}s").ALL_OBJECTS_DICT
        return {name: f"keras.{kind}s.{table[name].__name__}" for name in sorted(table)}
    row = KINDS[kind]
    if not row.is_keras:
        return {name: f"{row.searched[0]}.{name}" for name in _BUILT_IN.get(kind, ())}
    found: dict[str, str] = {}
    for namespace in row.searched:
        for name, value in vars(find(namespace)).items():
            if kind in _kinds(value):
                found.setdefault(name, f"{namespace}.{name}")
    classes = dict(found)
    if kind in ("loss", "metric"):
        found |= {snake_name(name): path for name, path in classes.items()}
        for alias, name in _ABBREVIATIONS.items():
            found[alias] = found[alias.upper()] = classes[name]
    if kind == "optimizer":
        found |= {name.lower(): path for name, path in classes.items()}
    if kind == "layer":
        found["Input"] = "keras.layers.InputLayer"
    return found


def arguments(found: type, own_only: bool = False) -> Accepts:
    """The arguments of a class, those that its ``**kwargs`` stand for among them.

    ``Dense(units, …, **kwargs)`` hands its ``**kwargs`` on to `Layer`, which takes ``name``,
    ``dtype`` and a few more and turns down the rest. What an ``__init__`` does with them is read
    from its source.

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
    return Accepts.of_parameters(parameters)


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


def write_index() -> None:
    """Write the index, one entry a line, so that a change of it can be read."""
    parts = []
    for key, value in make_index().items():
        text = json.dumps(value)
        if isinstance(value, dict):
            text = "{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            text += "\n}"
        elif isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    FILE.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


if __name__ == "__main__":
    write_index()
