"""Names of networks, layers and metrics: whether somebody chose them, and for messages."""

from __future__ import annotations

import re
from collections.abc import Iterable

from barrage_mlflow.config.keras_index import snake_name


def is_made_up(name: str, class_name: str) -> bool:
    """Whether Keras made a name from the class and a counter of the whole process.

    Example:
        >>> is_made_up("dense_7", "Dense"), is_made_up("dense", "Dense")
        (True, True)
        >>> is_made_up("species", "Dense")
        False
    """
    return re.fullmatch(re.escape(snake_name(class_name)) + r"(_\d+)?", name) is not None


def listed(names: Iterable[str]) -> str:
    """Returns names for a message, sorted and quoted.

    Example:
        >>> listed({"species", "mass"}), listed([])
        ("'mass', 'species'", 'none')
    """
    return ", ".join(repr(name) for name in sorted(names)) or "none"
