"""What the checks of a config find, before it is put in order and given its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.paths import Path, show_path, value_at
from barrage_mlflow.errors import Fault


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: the value at fault; of an unknown key, the key's own path.
        message: what was expected and what came.
        remedy: what to write instead.
        is_key: the key is at fault, not its value; it is then shown as a fault of its object.
    """

    path: Path
    message: str
    remedy: str = ""
    is_key: bool = False


def as_faults(findings: Iterable[Finding], document: Document) -> list[Fault]:
    """Findings as faults, each once, in the order of the config's text.

    Example:
        >>> document = Document({"a": 1, "b": 2})
        >>> found = [Finding(("b",), "second"), Finding(("a",), "first", is_key=True)]
        >>> [str(fault) for fault in as_faults(found, document)]
        ['$: first', '$.b: second']
    """
    in_order = sorted(
        dict.fromkeys(findings),
        # A key stands before its value.
        key=lambda found: (_rank(found.path, document.data), not found.is_key),
    )
    return [
        Fault(
            show_path(found.path[:-1] if found.is_key else found.path),
            found.message,
            found.remedy,
            document.place(found.path, key=found.is_key),
        )
        for found in in_order
    ]


def _rank(path: Path, data: Any) -> tuple[int, ...]:
    """The position of each key among its siblings, which sorts like the text."""
    rank: list[int] = []
    for part in path:
        if isinstance(data, dict) and part in data:
            rank.append(list(data).index(part))
        elif isinstance(data, list) and isinstance(part, int):
            rank.append(part)
        data = value_at(data, (part,))
    return tuple(rank)
