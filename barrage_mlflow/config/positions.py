"""Where in the text of a config its keys and values are."""

from __future__ import annotations

import functools
from typing import Any

from barrage_mlflow.config.paths import Path


def place_in(text: str, path: Path, key: bool) -> tuple[int, int]:
    """Line and column, in YAML or JSON text, of what a path leads to, or of the nearest around it.

    Example:
        >>> place_in("solver: {epochs: 3}", ("solver", "epochs"), key=False)
        (1, 18)
    """
    node = _root(text)
    mark = node.start_mark
    for i, part in enumerate(path):
        pairs: dict[Any, Any] = {}
        if node.id == "mapping":
            pairs = {str(name.value): (name, value) for name, value in node.value}
        elif node.id == "sequence":
            pairs = dict(enumerate((item, item) for item in node.value))
        if part not in pairs:
            break
        name, node = pairs[part]
        mark = (name if key and i == len(path) - 1 else node).start_mark
    return mark.line + 1, mark.column + 1


@functools.lru_cache(maxsize=1)
def _root(text: str) -> Any:
    # Only where something is wrong: its import takes longer than reading JSON does.
    import yaml

    try:
        # JSON is YAML, but for the tabs that it may be indented with.
        return yaml.compose(text.replace("\t", " "), yaml.SafeLoader) or yaml.compose("{}")
    except yaml.YAMLError:  # a character that JSON alone may have, such as DEL
        return yaml.compose("{}")
