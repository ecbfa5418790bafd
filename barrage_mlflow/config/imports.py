"""Import strings: from a name in a config to the class or function that it means."""

from __future__ import annotations

import functools
import importlib
import inspect
import keyword
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.paths import did_you_mean, suggest
from barrage_mlflow.config.project import own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.errors import ImportPathError

_DATASET = "barrage_mlflow.dataset"
_BARRAGE_NAMES = {
    "loader": (_DATASET, ("KeySelector",)),
    "transformer": (_DATASET, ("IdentityTransformer",)),
    "augmentor": (_DATASET, ()),
    "network": ("barrage_mlflow.model", ("sequential_from_config",)),
}
"""Of each kind, the package that short names are searched in, and what is built in."""
_BARRAGE_BASES = {
    "loader": f"{_DATASET}.RecordLoader",
    "transformer": f"{_DATASET}.RecordTransformer",
}
_KERAS_ROOTS = ("tensorflow.python.keras", "tensorflow.keras", "tf.keras", "keras")
_BYGONE = ("legacy", "experimental")
_GIVE_PATH = "give the whole path of one of your own"


class NotImportableError(ImportPathError):
    """An import string that cannot be used, as a message and a remedy."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message + (f"; {remedy}" if remedy else ""))
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True)
class Target:
    """What an import string means.

    Attributes:
        path: its Python path today, ``"keras.losses.MeanSquaredError"``; the alias itself for
            one whose class depends on the shapes.
        form: ``"class"``, ``"function"`` or ``"alias"``.
        accepts: the arguments that it takes.
        load: gives the object itself, or the alias.
    """

    path: str
    form: str
    accepts: Accepts
    load: Callable[[], Any]


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


def find_target(path: str, kind: str) -> Target:
    """Finds what an import string means, and makes sure that it is of the right kind.

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
    if "." in today:
        return _python_target(path, today, kind)
    if kind in _BARRAGE_NAMES:
        return _barrage_target(path, kind)
    if keras_index.is_shape_alias(kind, path):
        return Target(path, "alias", Accepts(names=("name",)), lambda: path)
    entry = _ask_keras(keras_index.short, kind, path)
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


def is_from_keras(path: str) -> bool:
    """Whether an import string means something of Keras, whatever its kind.

    Example:
        >>> is_from_keras("tf.keras.losses.Huber"), is_from_keras("my_project.Loss")
        (True, False)
    """
    return current_path(path).startswith("keras.")


def _ask_keras(question: Callable[..., Any], *args: str) -> Any:
    try:
        return question(*args)
    except ImportError as error:
        raise NotImportableError(f"Keras cannot be imported: {_one_line(error)}") from error


def _keras_target(path: str, rest: str, kind: str) -> Target:
    parts = rest.split(".")
    private = path.startswith("tensorflow.python.") or any(part in _BYGONE for part in parts)
    if kind in keras_index.NAMESPACES and (private or rest in ("Input", "layers.Input")):
        entry = _ask_keras(keras_index.short, kind, parts[-1])
    else:
        entry = _ask_keras(keras_index.at, rest if not private else f"models.{parts[-1]}")
    if entry is None and private:
        raise _unknown_keras_name(parts[-1], kind, path)
    if entry is None:
        known = _ask_keras(keras_index.members, ".".join(parts[:-1]))
        message = f"{path!r} leads nowhere: the installed Keras has no 'keras.{rest}'"
        raise NotImportableError(message, did_you_mean(parts[-1], known))
    if entry.form == "class" and kind in keras_index.BASES and kind not in entry.kinds:
        raise NotImportableError(f"{path!r} is no {wanted(kind)}", _elsewhere(parts[-1], kind))
    if entry.form == "other" or (kind not in keras_index.BASES and entry.form == "class"):
        raise NotImportableError(f"{path!r} is no {wanted(kind)}")
    return _from_entry(entry)


def _from_entry(entry: keras_index.KerasEntry) -> Target:
    return Target(
        f"keras.{entry.path}",
        entry.form,
        entry.accepts,
        functools.partial(keras_index.load, entry),
    )


def _unknown_keras_name(name: str, kind: str, path: str | None = None) -> NotImportableError:
    article = "an" if kind == "optimizer" else "a"
    message = f"{path or name!r} is not the name of {article} {kind} in Keras"
    known = _ask_keras(keras_index.names, kind) if kind in keras_index.NAMESPACES else ()
    return NotImportableError(message, did_you_mean(name, known) or _GIVE_PATH)


def _elsewhere(name: str, kind: str) -> str:
    near = keras_index.short(kind, name) if kind in keras_index.NAMESPACES else None
    return f"did you mean 'keras.{near.path}'?" if near else ""


def _barrage_target(name: str, kind: str) -> Target:
    package, known = _BARRAGE_NAMES[kind]
    if name not in getattr(_module(name, package), "__all__", ()):
        article = "an" if kind == "augmentor" else "a"
        message = f"{name!r} is not the name of {article} {kind} in {package}"
        raise NotImportableError(message, did_you_mean(name, known) or _GIVE_PATH)
    return _python_target(name, f"{package}.{name}", kind)


def _python_target(path: str, today: str, kind: str) -> Target:
    found = _locate(path, today)
    if inspect.isclass(found):
        _check_base(path, found, kind)
        form = "class"
    elif callable(found):
        form = "function"
    else:
        is_module = isinstance(found, ModuleType)
        what = "a module" if is_module else f"of type {type(found).__name__}"
        raise NotImportableError(f"{path!r} is {what}, expected a {wanted(kind)}")
    return Target(today, form, Accepts.of(found), lambda: found)


def _check_base(path: str, found: type, kind: str) -> None:
    if kind == "augmentor":
        raise NotImportableError(
            f"{path!r} is a class, expected a function f(data_record, **params)"
        )
    if issubclass(found, base_classes(kind)):
        if inspect.isabstract(found):
            lacking = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
            raise NotImportableError(f"{path!r} is abstract: it does not define {lacking}")
        return
    message = f"{path!r} is no {wanted(kind)}"
    modules = {base.__module__ for base in found.__mro__}
    if any(module.split(".")[0] == "barrage" for module in modules):
        remedy = f"derive it from {_BARRAGE_BASES.get(kind, 'a Keras class')}, not from barrage's"
    elif any(module.startswith(("tensorflow.python.keras", "tf_keras")) for module in modules):
        remedy = "derive it from the class of the installed Keras, not from an old one"
    else:
        remedy = ""
    raise NotImportableError(message, remedy)


def base_classes(kind: str) -> tuple[type, ...]:
    """The classes that a component of a kind derives from.

    Raises:
        NotImportableError: Keras cannot be imported.

    Example:
        >>> [base.__name__ for base in base_classes("metric")]
        ['Metric', 'Loss']
    """
    if kind in _BARRAGE_BASES:
        module, _, name = _BARRAGE_BASES[kind].rpartition(".")
        return (getattr(importlib.import_module(module), name),)
    entries = [_ask_keras(keras_index.at, base) for base in keras_index.BASES[kind]]
    return tuple(keras_index.load(entry) for entry in entries)


def wanted(kind: str) -> str:
    """What a component of a kind must be, in words.

    Example:
        >>> wanted("loss")
        'keras.losses.Loss'
    """
    if kind == "augmentor":
        return "function"
    if kind in _BARRAGE_BASES:
        return _BARRAGE_BASES[kind]
    return " or ".join(f"keras.{base}" for base in keras_index.BASES[kind])


def _locate(path: str, today: str) -> Any:
    """Imports the longest module path there is, then follows attributes."""
    parts = today.split(".")
    found: Any = _module(path, parts[0])
    if found is None:
        message = f"{path!r} leads nowhere: no module {parts[0]!r} on the Python path"
        raise NotImportableError(message, did_you_mean(parts[0], own_modules()))
    for i, part in enumerate(parts[1:], 1):
        here = ".".join(parts[:i])
        last = i == len(parts) - 1
        # As in "from a.b import C": a module on the way, but rather what the module holds last.
        inner = _attribute(path, found, part) if last else None
        if inner is None and hasattr(found, "__path__"):
            inner = _module(path, f"{here}.{part}")
        if inner is None and not last:
            inner = _attribute(path, found, part)
        if inner is None:
            names = _public_names(found)
            what = "module" if isinstance(found, ModuleType) else "class"
            message = f"{path!r} leads nowhere: {what} {here!r} has no {part!r}"
            raise NotImportableError(message, suggest(part, names, "names"))
        found = inner
    return found


def _attribute(path: str, holder: Any, name: str) -> Any:
    """An attribute, None if there is none; a module may import on demand and fail at that."""
    try:
        return getattr(holder, name, None)
    except (Exception, SystemExit) as error:
        raise _failed_import(path, getattr(holder, "__name__", name), error) from error


def _public_names(holder: Any) -> list[str]:
    names = getattr(holder, "__all__", None) or dir(holder)
    names = [name for name in names if not name.startswith("_")]
    if hasattr(holder, "__path__"):
        names += [module.name for module in pkgutil.iter_modules(holder.__path__)]
    return sorted(set(names))


def _module(path: str, name: str) -> ModuleType | None:
    """Imports a module; None if there is none of that name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            return None
        raise _failed_import(path, name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed_import(path, name, error) from error


def _failed_import(path: str, module: str, error: BaseException) -> NotImportableError:
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if missing and missing.split(".")[0] == "barrage":
        return NotImportableError(
            f"{path!r}: module {module!r} imports {missing!r}, the package of old",
            f"write 'import barrage_mlflow{missing.removeprefix('barrage')}' there instead",
        )
    what = f"{type(error).__name__}: {_one_line(error)}"
    return NotImportableError(f"{path!r}: importing module {module!r} raised {what}")


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
