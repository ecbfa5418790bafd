"""The components that a config can name at each place: Barrage's, Keras's and a project's own."""

from __future__ import annotations

import ast
import logging
import pkgutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from barrage_mlflow.config import keras_index, source_code
from barrage_mlflow.config.components import PASSED
from barrage_mlflow.config.definitions import Definition, define, defined_in
from barrage_mlflow.config.imports import find_target
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.project import own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.source_code import (
    BrokenModuleError,
    CannotTellError,
    NotThereError,
    SourceModule,
)
from barrage_mlflow.errors import ImportPathError

logger = logging.getLogger(__name__)

KINDS = (
    "loader", "transformer", "augmentor", "network", "loss", "metric", "layer", "optimizer",
    "schedule",
)  # fmt: skip
SEQUENTIAL = "barrage_mlflow.model.sequential_from_config"

_BUILT_IN = {
    "loader": ("KeySelector", "barrage_mlflow.dataset.KeySelector"),
    "transformer": ("IdentityTransformer", "barrage_mlflow.dataset.IdentityTransformer"),
    "network": (SEQUENTIAL, "sequential_from_config"),
}
_KERAS_ROOTS = ("keras.", "tf.keras.", "tensorflow.keras.")
_PASSED_BY_NAME = {"augmentor": ("rng",), "optimizer": ("learning_rate",)}


@dataclass(frozen=True)
class Offer:
    """One class or function, and how a config can write it.

    Attributes:
        path: where it is defined; the name of an alias whose class depends on the shapes.
        names: what is offered to write.
        other_names: what means the same.
        accepts: the params that a config can give, without what Barrage passes; None where only
            running the code would tell.
        doc: what it says of itself, in a line.
    """

    path: str
    names: tuple[str, ...]
    other_names: tuple[str, ...]
    accepts: Accepts | None
    doc: str = ""


def built_in(kind: str) -> list[Offer]:
    """What Barrage and Keras bring for a kind of component.

    Example:
        >>> [offer.names for offer in built_in("loader")]
        [('KeySelector', 'barrage_mlflow.dataset.KeySelector')]
        >>> [offer.path for offer in built_in("loss") if "mse" in offer.names]
        ['keras.losses.MeanSquaredError']
    """
    offers = []
    if kind in _BUILT_IN:
        names = _BUILT_IN[kind]
        target = find_target(names[0], kind, run_code=False)
        olden = tuple(name.replace("barrage_mlflow.", "barrage.") for name in names if "." in name)
        doc = target.definition.doc if target.definition else ""
        offers.append(Offer(target.path, names, olden, _open_params(target.accepts, kind), doc))
    if kind in keras_index.NAMESPACES:
        offers += _of_keras(kind)
    return offers


def _of_keras(kind: str) -> Iterator[Offer]:
    names_of: dict[str, list[str]] = {}
    accepts: dict[str, Accepts] = {}
    for name in (*keras_index.names(kind), *(["Input"] if kind == "layer" else [])):
        target = find_target(name, kind)
        if target.path.removeprefix("keras.") in keras_index.BASES[kind]:
            continue  # it is there to derive from
        names_of.setdefault(target.path, []).append(name)
        accepts[target.path] = target.accepts
    for path, names in names_of.items():
        others = [f"{root}{path.removeprefix('keras.')}" for root in _KERAS_ROOTS if "." in path]
        if kind == "optimizer":
            others += [name.lower() for name in names]
        yield Offer(path, tuple(names), tuple(others), _open_params(accepts[path], kind))


def of_project(package: str) -> dict[str, list[Offer]]:
    """A project's own components of every kind, read from its source and never run.

    Args:
        package: a package or module on the Python path. Its public modules are read, and a class
            or function that a package imports from a module of its own has both paths.

    Raises:
        ImportPathError: it is not there, is not written in Python, or holds no component.

    Example:
        >>> [offer.names[0] for offer in of_project("barrage_mlflow.dataset")["transformer"]]
        ['barrage_mlflow.dataset.IdentityTransformer']
    """
    root = _root(package)
    paths: dict[str, list[str]] = {}
    found: dict[str, Definition] = {}
    for module in _modules(root):
        for path, definition in _public(module, package):
            found[definition.path] = definition
            paths.setdefault(definition.path, []).append(path)
    offers: dict[str, list[Offer]] = {kind: [] for kind in KINDS}
    for path, definition in found.items():
        for kind in _kinds(definition):
            names = tuple(dict.fromkeys(paths[path]))
            accepts = _accepts(definition, kind)
            offers[kind].append(Offer(path, names, (), accepts, definition.doc))
    if not any(offers.values()):
        raise ImportPathError(
            f"{package!r} ({root.file or ', '.join(root.folders or ())}) holds no component: no "
            "class derived from one of Barrage's or Keras's, and no function that could be a "
            "network or an augmentor"
        )
    return offers


def _root(package: str) -> SourceModule:
    if package.endswith(".py") or not all(part.isidentifier() for part in package.split(".")):
        written = package.removesuffix(".py").strip("./").replace("/", ".")
        near = f"; did you mean {written!r}?" if written.replace(".", "_").isidentifier() else ""
        raise ImportPathError(f"{package!r} is no name of a package or module{near}")
    try:
        module = source_code.find_module(package)
    except CannotTellError:
        raise ImportPathError(f"{package!r} is not written in Python: nothing to read") from None
    except BrokenModuleError as broken:
        raise ImportPathError(f"{package!r} cannot be read: {broken.error}") from broken
    if module is None:
        parent, _, name = package.rpartition(".")
        if parent:
            inside = _root(parent).folders or ()
            known = [f"{parent}.{info.name}" for info in pkgutil.iter_modules(inside)]
            remedy = did_you_mean(package, known)
            where = f"in {parent!r}"
        else:
            remedy = did_you_mean(name, own_modules())
            where = f"in the working folder {str(Path.cwd())!r} or elsewhere on the Python path"
        message = f"no package or module {name!r} {where}"
        raise ImportPathError(message + (f"; {remedy}" if remedy else ""))
    return module


def _modules(module: SourceModule) -> Iterator[SourceModule]:
    """A module, and of a package those within it that are public."""
    yield module
    for info in pkgutil.iter_modules(module.folders or ()):
        name = f"{module.name}.{info.name}"
        if info.name.startswith("_"):
            continue
        try:
            inner = source_code.find_module(name)
        except CannotTellError:
            continue
        except BrokenModuleError as broken:
            logger.warning("%s is left out: %s", name, broken.error)
            continue
        if inner is not None:
            yield from _modules(inner)


def _public(module: SourceModule, package: str) -> Iterator[tuple[str, Definition]]:
    """What a module defines, and what a package hands on from its own modules."""
    for definition in defined_in(module):
        yield definition.path, definition
    for name in module.bindings if module.folders is not None else ():
        path = f"{module.name}.{name}"
        if name == "*" or name.startswith("_"):
            continue
        try:
            definition = define(path)
        except (CannotTellError, NotThereError, BrokenModuleError):
            continue
        if definition.path != path and definition.path.startswith(f"{package}."):
            yield path, definition


def _kinds(definition: Definition) -> Iterable[str]:
    """Where a config can name it; a class whose bases only running would tell is left out."""
    if definition.form == "function":
        return _kinds_of_function(definition)
    try:
        kinds, abstract = definition.kinds, definition.abstract
    except (CannotTellError, BrokenModuleError):
        return ()
    return () if abstract else [kind for kind in KINDS if kind in kinds]


def _kinds_of_function(definition: Definition) -> Iterable[str]:
    accepts = _accepts(definition, "")
    if accepts is None or accepts.positional[:2] == ("y_true", "y_pred"):
        return ()
    first = accepts.positional[0] if accepts.positional else ""
    given, made = _last_name(accepts.types.get(first, "")), _last_name(_returns(definition))
    if first == "data_record" or "DataRecord" in (given, made):
        return ("augmentor",)
    if made:
        return _MADE.get(made, ())
    return ("augmentor", "network") if first else ("network",)


def _returns(definition: Definition) -> str:
    """The class that a function says it returns, as it is written; empty if it does not say."""
    node = definition.node
    if isinstance(node, ast.ClassDef) or node.returns is None:
        return ""
    return ast.unparse(node.returns)


def _made() -> dict[str, tuple[str, ...]]:
    """The kinds of component that a function makes, by the class that it says it returns."""
    made: dict[str, tuple[str, ...]] = {"Sequential": ("network",)}
    for kind, bases in keras_index.BASES.items():
        for base in bases:
            name = _last_name(base)
            made[name] = (*made.get(name, ()), kind)
    return made


def _last_name(annotation: str) -> str:
    return annotation.rpartition(".")[2].strip("'\"")


_MADE = _made()


def _accepts(definition: Definition, kind: str) -> Accepts | None:
    try:
        return _open_params(definition.accepts, kind)
    except (CannotTellError, BrokenModuleError):
        return None


def _open_params(accepts: Accepts, kind: str) -> Accepts:
    """What is left for a config to give, after what Barrage passes."""
    passed = {*accepts.positional[: len(PASSED.get(kind, ()))], *_PASSED_BY_NAME.get(kind, ())}
    names = tuple(name for name in accepts.names if name not in passed)
    required = tuple(name for name in accepts.required if name in names)
    return replace(accepts, names=names, required=required)
