"""A config as it was given: its data, and where each key and value of it is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from barrage_mlflow.config.paths import JSON_PATH, Path, joined, read_path, show_path, show_value
from barrage_mlflow.errors import ConfigError, Fault

Locate = Callable[[Path, bool], tuple[int, int]]
"""Gives line and column, both from 1, of the value at a path or of its key; of a path that leads
nowhere, those of the nearest value around it."""

MAX_DEPTH = 100
MAX_VALUES = 1_000_000


@dataclass(frozen=True)
class Document:
    """A config with the places of its keys and values.

    Attributes:
        data: the config as plain JSON values.
        source: the file that it was read from; empty for a dict.
        text: the config as given.
        faults: what already went wrong on the way (an override that leads nowhere).
        overridden: of each value that an override set, its path and the override's name.
        locate: finds a place in the text; None for a dict.

    Example:
        >>> Document({"solver": {"epochs": 3}}).place(("solver", "epochs"))
        ''
    """

    data: Any
    source: str = ""
    text: str = field(default="", repr=False)
    faults: tuple[Fault, ...] = ()
    overridden: Mapping[Path, str] = field(default_factory=dict)
    locate: Locate | None = field(default=None, repr=False, compare=False)

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the project's modules are looked for: beside the file, and where one works.

        Example:
            >>> Document({}, "/somewhere/config.json").folders[0]
            '/somewhere'
        """
        beside = [str(FilePath(self.source).absolute().parent)] if self.source else []
        return tuple(dict.fromkeys([*beside, str(FilePath.cwd())]))

    def place(self, path: Path, *, key: bool = False) -> str:
        """Where a value (or, with `key`, its key) is written.

        Returns:
            ``"config.json:14:7"``, ``"--solver.epochs"`` for a value set by an override, or
            ``""`` for a config that was given as a dict.
        """
        for length in range(len(path), -1, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
        if self.locate is None:
            return self.source
        line, column = self.locate(path, key)
        return f"{self.source}:{line}:{column}"

    def located(self, message: str) -> str:
        """A message with the place of each JSON path that begins one of its lines.

        Example:
            >>> document = Document({"a": 1}, "c.json", locate=lambda path, key: (1, 7))
            >>> document.located("error: $.a: expected a string, got 1")
            'error: c.json:1:7  $.a: expected a string, got 1'
        """

        def placed(match: re.Match[str]) -> str:
            place = self.place(read_path(match[2]))
            return f"{match[1]}{place}  {match[2]}" if place else match[0]

        return re.sub(rf"^((?:error: )?)({JSON_PATH.pattern})(?=:)", placed, message, flags=re.M)


def plain_document(document: Document) -> Document:
    """A document whose data is a copy of plain JSON values.

    Raises:
        ConfigError: it has values that JSON has no form for, or too many or too deep ones.

    Example:
        >>> plain_document(Document({"shape": (2, 3)})).data
        {'shape': [2, 3]}
    """
    faults = plain_faults(document)
    if faults:
        raise ConfigError(faults)
    return replace(document, data=plain_copy(document.data)[0])


def plain_faults(document: Document) -> list[Fault]:
    """Faults for the values of a document that JSON has no form for.

    Example:
        >>> [str(fault) for fault in plain_faults(Document({"model": float("nan")}))]
        ['$.model: expected a finite number, got nan']
    """
    _, problems = plain_copy(document.data)
    return [
        Fault(show_path(path), message, remedy, document.place(path))
        for path, message, remedy in problems
    ]


def plain_copy(value: object) -> tuple[Any, list[tuple[Path, str, str]]]:
    """Copies a value as plain JSON: dict, list, str, int, float, bool and None.

    Returns:
        The copy, and for each value that JSON has no form for its path, message and remedy.

    Example:
        >>> plain_copy({"shape": (2, 3)})
        ({'shape': [2, 3]}, [])
        >>> plain_copy([{1}])[1]
        [((0,), 'expected a JSON value, got a Python set', '')]
    """
    copier = _Copier()
    copy = copier.copy(value, ())
    return copy, list(dict.fromkeys(copier.problems))


class _Copier:
    def __init__(self) -> None:
        self.problems: list[tuple[Path, str, str]] = []
        self.count = 0

    def refuse(self, path: Path, message: str, remedy: str = "") -> None:
        self.problems.append((path, message, remedy))

    def copy(self, value: object, path: Path) -> Any:
        self.count += 1
        if self.count == MAX_VALUES:
            self.refuse((), f"more than {MAX_VALUES:,} values", "write fewer of them out")
        # Objects that share their parts unfold to far more values than fit in memory.
        if self.count >= MAX_VALUES:
            return None
        if len(path) > MAX_DEPTH:
            self.refuse(path[:3], f"nested deeper than {MAX_DEPTH} levels")
            return None
        if isinstance(value, list | tuple):
            return [self.copy(item, (*path, i)) for i, item in enumerate(value)]
        if isinstance(value, Mapping):
            items = [(self.key(key, path), item) for key, item in value.items()]
            return {key: self.copy(item, (*path, key)) for key, item in items if key is not None}
        return self.scalar(value, path)

    def key(self, key: object, path: Path) -> str | None:
        text = joined(key) if isinstance(key, str) else None
        if not isinstance(key, str):
            self.refuse(path, f"keys must be strings, got {show_value(key)}", "put it in quotes")
        elif text is None:
            self.refuse(path, f"key {key!a} has surrogate halves")
        return text

    def scalar(self, value: object, path: Path) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            text = joined(str.__str__(value))
            if text is None:
                self.refuse(path, "expected Unicode text, got surrogate halves")
            return text
        if isinstance(value, int):
            if value.bit_length() > 64:
                self.refuse(path, f"number out of range: {show_value(value)}")
            return int(value)
        if isinstance(value, float):
            if value - value != 0:
                self.refuse(path, f"expected a finite number, got {value}")
            return float(value)
        remedy = "convert it with .item() or .tolist()" if hasattr(value, "tolist") else ""
        self.refuse(path, f"expected a JSON value, got {show_value(value)}", remedy)
        return None
