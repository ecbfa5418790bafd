"""JSON paths, and how values and names are shown in messages. Every message stays one line."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

Path = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_SHOWN_LENGTH = 60
_SHOWN_NAMES = 20


def show_path(path: Path) -> str:
    """Writes a path the way that messages hold it.

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
        text = json.dumps(value, ensure_ascii=False)
    else:
        return f"a Python {type(value).__name__}"
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"


def joined(text: str) -> str | None:
    """Text whose escapes may hold a character as two surrogate halves, put together.

    Returns:
        None if a half is left over.

    Example:
        >>> joined(chr(0xD83D) + chr(0xDE00)), joined(chr(0xD83D))
        ('😀', None)
    """
    if not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        return None


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means, or None.

    Example:
        >>> nearest("epoch", ["batch_size", "epochs"]), nearest("zzz", ["epochs"])
        ('epochs', None)
        >>> nearest("ADAM", ["Adam", "SGD"])
        'Adam'
    """
    by_lower: dict[str, list[str]] = {}
    for known in sorted(names):
        by_lower.setdefault(known.lower(), []).append(known)
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    if not found:
        return None
    # Of names that differ in case alone ("Huber", "huber"), the one that is written alike.
    alike = by_lower[found[0]]
    return max(alike, key=lambda known: difflib.SequenceMatcher(None, name, known).ratio())


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The remedy that the nearest known name makes; empty where none is near.

    Example:
        >>> did_you_mean("epoch", ["epochs"]), did_you_mean("zzz", ["epochs"])
        ("did you mean 'epochs'?", '')
    """
    near = nearest(name, names)
    return "" if near is None else f"did you mean {near!r}?"


def suggest(name: str, names: Iterable[str], what: str) -> str:
    """The remedy for an unknown name: the nearest known one, else the known ones.

    Example:
        >>> suggest("epoch", ["epochs"], "keys")
        "did you mean 'epochs'?"
        >>> suggest("zzz", ["epochs", "steps"], "keys")
        "known keys: 'epochs', 'steps'"
    """
    names = list(names)
    return did_you_mean(name, names) or (f"known {what}: {show_names(names)}" if names else "")


def show_names(names: Iterable[str]) -> str:
    """Names in quotes, the first twenty of them.

    Example:
        >>> show_names(["a", "b"])
        "'a', 'b'"
    """
    names = list(names)
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(repr(name) for name in names[:_SHOWN_NAMES]) + more


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
