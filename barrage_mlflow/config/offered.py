"""The components that a config can name at each place: Barrage's, Keras's and a project's own."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.components import PASSED
from barrage_mlflow.config.imports import find_target
from barrage_mlflow.config.paths import did_you_mean
from barrage_mlflow.config.project import own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.source import SourceReader, UnreadableError
from barrage_mlflow.config.targets import Target
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
        target = find_target(names[0], kind)
        olden = tuple(name.replace("barrage_mlflow.", "barrage.") for name in names if "." in name)
        accepts = _open_params(target.accepts, kind)
        offers.append(Offer(target.path, names, olden, accepts, target.doc))
    if kind in keras_index.NAMESPACES:
        offers += _of_keras(kind)
    return offers


def _of_keras(kind: str) -> Iterator[Offer]:
    names_of: dict[str, list[str]] = {}
    accepts: dict[str, Accepts] = {}
    for name in keras_index.names(kind):
        target = find_target(name, kind)
        if target.path in keras_index.BASES[kind]:
            continue  # it is there to derive from
        names_of.setdefault(target.path, []).append(name)
        accepts[target.path] = target.accepts
    for path, names in names_of.items():
        others = [f"{root}{path.removeprefix('keras.')}" for root in _KERAS_ROOTS if "." in path]
        yield Offer(path, tuple(names), tuple(others), _open_params(accepts[path], kind))


def of_project(package: str, folders: Sequence[str] = ()) -> dict[str, list[Offer]]:
    """A project's own components of every kind, read from its source and never run.

    Args:
        package: a package or module on the Python path. Its public modules are read, and a class
            or function that a package imports from a module of its own has both paths.
        folders: where it is looked for, besides the Python path.

    Raises:
        ImportPathError: it is not there, is not written in Python, or holds no component.

    Example:
        >>> of_project("barrage_mlflow.dataset")["transformer"][0].names
        ('barrage_mlflow.dataset.IdentityTransformer',)
    """
    reader = SourceReader(folders, strict=False)
    _check_package(package, reader)
    paths: dict[str, list[str]] = {}
    found: dict[str, Target] = {}
    for module in _modules(package, reader):
        for path, target in reader.public(module):
            # What a package hands on from elsewhere is not its own.
            if target.path.startswith(f"{package}."):
                found[target.path] = target
                paths.setdefault(target.path, []).append(path)
    offers: dict[str, list[Offer]] = {kind: [] for kind in KINDS}
    for path, target in found.items():
        for kind in _kinds(target):
            names = tuple(dict.fromkeys(paths[path]))
            accepts = _open_params(target.accepts, kind)
            offers[kind].append(Offer(path, names, (), accepts, target.doc))
    if not any(offers.values()):
        raise ImportPathError(
            f"{package!r} holds no component: no class derived from one of Barrage's or Keras's, "
            "and no function that could be a network or an augmentor"
        )
    return offers


def _check_package(package: str, reader: SourceReader) -> None:
    if package.endswith(".py") or not all(part.isidentifier() for part in package.split(".")):
        written = package.removesuffix(".py").strip("./").replace("/", ".")
        near = f"; did you mean {written!r}?" if written.replace(".", "_").isidentifier() else ""
        raise ImportPathError(f"{package!r} is no name of a package or module{near}")
    try:
        if reader.module(package) is not None:
            return
    except UnreadableError as error:
        raise ImportPathError(f"{package!r} cannot be read: {error.__cause__ or error}") from error
    parent, _, name = package.rpartition(".")
    if parent:
        _check_package(parent, reader)
        remedy = did_you_mean(package, [f"{parent}.{inner}" for inner in reader.modules_in(parent)])
        where = f"in {parent!r}"
    else:
        remedy = did_you_mean(name, own_modules(reader.search_path))
        where = f"in the working folder {str(Path.cwd())!r} or elsewhere on the Python path"
    message = f"no package or module {name!r} {where}"
    raise ImportPathError(message + (f"; {remedy}" if remedy else ""))


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
    """Where a config can name it; what only running the code would show is left out."""
    if target.form == "function":
        return _kinds_of_function(target)
    return () if target.abstract else [kind for kind in KINDS if kind in target.kinds]


def _kinds_of_function(target: Target) -> Iterable[str]:
    accepts = target.accepts
    is_unknown = accepts.any_count and accepts.any_name and not accepts.names
    if is_unknown or accepts.positional[:2] == ("y_true", "y_pred"):
        return ()
    first = accepts.positional[0] if accepts.positional else ""
    given, made = _last_name(accepts.types.get(first, "")), _last_name(target.returns)
    if first == "data_record" or "DataRecord" in (given, made):
        return ("augmentor",)
    if made:
        return _MADE.get(made, ())
    return ("augmentor", "network") if first else ("network",)


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


def _open_params(accepts: Accepts, kind: str) -> Accepts:
    """What is left for a config to give, after what Barrage passes."""
    passed = {*accepts.positional[: len(PASSED.get(kind, ()))], *_PASSED_BY_NAME.get(kind, ())}
    names = tuple(name for name in accepts.names if name not in passed)
    required = tuple(name for name in accepts.required if name in names)
    return replace(accepts, names=names, required=required)
