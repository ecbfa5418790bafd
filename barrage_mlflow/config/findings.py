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
    in_order = sorted(dict.fromkeys(findings), key=lambda found: _rank(found.where, document.data))
    return [
        Fault(
            str(found.where),
            found.message,
            found.remedy,
            document.place(found.where.path, key=found.where.is_key),
        )
        for found in in_order
    ]


def _rank(where: Where, data: Any) -> tuple[tuple[int, ...], bool]:
    """The position of each key among its siblings, which sorts like the text."""
    rank: list[int] = []
    for part in where.path:
        if isinstance(data, dict) and part in data:
            rank.append(list(data).index(part))
            data = data[part]
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            rank.append(part)
            data = data[part]
        else:
            break
    # A key comes before its value.
    return tuple(rank), not where.is_key
