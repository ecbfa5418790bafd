"""Names in messages: the known name that a mistyped one means, and lists of known ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable

_SHOWN_NAMES = 20
_LIKE = 0.65
"""How alike two names are at least, of which one may mean the other, from 0 to 1."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means, or None.

    It is the one most alike by `difflib`, case aside; else the one name that starts or ends with
    the other, or has it as initials, if there is only one.

    Args:
        name: what was typed.
        names: the known names.

    Example:
        >>> nearest("epohcs", ["batch_size", "epochs"]), nearest("zzz", ["epochs"])
        ('epochs', None)
        >>> nearest("ADAM", ["Adam", "SGD"])
        'Adam'
        >>> [nearest(name, ["batch_size", "learning_rate"]) for name in ("batch", "rate", "lr")]
        ['batch_size', 'learning_rate', 'learning_rate']
    """
    names = sorted(names)
    lower = {known.lower() for known in names}
    alike = difflib.get_close_matches(name.lower(), lower, n=5, cutoff=_LIKE)
    found = [known for known in names if known.lower() in alike] or _short_forms(name, names)
    return max(found, key=lambda known: _likeness(name, known), default=None)


def is_slip(name: str, known: str) -> bool:
    """Whether a name is a known one but for a slip of the finger, which is surely what was meant.

    Example:
        >>> is_slip("epohcs", "epochs"), is_slip("lr", "learning_rate")
        (True, False)
    """
    a, b = name.lower(), known.lower()
    blocks = difflib.SequenceMatcher(None, a, b).get_matching_blocks()
    # A letter in the place of another counts twice, and so do two that are swapped.
    unmatched = len(a) + len(b) - 2 * sum(block.size for block in blocks)
    return len(b) > 1 and unmatched <= 2


def _likeness(name: str, known: str) -> tuple[bool, float, float]:
    """How alike two names are; letters are swapped more often than replaced."""
    a, b = name.lower(), known.lower()
    return (
        sorted(a) == sorted(b),
        difflib.SequenceMatcher(None, a, b).ratio(),
        difflib.SequenceMatcher(None, name, known).ratio(),
    )


def _short_forms(name: str, names: list[str]) -> list[str]:
    """The known name that a name is short for, or that is short for it; none if it is not alone."""
    found = []
    for known in names:
        shorter, longer = sorted((name.lower(), known.lower()), key=len)
        initials = "".join(re.findall(r"(?:^|_)([a-z])", known.lower()))
        is_part = longer.startswith(shorter) or longer.endswith(shorter)
        if (len(shorter) > 2 and is_part) or (len(name) > 1 and name.lower() == initials):
            found.append(known)
    # What differs in case alone (``Huber``, ``huber``) is one thing.
    return found if len({known.lower() for known in found}) == 1 else []


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """The remedy that the nearest known name makes; empty where `nearest` finds none.

    Example:
        >>> did_you_mean("epoch", ["epochs"]), did_you_mean("zzz", ["epochs"])
        ("did you mean 'epochs'?", '')
    """
    near = nearest(name, names)
    return "" if near is None else f"did you mean {near!r}?"


def suggest(name: str, names: Iterable[str], what: str, taken: Collection[str] = ()) -> str:
    """The remedy for an unknown name: the nearest known one, else the known ones.

    Args:
        name: what was typed.
        names: the known names.
        what: what they are names of, for the message.
        taken: of these, names in use, which are suggested only for a slip of the finger.

    Example:
        >>> suggest("epoch", ["epochs"], "keys")
        "did you mean 'epochs'?"
        >>> suggest("zzz", ["epochs", "steps"], "keys")
        "known keys: 'epochs', 'steps'"
        >>> suggest("minimm", ["minimum", "minute"], "keys", taken=["minimum"])
        "did you mean 'minimum'?"
        >>> suggest("min", ["minimum", "minute"], "keys", taken=["minimum"])
        "did you mean 'minute'?"
    """
    names = list(names)
    known = f"known {what}: {show_names(names)}" if names else ""
    near = nearest(name, names)
    if near and near in taken and not is_slip(name, near):
        near = nearest(name, [one for one in names if one not in taken]) or near
    return f"did you mean {near!r}?" if near else known


def show_names(names: Iterable[str]) -> str:
    """Names in quotes, the first twenty of them; "none" if there are none.

    Example:
        >>> show_names(["a", "b"])
        "'a', 'b'"
    """
    names = list(names)
    more = ", …" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(map(repr, names[:_SHOWN_NAMES])) + more or "none"
