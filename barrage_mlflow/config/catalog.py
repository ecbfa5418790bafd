"""The components that a config can name at each place: Barrage's, Keras's and a project's own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.component_kinds import KINDS, Kind
from barrage_mlflow.config.import_targets import ANYTHING, Target, check_path
from barrage_mlflow.config.project import modules_in
from barrage_mlflow.config.project_source import SourceReader, UnreadableError
from barrage_mlflow.errors import ImportPathError

logger = logging.getLogger(__name__)


def built_in(kind: Kind) -> list[Target]:
    """What Barrage and Keras have for a kind of component.

    Returns:
        Each with the names that a config can write for it, and the params that it can give.

    Example:
        >>> [target.names[0] for target in built_in(KINDS["loader"])]
        ['FeatureLoader', 'KeySelector']
        >>> [target.path for target in built_in(KINDS["loss"]) if "mse" in target.names]
        ['keras.losses.MeanSquaredError']
    """
    short = {name: keras_index.short(kind.name, name) for name in keras_index.names(kind.name)}
    named = [(name, target) for name, target in short.items() if target is not None]
    if not kind.is_keras:
        named += [(target.path, target) for _, target in named]
    found = _merged((name, target) for name, target in named if target.path not in kind.bases)
    return [_left_to_give(target, kind) for target in found]


def of_project(package: str, folders: Sequence[str] = ()) -> dict[str, list[Target]]:
    """A project's own components of every kind, read from its source and never run.

    What cannot be read is left out.

    Args:
        package: a package or module on the Python path. Its public modules are read, and a class
            or function that a package imports from a module of its own has both paths.
        folders: where it is looked for, besides the Python path.

    Raises:
        ImportPathError: it is not there, cannot be read, or has no component.

    Example:
        >>> of_project("barrage_mlflow.dataset")["transformer"][0].names
        ('barrage_mlflow.dataset.IdentityTransformer',)
    """
    reader = SourceReader(folders)
    _check_package(package, reader)
    named = [pair for module in _modules(package, reader) for pair in _public(module, reader)]
    # What a package hands on from elsewhere is not its own.
    own = _merged((path, one) for path, one in named if one.path.startswith(f"{package}."))
    found: dict[str, list[Target]] = {name: [] for name in KINDS}
    for target in own:
        for name in _kinds(target):
            found[name].append(_left_to_give(target, KINDS[name]))
    if not any(found.values()):
        raise ImportPathError(
            f"{package!r} has no component: no class derived from one of Barrage's or Keras's, "
            "and no function that could be a network or an augmentor"
        )
    return found


def _check_package(package: str, reader: SourceReader) -> None:
    check_path(package)
    try:
        found = reader.target(package)
    except UnreadableError as error:
        raise ImportPathError(f"{package!r} cannot be read: {error.__cause__ or error}") from error
    if found.form != "a module":
        raise ImportPathError(f"{package!r} is a {found.form}, expected a package or module")


def _modules(module: str, reader: SourceReader) -> Iterator[str]:
    """A module, and of a package those within it that are public."""
    yield module
    for name in sorted(modules_in(reader.folders(module))):
        inner = f"{module}.{name}"
        try:
            if not name.startswith("_") and reader.names(inner) is not None:
                yield from _modules(inner, reader)
        except UnreadableError as error:
            logger.warning("%s is left out: %s", inner, error.__cause__ or error)


def _public(module: str, reader: SourceReader) -> Iterator[tuple[str, Target]]:
    """The classes and functions that a module defines, and those that a package hands on."""
    for name in reader.names(module) or ():
        path = f"{module}.{name}"
        with contextlib.suppress(UnreadableError, ImportPathError):
            target = reader.target(path)
            is_own = target.path == path or bool(reader.folders(module))
            if name[0] != "_" and is_own and target.form in ("class", "function"):
                yield path, target


def _kinds(target: Target) -> Iterable[str]:
    """The kinds of component that a class can be, or that a function seems to be."""
    if target.form == "class":
        return () if target.abstract else target.kinds
    positional = target.accepts.positional
    if target.accepts == ANYTHING or positional[:2] == ("y_true", "y_pred"):
        return ()
    if positional[:1] == ("data_record",):
        return ("augmentor",)
    if not target.returns:
        return ("network",)
    made = target.returns.strip("'\"").rpartition(".")[2].replace("Sequential", "Model")
    return [k.name for k in KINDS.values() if any(base.endswith(f".{made}") for base in k.bases)]


def _merged(named: Iterable[tuple[str, Target]]) -> list[Target]:
    """Each target once, with every name that means it."""
    found: dict[str, Target] = {}
    for name, target in named:
        known = found.get(target.path, target)
        found[target.path] = replace(known, names=(*known.names, name))
    return list(found.values())


def _left_to_give(target: Target, kind: Kind) -> Target:
    """A target with the params alone that Barrage does not pass itself."""
    by_position, by_name = target.accepts.passed(kind)
    first = target.accepts.positional[: len(by_position)]
    return replace(target, accepts=target.accepts.without({*first, *by_name, *kind.beside}))
