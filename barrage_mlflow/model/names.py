"""Names that do not depend on what else the process has built.

Keras numbers unnamed layers and metrics with a counter of the whole process: the second network
built gets ``dense_2`` where the first got ``dense``. The names here are counted anew for each
network, so that they are those which a fresh process would give.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=.)(?=[A-Z][a-z])")


def snake_case(class_name: str) -> str:
    """Returns the name that Keras derives from a class, without a counter.

    Example:
        >>> snake_case("MeanSquaredError"), snake_case("AUC"), snake_case("Conv2D")
        ('mean_squared_error', 'auc', 'conv2d')
    """
    return _WORD_START.sub("_", class_name).lower()


def automatic_number(name: str, class_name: str) -> int | None:
    """Returns the counter in a name that Keras made up, or None for a name that somebody chose.

    Example:
        >>> automatic_number("dense_7", "Dense"), automatic_number("dense", "Dense")
        (7, 0)
        >>> automatic_number("species", "Dense") is None
        True
    """
    found = re.fullmatch(re.escape(snake_case(class_name)) + r"(?:_(\d+))?", name)
    return int(found[1] or 0) if found else None


def stable_names(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Numbers the automatic names of one network from zero, in the order of their making.

    Args:
        named: pairs of a layer's name and the name of its class.

    Returns:
        The stable name of each name; chosen names stay as they are.

    Example:
        >>> stable_names([("dense_8", "Dense"), ("dense_7", "Dense"), ("species", "Dense")])
        {'dense_8': 'dense_1', 'dense_7': 'dense', 'species': 'species'}
    """
    pairs = list(named)
    stable = {name: name for name, _ in pairs}
    automatic: dict[str, list[tuple[int, str]]] = {}
    for name, class_name in pairs:
        number = automatic_number(name, class_name)
        if number is not None:
            automatic.setdefault(snake_case(class_name), []).append((number, name))
    for stem, members in automatic.items():
        for rank, (_, name) in enumerate(sorted(set(members))):
            stable[name] = f"{stem}_{rank}" if rank else stem
    return stable


def unique_names(names: Sequence[str]) -> list[str]:
    """Tells repeated names apart by ``_1``, ``_2`` …; the first keeps its name.

    Example:
        >>> unique_names(["AUC", "mae", "AUC", "AUC"])
        ['AUC', 'mae', 'AUC_1', 'AUC_2']
    """
    unique: list[str] = []
    for name in names:
        number, candidate = 0, name
        while candidate in unique:
            number += 1
            candidate = f"{name}_{number}"
        unique.append(candidate)
    return unique


def listed(names: Iterable[str]) -> str:
    """Returns names for a message, sorted and quoted.

    Example:
        >>> listed({"species", "mass"}), listed([])
        ("'mass', 'species'", 'none')
    """
    return ", ".join(repr(name) for name in sorted(names)) or "none"


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ``"did you mean 'species'?"``, or nothing where no known name is near.

    Example:
        >>> nearest("specie", ["mass", "species"])
        "did you mean 'species'?"
        >>> nearest("colour", ["mass", "species"])
        ''
    """
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else ""
