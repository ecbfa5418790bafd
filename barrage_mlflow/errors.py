"""The exceptions that Barrage raises for what its user can mend.

::

    BarrageError
    ├── ConfigError      the config is faulty; lists every fault
    ├── ImportPathError  an import path leads nowhere
    ├── ComponentError   a loader, transformer, network … broke its contract
    ├── RecordError      a record, or a whole set of them, cannot be used
    ├── ArtifactError    an artifact folder or packaged model cannot be read or written
    ├── PromotionError   two versions of a registered model cannot be compared
    ├── TrackingError    MLflow cannot be reached, or refuses what is written to it
    ├── TuningError      a search cannot begin, or came to nothing
    ├── GroupError       the processes of one training do not meet, or one of them has ended
    └── TrainingError    training ended without a usable model

An exception that a user's own component raises keeps its type; the place where it happened
is added as a note (``BaseException.add_note``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_LOGIN = re.compile(r"(https?://)[^\s/?#]*@|(://)[^\s/?#@]*:[^\s/?#]*@")
"""User and password in a URL; a bare name is none but over HTTP: ``abfss://container@account``."""
_SECRETS = "sig|token|key|pass|pwd|secret|cred|auth|code"
_QUERY = re.compile(rf"\?[^\s?#'\"]*?({_SECRETS})[^\s=]*?(=|%3D)[^\s#'\"]*", re.IGNORECASE)
"""The query of a URL that has a signature, a password or the like among its values."""


class BarrageError(Exception):
    """Root of every error that Barrage raises on purpose; no message shows a secret of a URL."""

    def __init__(self, message: str = "") -> None:
        super().__init__(hide_secrets(message))


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a config.

    Attributes:
        path: JSON path of the value at fault, ``"$.solver.epochs"``; empty for a file that cannot
            be read.
        message: what was expected and what came.
        remedy: what to write instead; empty where there is no better word.
        place: where the value is written, ``"config.json:14:7"`` or ``"--solver.epochs"``;
            empty for a config that was given as a dict.

    Example:
        >>> str(Fault("$.solver.epochs", "expected an integer ≥ 1, got 0"))
        '$.solver.epochs: expected an integer ≥ 1, got 0'
        >>> str(Fault("$.solver", "unknown key 'epoch'", "did you mean 'epochs'?", "c.json:3:5"))
        "c.json:3:5  $.solver: unknown key 'epoch'; did you mean 'epochs'?"
    """

    path: str
    message: str
    remedy: str = ""
    place: str = ""

    def __str__(self) -> str:
        where = "  ".join(filter(None, (self.place, self.path)))
        return f"{where}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")


class ConfigError(BarrageError):
    """A config has faults.

    Attributes:
        faults: every fault of the config, in the order of the config.

    Example:
        >>> print(ConfigError([Fault("$.model", "missing"), Fault("$.solver", "not an object")]))
        $.model: missing
        $.solver: not an object
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = list(faults)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.faults,), self.__dict__


class ImportPathError(BarrageError):
    """An import path names nothing that can be imported, or the wrong kind of thing.

    Attributes:
        reason: why, without the remedy.
        remedy: what to write instead; empty where there is no better word.
    """

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(reason + (f"; {remedy}" if remedy else ""))
        self.reason = reason
        self.remedy = remedy


class ComponentError(BarrageError):
    """A component (loader, transformer, augmentor, network, …) broke its contract."""


class RecordError(BarrageError):
    """A record, or a set of records, cannot be read, loaded or fed to the network."""


class ArtifactError(BarrageError):
    """An artifact folder or a packaged model cannot be read or written."""


class PromotionError(BarrageError):
    """Two versions of a registered model cannot be compared."""


class TrackingError(BarrageError):
    """MLflow cannot be reached, or refuses what is written to it.

    Attributes:
        error_code: MLflow's code of a refusal, ``"INVALID_PARAMETER_VALUE"``; ``"NO_ANSWER"``
            where its store does not answer; else empty.
    """

    def __init__(self, message: str, error_code: str = "") -> None:
        super().__init__(message)
        self.error_code = error_code


class TuningError(BarrageError):
    """A search cannot begin, or came to nothing."""


class GroupError(BarrageError):
    """The processes of one training cannot be had, do not meet, or one of them has ended."""


class TrainingError(BarrageError):
    """Training cannot begin where it is called, or ended without a usable model.

    The loss became NaN, or no epoch was the best.
    """


def describe_error(error: BaseException) -> str:
    """Return what the user reads about an error: type, message and notes.

    Example:
        >>> describe_error(BarrageError("train.csv holds no records"))
        'train.csv holds no records'
        >>> describe_error(KeyError("age"))
        "KeyError: 'age'"
    """
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # a project's own exception may be broken too
        message = ""
    if not message:
        message = name
    elif not isinstance(error, BarrageError):
        message = f"{name}: {message}"
    return hide_secrets("\n".join([message, *getattr(error, "__notes__", ())]))


def hide_secrets(text: str) -> str:
    """Return a text without what gives access in its URLs: user and password, and a signed query.

    Example:
        >>> hide_secrets("https://ann:secret@example.org/train.csv?version=3")
        'https://example.org/train.csv?version=3'
        >>> hide_secrets("https://example.org/train.csv?version=3&X-Amz-Signature=1f0c")
        'https://example.org/train.csv?…'
    """
    return _QUERY.sub("?…", _LOGIN.sub(r"\1\2", text))
