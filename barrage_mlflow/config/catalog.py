"""The components that a config can name at each place: Barrage's, Keras's and a project's own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.kinds import KINDS, Kind
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.project import own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.source import SourceReader, UnreadableError
from barrage_mlflow.config.targets import Target
from barrage_mlflow.errors import ImportPathError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One class or function, and how a config can write it.

    Attributes:
        path: where it is defined; the name of an alias whose class depends on the shapes.
        names: what a config can write for it.
        accepts: the params that a config can give, without what Barrage passes.
        doc: the first line of its docstring.
    """

    path: str
    names: tuple[str, ...]
    accepts: Accepts
    doc: str = ""


def built_in(kind: Kind) -> list[Entry]:
    """What Barrage and Keras have for a kind of component.

    Example:
        >>> [entry.names for entry in built_in(KINDS["loader"])]
        [('KeySelector', 'barrage_mlflow.dataset.KeySelector')]
        >>> [entry.path for entry in built_in(KINDS["loss"]) if "mse" in entry.names]
        ['keras.losses.MeanSquaredError']
    """
    targets: dict[str, Target] = {}
    names: dict[str, list[str]] = {}
    for name in keras_index.names(kind.name):
        target = keras_index.short(kind.name, name)
        if target is not None and target.path not in kind.bases:
            targets[target.path] = target
            names.setdefault(target.path, []).append(name)
    entries = [_entry(target, names[path], kind) for path, target in targets.items()]
    if kind.is_keras:
        return entries
    return [replace(entry, names=(*entry.names, entry.path)) for entry in entries]


def of_project(package: str, folders: Sequence[str] = ()) -> dict[str, list[Entry]]:
    """A project's own components of every kind, read from its source and never run.

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
    reader = SourceReader(folders, strict=False)
    _check_package(package, reader)
    targets: dict[str, Target] = {}
    names: dict[str, list[str]] = {}
    for module in _modules(package, reader):
        for path, target in reader.public(module):
            # What a package hands on from elsewhere is not its own.
            if target.path.startswith(f"{package}."):
                targets[target.path] = target
                names.setdefault(target.path, []).append(path)
    entries: dict[str, list[Entry]] = {name: [] for name in KINDS}
    for path, target in targets.items():
        for name in _kinds(target):
            entries[name].append(_entry(target, names[path], KINDS[name]))
    if not any(entries.values()):
        raise ImportPathError(
            f"{package!r} has no component: no class derived from one of Barrage's or Keras's, "
            "and no function that could be a network or an augmentor"
        )
    return entries


def _check_package(package: str, reader: SourceReader) -> None:
    if not all(part.isidentifier() for part in package.split(".")) or package.endswith(".py"):
        message = f"{package!r} is no name of a package or module; write it as package.module"
        raise ImportPathError(message)
    try:
        if reader.module(package) is not None:
            return
        parent = package.rpartition(".")[0]
        inner = reader.modules_in(parent) if parent else own_modules(reader.search_path)
    except UnreadableError as error:
        raise ImportPathError(f"{package!r} cannot be read: {error.__cause__ or error}") from error
    where = f"in {parent!r}" if parent else "in the working folder or on the Python path"
    near = did_you_mean(package, [f"{parent}.{name}" if parent else name for name in inner])
    message = f"no package or module {package!r} {where}"
    raise ImportPathError(f"{message}; {near}" if near else message)


def _modules(module: str, reader: SourceReader) -> Iterator[str]:
    """A module, and of a package those within it that are public."""
    yield module
    for name in sorted(reader.modules_in(module)):
        inner = f"{module}.{name}"
        try:
            if not name.startswith("_") and reader.module(inner) is not None:
                yield from _modules(inner, reader)
        except UnreadableError as error:
            logger.warning("%s is left out: %s", inner, error.__cause__ or error)


def _kinds(target: Target) -> Iterable[str]:
    """The kinds of component that a class, or what a function makes, can be."""
    if target.form == "class":
        return () if target.abstract else target.kinds
    accepts = target.accepts
    is_unknown = accepts.any_count and accepts.any_name and not accepts.names
    if is_unknown or accepts.positional[:2] == ("y_true", "y_pred"):
        return ()
    first = accepts.positional[0] if accepts.positional else ""
    given, made = _last_name(accepts.types.get(first, "")), _last_name(target.returns)
    if first == "data_record" or "DataRecord" in (given, made):
        return ("augmentor",)
    if made == "Sequential":
        return ("network",)
    if made:
        return [k.name for k in KINDS.values() if made in map(_last_name, k.bases)]
    return ("augmentor", "network") if first else ("network",)


def _last_name(annotation: str) -> str:
    return annotation.rpartition(".")[2].strip("'\"")


def _entry(target: Target, names: Sequence[str], kind: Kind) -> Entry:
    """An entry with the params that are left for a config to give."""
    accepts = target.accepts
    by_position = accepts.positional[: len(kind.passed)]
    passed = {*by_position, *kind.passed_by_name, *kind.beside}
    accepts = replace(
        accepts,
        names=tuple(name for name in accepts.names if name not in passed),
        required=tuple(name for name in accepts.required if name not in passed),
    )
    return Entry(target.path, tuple(dict.fromkeys(names)), accepts, target.doc)
