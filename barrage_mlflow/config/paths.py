"""JSON paths, and how values are shown in messages. Every message stays one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]

_STEP = re.compile(r'\[(0|[1-9]\d*|"(?:\\.|[^"\\])*")\]|(?:^|\.)([^.\[]*)')
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SHOWN_LENGTH = 60


def show_path(path: Path) -> str:
    """Writes a path as messages have it.

    Example:
        >>> show_path(("model", "outputs", 0, "loss"))
        '$.model.outputs[0].loss'
        >>> show_path(("odd key",))
        '$["odd key"]'
    """
    text = "$"
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.fullmatch(part):
            text += f".{part}"
        else:
            text += f"[{json.dumps(part)}]"
    return text


def read_path(text: str) -> Path:
    """The path that `show_path` wrote, of a value below the root; any other text is cut at dots.

    Example:
        >>> read_path("$.model.outputs[0].loss"), read_path('$["odd key"]')
        (('model', 'outputs', 0, 'loss'), ('odd key',))
    """
    text = text.removeprefix("$").removeprefix(".")
    steps = list(_STEP.finditer(text))
    if "".join(step[0] for step in steps) != text:
        return tuple(text.split("."))
    return tuple(json.loads(step[1]) if step[1] else step[2] for step in steps)


def show_value(value: object) -> str:
    r"""Writes a value shortly, on one line, whatever it is.

    Example:
        >>> show_value("a\nb"), show_value([1, 2]), show_value(None), show_value(10**400)
        ('"a\\nb"', 'a list', 'null', 'an integer of 1329 bits')
    """
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return f"an integer of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float | str):
        text = one_line(value)
        return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
    return f"a Python {type(value).__name__}"


def one_line(value: object) -> str:
    r"""Writes a JSON value as JSON that is safe to print, on one line.

    Example:
        >>> print(one_line({"name": "é\u2028"}))
        {"name": "é\u2028"}
    """
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def value_at(data: Any, path: Path) -> Any:
    """The value at a path, or None where the path leads nowhere.

    Example:
        >>> value_at({"a": [{"b": 3}]}, ("a", 0, "b")), value_at([1], ("a",))
        (3, None)
    """
    for part in path:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if not in_list and not (isinstance(data, dict) and part in data):
            return None
        data = data[part]
    return data


def rebuilt(value: Any, part: Callable[[Path, Any], Any], path: Path = ()) -> Any:
    """A copy of a value in which other things stand for some of its parts.

    Args:
        value: a JSON value.
        part: called with the path and value of each part, an outer one before those in it; what
            it gives is taken as it is, unless it is the part itself.
        path: of the value.

    Example:
        >>> rebuilt({"a": ["x", 1]}, lambda path, part: 2 if part == "x" else part)
        {'a': [2, 1]}
    """
    made = part(path, value)
    if made is not value:
        return made
    if isinstance(value, Mapping):
        return {key: rebuilt(item, part, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rebuilt(item, part, (*path, i)) for i, item in enumerate(value)]
    return value


def walk(value: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """A value and everything in it, each with its path.

    Example:
        >>> [path for path, _ in walk({"a": [1]})]
        [(), ('a',), ('a', 0)]
    """
    yield path, value
    items: Any = value.items() if isinstance(value, Mapping) else ()
    if isinstance(value, list | tuple):
        items = enumerate(value)
    for key, item in items:
        yield from walk(item, (*path, key))
