"""JSON paths, and how values and names are shown in messages. Every message stays one line."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

Path = tuple[str | int, ...]

JSON_PATH = re.compile(r"\$(?:\.[A-Za-z_$][A-Za-z0-9_$]*|\[\d+\]|\[\"(?:[^\"\\]|\\.)*\"\])+")
"""A path below the top, as `show_path` writes it."""

_PATH_PART = re.compile(r"\.([A-Za-z_$][A-Za-z0-9_$]*)|\[(\d+)\]|\[(\"(?:[^\"\\]|\\.)*\")\]")
_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_LONGEST_NAME = 100
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


def read_path(text: str) -> Path:
    """The path that `show_path` wrote.

    Example:
        >>> read_path('$.model.outputs[0]["odd key"]')
        ('model', 'outputs', 0, 'odd key')
    """
    return tuple(
        key or (int(index) if index else json.loads(quoted))
        for key, index, quoted in _PATH_PART.findall(text)
    )


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

    It is the one that the fewest edits lead to, case aside, if they are no more than one for
    every three letters. An edit leaves a letter out, adds, replaces or swaps one. Failing that, it
    is the only one that begins with these letters, ends with these words or has these initials,
    or the other way round.

    Example:
        >>> nearest("epohcs", ["batch_size", "epochs"]), nearest("zzz", ["epochs"])
        ('epochs', None)
        >>> nearest("ADAM", ["Adam", "SGD"])
        'Adam'
        >>> [nearest(name, ["batch_size", "learning_rate"]) for name in ("batch", "rate", "lr")]
        ['batch_size', 'learning_rate', 'learning_rate']
    """
    if not name or len(name) > _LONGEST_NAME:
        return None
    wanted = name.lower()
    letters = set(wanted)
    found: list[str] = []
    fewest = _LONGEST_NAME
    names = list(dict.fromkeys(names))
    for known in names:
        lower = known.lower()
        longer = max(len(lower), len(wanted))
        limit = min(fewest, max(1, longer // 3), longer - 1)
        # Both are never more than the edits, and far cheaper to tell.
        others = set(lower)
        if abs(len(lower) - len(wanted)) > limit:
            continue
        if len(letters - others) > limit or len(others - letters) > limit:
            continue
        edits = _edits(wanted, lower, limit)
        if edits <= limit:
            found = [*found, known] if edits == fewest else [known]
            fewest = edits
    found = found or _short_forms(name, names)
    return max(sorted(found), key=lambda known: _likeness(name, known), default=None)


def nearest_free(name: str, names: Iterable[str], taken: Collection[str]) -> str | None:
    """As `nearest`, but what is taken already is less likely meant, unless by a slip.

    Example:
        >>> nearest_free("epoch", ["epochs", "steps"], ["epochs"])
        'epochs'
        >>> nearest_free("min", ["minimum", "minute"], ["minimum"])
        'minute'
    """
    names = list(names)
    free = [known for known in names if known not in taken]
    slips = [known for known in names if is_slip(name, known)]
    free_slips = [known for known in slips if known not in taken]
    for among in (free_slips, slips, free, names):
        near = nearest(name, among)
        if near is not None:
            return near
    return None


def is_slip(name: str, known: str) -> bool:
    """Whether a name is a known one but for one or two letters, which is surely what was meant.

    Example:
        >>> is_slip("epohcs", "epochs"), is_slip("lr", "learning_rate")
        (True, False)
    """
    return _edits(name.lower(), known.lower(), 2) <= min(2, len(known) // 2)


def _edits(a: str, b: str, limit: int) -> int:
    """The fewest edits from one word to another; more than `limit` are not counted out."""
    older: list[int] = []
    before = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        row = [i]
        for j, other in enumerate(b, 1):
            edits = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == b[j - 2] and other == a[i - 2]:
                edits = min(edits, older[j - 2] + 1)
            row.append(edits)
        if min(row) > limit:
            return limit + 1
        older, before = before, row
    return before[-1]


def _likeness(name: str, known: str) -> tuple[bool, bool, float, bool]:
    """How alike two names are that are few edits apart.

    People swap letters more often than they put others, seldom miss the first one, and write
    ``huber`` and ``Huber`` on purpose.
    """
    return (
        sorted(name.lower()) == sorted(known.lower()),
        name[0].lower() == known[0].lower(),
        difflib.SequenceMatcher(None, name, known).ratio(),
        name.islower() == known.islower(),
    )


def _short_forms(name: str, names: Iterable[str]) -> list[str]:
    """Known names that a name is short for, or that are short for it."""
    lower = name.lower()
    words = _words(name)
    found = []
    for known in names:
        other = known.lower()
        shorter, longer = sorted((lower, other), key=len)
        if len(shorter) > 2 and longer.startswith(shorter):
            found.append(known)
        # Most names end differently or start differently: they need no closer look.
        elif len(shorter) > 2 and shorter[-1] == longer[-1]:
            fewer, more = sorted((words, _words(known)), key=len)
            if fewer and fewer == more[-len(fewer) :]:
                found.append(known)
        elif 1 < len(lower) < 5 and other.startswith(lower[0]):
            others = _words(known)
            if len(others) > 1 and "".join(word[0] for word in others) == lower:
                found.append(known)
    # What differs in case and underscores alone (``Huber``, ``huber``) is one thing.
    return found if len({known.lower().replace("_", "") for known in found}) == 1 else []


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


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
