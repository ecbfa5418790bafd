"""JSON paths, and how values are shown in messages. Every message stays one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Path = tuple[str | int, ...]

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
    """The path that `show_path` wrote, if its keys are plain.

    Example:
        >>> read_path("$.model.outputs[0].loss")
        ('model', 'outputs', 0, 'loss')
    """
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"\w+", text))


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
