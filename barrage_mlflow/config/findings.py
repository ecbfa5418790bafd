"""What the checks of a config find, before it is put in order and given its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.paths import Path, show_path
from barrage_mlflow.errors import Fault

if TYPE_CHECKING:
    from barrage_mlflow.config.document import Document


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        path: of the value at fault; of a key, the path of the value under it.
        message: what was expected and what came.
        remedy: what to write instead; empty where there is no better word.
        is_key: the key is at fault, not its value; it is then shown as a fault of its object.
    """

    path: Path
    message: str
    remedy: str = ""
    is_key: bool = False

    def __str__(self) -> str:
        return self.message + (f"; {self.remedy}" if self.remedy else "")


def as_faults(findings: Iterable[Finding], document: Document) -> list[Fault]:
    """Findings as faults, each once, in the order of the config's text.

    Example:
        >>> from barrage_mlflow.config.document import Document
        >>> document = Document({"a": 1, "b": 2})
        >>> found = [Finding(("b",), "2nd"), Finding(("a",), "1st", is_key=True)]
        >>> [str(fault) for fault in as_faults(found, document)]
        ['$: 1st', '$.b: 2nd']
    """
    # A key comes before its value.
    in_order = sorted(
        dict.fromkeys(findings),
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


def _rank(path: Path, data: Any) -> list[int]:
    """The position of each key among its siblings, which sorts like the text."""
    keys = list(data) if isinstance(data, dict) else []
    if isinstance(data, list):
        keys = list(range(len(data)))
    if not path or path[0] not in keys:
        return []
    return [keys.index(path[0]), *_rank(path[1:], data[path[0]])]
