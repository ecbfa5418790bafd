"""Names of networks, layers and metrics, as far as somebody chose them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from barrage_mlflow.config.keras_index import snake_name as snake_case
from barrage_mlflow.config.monitors import unique_names

__all__ = ["is_made_up", "listed", "snake_case", "unique_names"]


def is_made_up(name: str, class_name: str) -> bool:
    """Whether Keras made a name from the class and a counter of the whole process.

    Example:
        >>> is_made_up("dense_7", "Dense"), is_made_up("dense", "Dense")
        (True, True)
        >>> is_made_up("species", "Dense")
        False
    """
    return re.fullmatch(re.escape(snake_case(class_name)) + r"(_\d+)?", name) is not None


def listed(names: Iterable[str]) -> str:
    """Returns names for a message, sorted and quoted.

    Example:
        >>> listed({"species", "mass"}), listed([])
        ("'mass', 'species'", 'none')
    """
    return ", ".join(repr(name) for name in sorted(names)) or "none"
