"""What an import string means, and what a path leads to once it is imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from barrage_mlflow.config.names import did_you_mean, suggest
from barrage_mlflow.config.project import modules_in, own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.errors import ImportPathError

_ROOTS = ("keras", "tensorflow", "barrage", "barrage_mlflow")
"""First parts of paths that lead to Keras and to the engine."""


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
        path: its Python path, ``"keras.losses.MeanSquaredError"``; the alias itself for one whose
            class depends on the shapes.
        form: ``"class"``, ``"function"`` or ``"alias"``; of what is none of them, what it is in
            words, ``"a module"``.
        accepts: the arguments that it takes.
        kinds: the kinds of component that a class can be, by its base classes.
        abstract: the methods that a class still has to define.
        name: the name that a loss or metric of Keras's gives itself.
        direction: of such a one, whether ``"min"`` or ``"max"`` is better; empty if neither.
        doc: the first line of its docstring, of Keras's excepted.
        returns: the annotation of what a function returns.
        network_param_names: what a transformer declares under this name; None if nothing, or
            nothing that can be read.
    """

    path: str
    form: str
    accepts: Accepts = field(default_factory=Accepts)
    kinds: tuple[str, ...] = ()
    abstract: tuple[str, ...] = ()
    name: str = ""
    direction: str = ""
    doc: str = ""
    returns: str = ""
    network_param_names: tuple[str, ...] | None = None

    def load(self) -> Any:
        """The object itself, or the alias.

        Raises:
            NotImportableError: it cannot be imported.

        Example:
            >>> Target("json.loads", "function").load().__name__
            'loads'
        """
        return self.path if self.form == "alias" else load_path(self.path)


def load_path(path: str) -> Any:
    """Imports the longest module that a path names, then follows attributes.

    Raises:
        NotImportableError: it leads nowhere, or a module on the way cannot be imported.

    Example:
        >>> load_path("json.decoder.JSONDecoder").__name__
        'JSONDecoder'
    """
    first, *parts = path.split(".")
    found = _module(path, first)
    if found is None:
        raise no_module(path, sys.path)
    here = first
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        # As in "from a.b import C": a module on the way, but rather what it binds last.
        inner = _attribute(path, found, part) if last else None
        if inner is None and hasattr(found, "__path__"):
            inner = _module(path, f"{here}.{part}")
        if inner is None and not last:
            inner = _attribute(path, found, part)
        if inner is None:
            what = "module" if isinstance(found, ModuleType) else "class"
            raise leads_nowhere(path, here, part, _public_names(found), what)
        found, here = inner, f"{here}.{part}"
    return found


def no_module(path: str, search_path: Iterable[str]) -> NotImportableError:
    """The error for a path whose first module is not on the Python path.

    Example:
        >>> no_module("kears.Model", []).remedy
        "did you mean 'keras'?"
    """
    first = path.partition(".")[0]
    known = {*own_modules(search_path), *_ROOTS} - {first}
    message = f"{path!r} leads nowhere: no module {first!r} on the Python path"
    return NotImportableError(message, did_you_mean(first, known))


def leads_nowhere(
    path: str, holder: str, part: str, names: Iterable[str], what: str = "module"
) -> NotImportableError:
    """The error for a path of which one part is not there.

    Args:
        path: the whole path.
        holder: the path up to where it still leads.
        part: the name that is not there.
        names: the names that the holder has.
        what: what the holder is, in a word.

    Example:
        >>> leads_nowhere("shop.Lodaer", "shop", "Lodaer", ["Loader"]).remedy
        "did you mean 'Loader'?"
    """
    message = f"{path!r} leads nowhere: {what} {holder!r} has no {part!r}"
    return NotImportableError(message, suggest(part, names, "names"))


def _public_names(holder: Any) -> list[str]:
    names = getattr(holder, "__all__", None) or dir(holder)
    names = [name for name in names if not name.startswith("_")]
    return sorted({*names, *modules_in(getattr(holder, "__path__", ()))})


def _attribute(path: str, holder: Any, name: str) -> Any:
    """An attribute, None if there is none; a module may import on demand and fail at that."""
    try:
        return getattr(holder, name, None)
    except (Exception, SystemExit) as error:
        raise _failed_import(path, getattr(holder, "__name__", name), error) from error


def _module(path: str, name: str) -> Any:
    """Imports a module; None if there is none of that name."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise _failed_import(path, name, error) from error


def _failed_import(path: str, module: str, error: BaseException) -> NotImportableError:
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if missing and missing.split(".")[0] == "barrage":
        return NotImportableError(
            f"{path!r}: module {module!r} imports {missing!r}, the package of old",
            f"write 'import barrage_mlflow{missing.removeprefix('barrage')}' there instead",
        )
    text = " ".join(str(error).split())
    text = text if len(text) <= 300 else f"{text[:300]}…"
    what = f"{type(error).__name__}: {text}"
    return NotImportableError(f"{path!r}: importing module {module!r} raised {what}")
