"""Names that do not depend on what else the process has built.

Keras numbers unnamed layers and metrics with a counter of the whole process: the second network
built gets ``dense_2`` where the first got ``dense``. The names here are counted anew for each
network, so that they are those which a fresh process would give.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from barrage_mlflow.config.keras_index import snake_name as snake_case
from barrage_mlflow.config.monitors import unique_names

__all__ = [
    "automatic_number",
    "listed",
    "snake_case",
    "stable_names",
    "unique_names",
]


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


def listed(names: Iterable[str]) -> str:
    """Returns names for a message, sorted and quoted.

    Example:
        >>> listed({"species", "mass"}), listed([])
        ("'mass', 'species'", 'none')
    """
    return ", ".join(repr(name) for name in sorted(names)) or "none"
