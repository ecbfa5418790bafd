"""What an import string can mean, and what each kind of component must be."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.definitions import BARRAGE_BASES, Definition
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.errors import ImportPathError


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
        definition: where it was read from source code, what that says.
    """

    path: str
    form: str
    accepts: Accepts
    load: Callable[[], Any]
    definition: Definition | None = None


def ask_keras(question: Callable[..., Any], *args: Any) -> Any:
    """Asks the index of Keras, which may have to import Keras to answer.

    Raises:
        NotImportableError: Keras cannot be imported.

    Example:
        >>> ask_keras(keras_index.short, "optimizer", "sgd").path
        'optimizers.SGD'
    """
    try:
        return question(*args)
    except ImportError as error:
        raise NotImportableError(f"Keras cannot be imported: {one_line(error)}") from error


def base_classes(kind: str) -> tuple[type, ...]:
    """The classes that a component of a kind derives from.

    Raises:
        NotImportableError: Keras cannot be imported.

    Example:
        >>> [base.__name__ for base in base_classes("metric")]
        ['Metric', 'Loss']
    """
    if kind in BARRAGE_BASES:
        module, _, name = BARRAGE_BASES[kind].rpartition(".")
        return (getattr(importlib.import_module(module), name),)
    entries = [ask_keras(keras_index.at, base) for base in keras_index.BASES[kind]]
    return tuple(ask_keras(keras_index.load, entry) for entry in entries)


def wanted(kind: str) -> str:
    """What a component of a kind must be, in words.

    Example:
        >>> wanted("loss")
        'keras.losses.Loss'
    """
    if kind == "augmentor":
        return "function"
    if kind in BARRAGE_BASES:
        return BARRAGE_BASES[kind]
    return " or ".join(f"keras.{base}" for base in keras_index.BASES[kind])


def one_line(error: BaseException) -> str:
    """An error's message on one line, the first 300 characters of it.

    Example:
        >>> one_line(ValueError("too  long"))
        'too long'
    """
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:300]}…"
