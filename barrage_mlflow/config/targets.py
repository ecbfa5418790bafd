"""What an import string means, and what a path leads to once it is imported."""

from __future__ import annotations

import contextlib
import importlib
import keyword
import sys
from collections.abc import Iterable, Iterator
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
        names: what a config can write for it, where that was asked for.
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
    names: tuple[str, ...] = ()

    def load(self) -> Any:
        """The object itself, or the alias.

        Raises:
            NotImportableError: it cannot be imported.

        Example:
            >>> Target("json.loads", "function").load().__name__
            'loads'
        """
        return self.path if self.form == "alias" else load_path(self.path)


def check_path(path: str) -> None:
    """Makes sure that a path is made of names and dots.

    Raises:
        NotImportableError: it is not.

    Example:
        >>> check_path("shop.Loader")
    """
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in path.split(".")):
        message = f"{path!a} is not a Python path"
        raise NotImportableError(message, "write it as package.module.Name")


def load_path(path: str) -> Any:
    """Imports the longest module that a path names, then follows attributes.

    Raises:
        NotImportableError: it leads nowhere, or a module on the way cannot be imported.

    Example:
        >>> load_path("json.decoder.JSONDecoder").__name__
        'JSONDecoder'
    """
    here, *parts = path.split(".")
    found = _module(path, here)
    if found is None:
        raise no_module(path, sys.path)
    # As in "from a.b import C": modules on the way, but rather what the last of them binds.
    while len(parts) > 1 and (module := _module(path, f"{here}.{parts[0]}")):
        found, here = module, f"{here}.{parts.pop(0)}"
    for part in parts:
        holder = found
        with _failure_of(path, here):
            found = getattr(holder, part, None)
        if found is None:
            found = _module(path, f"{here}.{part}")
        if found is None:
            raise leads_nowhere(path, here, part, _public_names(holder))
        here = f"{here}.{part}"
    return found


def _module(path: str, name: str) -> ModuleType | None:
    """Imports a module; None if there is none of that name."""
    with _failure_of(path, name):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not f"{name}.".startswith(f"{error.name}."):
                raise
    return None


@contextlib.contextmanager
def _failure_of(path: str, module: str) -> Iterator[None]:
    """What a module raises while it is imported, or makes a name on demand, as our error."""
    try:
        yield
    except (Exception, SystemExit) as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        message = f"{path!r}: importing module {module!r} raised {what}"
        raise NotImportableError(message) from error


def _public_names(holder: Any) -> list[str]:
    names = getattr(holder, "__all__", None) or dir(holder)
    names = [name for name in names if not name.startswith("_")]
    return sorted({*names, *modules_in(getattr(holder, "__path__", ()))})


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


def leads_nowhere(path: str, holder: str, part: str, names: Iterable[str]) -> NotImportableError:
    """The error for a path of which one part is not there.

    Args:
        path: the whole path.
        holder: the path up to where it still leads.
        part: the name that is not there.
        names: the names that the holder has.

    Example:
        >>> leads_nowhere("shop.Lodaer", "shop", "Lodaer", ["Loader"]).remedy
        "did you mean 'Loader'?"
    """
    message = f"{path!r} leads nowhere: {holder!r} has no {part!r}"
    return NotImportableError(message, suggest(part, names, "names"))
