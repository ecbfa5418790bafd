"""Import strings: from a name in a config to the class or function that it means."""

from __future__ import annotations

import functools
import keyword
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.definitions import define
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.project_imports import project_target
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.source_code import CannotTellError, NotThereError
from barrage_mlflow.config.targets import NotImportableError, Target, ask_keras, wanted

_DATASET = "barrage_mlflow.dataset"
_BARRAGE_NAMES = {
    "loader": (_DATASET, ("KeySelector",)),
    "transformer": (_DATASET, ("IdentityTransformer",)),
    "augmentor": (_DATASET, ()),
    "network": ("barrage_mlflow.model", ("sequential_from_config",)),
}
"""Of each kind, the package that short names are searched in, and what is built in."""
_KERAS_ROOTS = ("tensorflow.python.keras", "tensorflow.keras", "tf.keras", "keras")
_BYGONE = ("legacy", "experimental")
_GIVE_PATH = "give the whole path of one of your own"


def load_import(path: str, kind: str) -> Any:
    """Loads the class or function that an import string means.

    Args:
        path: a Python path, a short name or a Keras alias. Old paths (``tensorflow.keras…``,
            ``tensorflow.python.keras…``, ``barrage…``) mean today's classes.
        kind: ``"loader"``, ``"transformer"``, ``"augmentor"``, ``"network"``, ``"loss"``,
            ``"metric"``, ``"optimizer"``, ``"schedule"``, ``"layer"`` or ``"callback"``.

    Returns:
        The class or function. For an alias whose class Keras picks from the shapes
        (``"accuracy"``, ``"acc"``, ``"crossentropy"``, ``"ce"``), the alias itself.

    Raises:
        ImportPathError: the path leads nowhere, to the wrong kind of thing, or into a module
            that fails when it is imported; that failure is the error's cause.

    Example:
        >>> load_import("tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizer").__name__
        'Adam'
        >>> load_import("accuracy", "metric")
        'accuracy'
    """
    return find_target(path, kind).load()


def find_target(path: str, kind: str, *, run_code: bool = True) -> Target:
    """Finds what an import string means, and makes sure that it is of the right kind.

    Args:
        path: as `load_import` takes it.
        kind: as `load_import` takes it.
        run_code: whether the modules on the path are imported; else their source is read, and
            they are imported only if that does not tell.

    Raises:
        NotImportableError: as `load_import`.

    Example:
        >>> find_target("Adam", "optimizer").path
        'keras.optimizers.Adam'
    """
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in path.split(".")):
        raise NotImportableError(
            f"{path!a} is not a Python path", "write it as package.module.Name"
        )
    today = current_path(path)
    if today.startswith("keras."):
        return _keras_target(path, today.removeprefix("keras."), kind)
    top, _, below = today.partition(".")
    if top in ("tf", "tensorflow") and below:
        message = f"{path!r} leads nowhere: of TensorFlow, only '{top}.keras' can be named"
        raise NotImportableError(message, did_you_mean(below.partition(".")[0], ["keras"]))
    if "." in today:
        return project_target(path, today, kind, run_code)
    if kind in _BARRAGE_NAMES:
        return _barrage_target(path, kind, run_code)
    if keras_index.is_shape_alias(kind, path):
        return Target(path, "alias", Accepts(names=("name",)), lambda: path)
    entry = ask_keras(keras_index.short, kind, path)
    if entry is None:
        raise _unknown_keras_name(path, kind)
    return _from_entry(entry)


def current_path(path: str) -> str:
    """Today's path for an import string: old roots are mapped before anything is imported.

    Example:
        >>> current_path("barrage.dataset.KeySelector"), current_path("tf.keras.losses.Huber")
        ('barrage_mlflow.dataset.KeySelector', 'keras.losses.Huber')
    """
    if path.startswith("barrage."):
        return "barrage_mlflow." + path.removeprefix("barrage.")
    for root in _KERAS_ROOTS:
        if path.startswith(f"{root}."):
            return "keras." + path.removeprefix(f"{root}.")
    return path


def is_sequential(path: object) -> bool:
    """Whether an import string means the built-in network of layer blocks.

    Example:
        >>> is_sequential("barrage.model.sequential_from_config"), is_sequential("my.network")
        (True, False)
    """
    if not isinstance(path, str):
        return False
    package, (name,) = _BARRAGE_NAMES["network"]
    return path == name or current_path(path) == f"{package}.{name}"


def is_from_keras(path: str) -> bool:
    """Whether an import string means something of Keras, whatever its kind.

    Example:
        >>> is_from_keras("tf.keras.losses.Huber"), is_from_keras("my_project.Loss")
        (True, False)
    """
    return current_path(path).startswith("keras.")


def _keras_target(path: str, rest: str, kind: str) -> Target:
    parts = rest.split(".")
    private = path.startswith("tensorflow.python.") or any(part in _BYGONE for part in parts)
    if kind in keras_index.NAMESPACES and (private or rest in ("Input", "layers.Input")):
        entry = ask_keras(keras_index.short, kind, parts[-1])
    else:
        entry = ask_keras(keras_index.at, rest if not private else f"models.{parts[-1]}")
    if entry is None and private:
        raise _unknown_keras_name(parts[-1], kind, path)
    if entry is None:
        message = f"{path!r} leads nowhere: the installed Keras has no 'keras.{rest}'"
        raise NotImportableError(message, _nearest_part(parts))
    if entry.form == "class" and kind in keras_index.BASES and kind not in entry.kinds:
        raise NotImportableError(f"{path!r} is no {wanted(kind)}", _elsewhere(parts[-1], kind))
    if entry.form == "other" or (kind not in keras_index.BASES and entry.form == "class"):
        raise NotImportableError(f"{path!r} is no {wanted(kind)}")
    return _from_entry(entry)


def _nearest_part(parts: list[str]) -> str:
    """The remedy for the first part of a path below Keras that is not there."""
    for i, part in enumerate(parts):
        known = ask_keras(keras_index.members, ".".join(parts[:i]))
        if part not in known:
            return did_you_mean(part, known)
    return ""


def _from_entry(entry: keras_index.KerasEntry) -> Target:
    return Target(
        f"keras.{entry.path}",
        entry.form,
        entry.accepts,
        functools.partial(ask_keras, keras_index.load, entry),
    )


def _unknown_keras_name(name: str, kind: str, path: str | None = None) -> NotImportableError:
    article = "an" if kind == "optimizer" else "a"
    message = f"{path or name!r} is not the name of {article} {kind} in Keras"
    known = ask_keras(keras_index.names, kind) if kind in keras_index.NAMESPACES else ()
    return NotImportableError(message, did_you_mean(name, known) or _GIVE_PATH)


def _elsewhere(name: str, kind: str) -> str:
    near = keras_index.short(kind, name) if kind in keras_index.NAMESPACES else None
    return f"did you mean 'keras.{near.path}'?" if near else ""


def _barrage_target(name: str, kind: str, run_code: bool) -> Target:
    package, known = _BARRAGE_NAMES[kind]
    try:
        define(f"{package}.{name}")
    except (NotThereError, CannotTellError):
        article = "an" if kind == "augmentor" else "a"
        message = f"{name!r} is not the name of {article} {kind} in {package}"
        raise NotImportableError(message, did_you_mean(name, known) or _GIVE_PATH) from None
    return project_target(name, f"{package}.{name}", kind, run_code)
