"""A config as it was given: its data, and where every key and value of it stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from barrage_mlflow.config.paths import JSON_PATH, Path, joined, read_path, show_path, show_value
from barrage_mlflow.errors import Fault

Spot = tuple[int, int] | str
"""Line and column, both from 1, or the name of the override that set a value."""

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

    Example:
        >>> Document({"solver": {"epochs": 3}}).place(("solver", "epochs"))
        ''
    """

    data: Any
    source: str = ""
    text: str = field(default="", repr=False)
    faults: tuple[Fault, ...] = ()
    value_spots: Mapping[Path, Spot] = field(default_factory=dict, repr=False, compare=False)
    key_spots: Mapping[Path, Spot] = field(default_factory=dict, repr=False, compare=False)

    def place(self, path: Path, *, key: bool = False) -> str:
        """Where a value (or, with `key`, its key) stands.

        A path that the document does not hold gives the place of the nearest thing around it.

        Returns:
            ``"config.json:14:7"``, ``"--solver.epochs"`` for a value set by an override, or
            ``""`` for a config that was given as a dict.
        """
        if key and path in self.key_spots:
            return self._shown(self.key_spots[path])
        for length in range(len(path), -1, -1):
            if path[:length] in self.value_spots:
                return self._shown(self.value_spots[path[:length]])
        return self.source

    def located(self, message: str) -> str:
        """A message with the place of each JSON path that begins one of its lines.

        Example:
            >>> document = Document({"a": 1}, "c.json", value_spots={("a",): (1, 7)})
            >>> document.located("error: $.a: expected a string, got 1")
            'error: c.json:1:7  $.a: expected a string, got 1'
        """

        def placed(match: re.Match[str]) -> str:
            place = self.place(read_path(match[2]))
            return f"{match[1]}{place}  {match[2]}" if place else match[0]

        return re.sub(rf"^((?:error: )?)({JSON_PATH.pattern})(?=:)", placed, message, flags=re.M)

    def _shown(self, spot: Spot) -> str:
        return spot if isinstance(spot, str) else f"{self.source}:{spot[0]}:{spot[1]}"


def plain_copy(value: object) -> tuple[Any, list[tuple[Path, str, str]]]:
    """Copies a value as plain JSON: dict, list, str, int, float, bool and None.

    Returns:
        The copy, and for each value that JSON cannot hold its path, message and remedy.

    Example:
        >>> plain_copy({"shape": (2, 3)})
        ({'shape': [2, 3]}, [])
        >>> plain_copy([{1}])[1]
        [((0,), 'expected a JSON value, got a Python set', '')]
    """
    problems: list[tuple[Path, str, str]] = []

    count = 0

    def copied(value: object, path: Path) -> Any:
        nonlocal count
        count += 1
        if count > MAX_VALUES:
            if count == MAX_VALUES + 1:
                problems.append(((), f"holds more than {MAX_VALUES:,} values", ""))
            return None
        if len(path) > MAX_DEPTH:
            problems.append((path[:3], f"nested deeper than {MAX_DEPTH} levels", ""))
            return None
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            if joined(value) != value:
                problems.append((path, "expected Unicode text, got surrogate halves", ""))
            return str.__str__(value)
        if isinstance(value, int):
            if value.bit_length() > 64:
                problems.append((path, f"number out of range: {show_value(value)}", ""))
            return int(value)
        if isinstance(value, float):
            if value != value or value in (float("inf"), float("-inf")):
                problems.append((path, f"expected a finite number, got {value}", ""))
            return float(value)
        if isinstance(value, list | tuple):
            return [copied(item, (*path, i)) for i, item in enumerate(value) if not full()]
        if isinstance(value, Mapping):
            return {
                key: copied(item, (*path, key))
                for key, item in value.items()
                if key_is_text(key, path) and not full()
            }
        remedy = "convert it with .item() or .tolist()" if hasattr(value, "tolist") else ""
        problems.append((path, f"expected a JSON value, got {show_value(value)}", remedy))
        return None

    def full() -> bool:
        # Objects that share their parts unfold to far more values than memory holds.
        return count > MAX_VALUES

    def key_is_text(key: object, path: Path) -> bool:
        if not isinstance(key, str):
            problems.append((path, f"keys must be strings, got {show_value(key)}", ""))
            return False
        if joined(key) != key:
            problems.append((path, f"key {key!a} holds surrogate halves", ""))
            return False
        return True

    copy = copied(value, ())
    return copy, list(dict.fromkeys(problems))


def plain_faults(document: Document) -> list[Fault]:
    """Faults for the values of a document that JSON cannot hold.

    Example:
        >>> [str(fault) for fault in plain_faults(Document({"model": float("nan")}))]
        ['$.model: expected a finite number, got nan']
    """
    _, problems = plain_copy(document.data)
    return [
        Fault(show_path(path), message, remedy, document.place(path))
        for path, message, remedy in problems
    ]
