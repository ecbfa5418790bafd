"""What the checks of a config find, before it is put in order and given its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.paths import Path, show_path
from barrage_mlflow.errors import Fault

if TYPE_CHECKING:
    from barrage_mlflow.config.document import Document


@dataclass(frozen=True)
class Where:
    """Which value of a config, or which key of it, is at fault.

    Attributes:
        path: of the value; of a key, the path of the value under it.
        is_key: the key is at fault, not its value; it is then shown as a fault of its object.

    Example:
        >>> str(Where(("solver", "epochs"))), str(Where(("solver", "epoch"), is_key=True))
        ('$.solver.epochs', '$.solver')
    """

    path: Path
    is_key: bool = False

    def __str__(self) -> str:
        return show_path(self.path[:-1] if self.is_key else self.path)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        where: the value or key at fault.
        message: what was expected and what came.
        remedy: what to write instead; empty where there is no better word.

    Example:
        >>> finding = Finding(Where(("epoch",), is_key=True), "unknown key 'epoch'")
        >>> finding.below(("solver",)).where.path
        ('solver', 'epoch')
    """

    where: Where
    message: str
    remedy: str = ""

    def below(self, path: Path) -> Finding:
        """The same of a block that is at a path."""
        return replace(self, where=replace(self.where, path=(*path, *self.where.path)))

    def __str__(self) -> str:
        return self.message + (f"; {self.remedy}" if self.remedy else "")


def as_faults(findings: Iterable[Finding], document: Document) -> list[Fault]:
    """Findings as faults, each once, in the order of the config's text.

    Example:
        >>> from barrage_mlflow.config.document import Document
        >>> document = Document({"a": 1, "b": 2})
        >>> found = [Finding(Where(("b",)), "2nd"), Finding(Where(("a",), is_key=True), "1st")]
        >>> [str(fault) for fault in as_faults(found, document)]
        ['$: 1st', '$.b: 2nd']
    """
    # A key comes before its value.
    in_order = sorted(
        dict.fromkeys(findings),
        key=lambda found: (_rank(found.where.path, document.data), not found.where.is_key),
    )
    return [
        Fault(
            str(found.where),
            found.message,
            found.remedy,
            document.place(found.where.path, key=found.where.is_key),
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
