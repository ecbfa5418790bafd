"""Reports: each is one table, picture or sentence about an outcome; here they are written."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import pandas as pd

from barrage_mlflow.errors import describe_error
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pictures import shortened, write_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Made: TypeAlias = "Figure | pd.DataFrame | str | None"
Report: TypeAlias = Callable[[Outcome, Kept], Made]
"""Makes one table, picture or sentence about an outcome, of it and of some records themselves; None
where there is nothing to say. It is called after its function."""

logger = logging.getLogger(__name__)

REPORT = "report.md"

_SIGNS = re.compile(r"[\\`*\[\]<&|~]|(?<!\w)_|_(?!\w)")
_ROWS = 40
"""Rows of a table that stand in the report; its file has them all."""


class Pages:
    """Writes ``report.md`` of a set, with its pictures and tables in a folder for each output.

    Args:
        folder: where to; files of an earlier report are written over.

    Attributes:
        files: what was written, by its path in the folder.
        left: what there was no time for.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: list[str] = []
        self.left: list[str] = []
        self._lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Add lines of Markdown, and an empty one."""
        self._lines += [*lines, ""]

    def add(self, title: str, path: str, made: Made) -> None:
        """Add a table, picture or sentence under a title; what is no sentence has a file too.

        Args:
            title: over it; none if empty.
            path: of its file in the folder, without what follows the point.
            made: what is added; nothing is if it is None.
        """
        if made is not None:
            lines = [f"### {plain(title)}", ""] if title else []
            self.say(*lines, *self._written(title, made, path))

    def attempt(self, title: str, path: str, make: Callable[[], Made]) -> None:
        """Add what is made; if that fails, a warning on the log says so, and the page."""
        try:
            self.add(title, path, make())
        except Exception as error:
            said = describe_error(error)
            logger.warning("report %s: %s", path, said)
            self.add(title, path, plain(f"It failed: {said}"))

    def _written(self, title: str, made: Any, path: str) -> list[str]:
        """The lines of what was made, whose file is written."""
        if isinstance(made, str):
            return [made]
        is_table = hasattr(made, "columns")
        path = self._free(path, ".json" if is_table else ".png")
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_table:
            # As MLflow's log_table writes one, so that its page compares it between runs.
            written = {"columns": [*made.columns], "data": cells_of(made)}
            target.write_text(json.dumps(written, ensure_ascii=False, default=str), "utf-8")
        else:
            write_picture(made, target)
        self.files.append(path)
        return as_markdown(made) if is_table else [f"![{plain(title)}]({quote(path)})"]

    def _free(self, path: str, suffix: str) -> str:
        """The path of a file that was not written yet."""
        paths = (f"{path}{f'_{n}' if n > 1 else ''}{suffix}" for n in count(1))
        return next(each for each in paths if each not in self.files)

    def write(self) -> None:
        """Write ``report.md``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.files.insert(0, REPORT)
        (self.folder / REPORT).write_text("\n".join(self._lines), "utf-8")


def cells_of(table: pd.DataFrame) -> list[list[Any]]:
    """The cells of a table as JSON has them; what is not defined is None."""
    rows = table.astype(object).to_numpy().tolist()
    return [[None if _is_undefined(cell) else cell for cell in row] for row in rows]


def _is_undefined(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and not math.isfinite(cell))


def as_markdown(table: pd.DataFrame) -> list[str]:
    """Lay a table out in Markdown, numbers short and to the right.

    Example:
        >>> import pandas as pd
        >>> for line in as_markdown(pd.DataFrame({"metric": ["mae"], "value": [0.123456]})):
        ...     print(line)
        | metric | value |
        |---|--:|
        | mae | 0.1235 |
    """
    rows = cells_of(table)
    numeric = [
        any(isinstance(row[at], int | float) for row in rows)
        and all(isinstance(row[at], int | float | None) for row in rows)
        for at in range(len(table.columns))
    ]
    rule = "|".join("--:" if each else "---" for each in numeric)
    lines = [_line(map(str, table.columns)), f"|{rule}|", *map(_line, rows[:_ROWS])]
    if len(rows) > _ROWS:
        lines += ["", f"… and {len(rows) - _ROWS} more."]
    return lines


def show(cell: Any) -> str:
    """A cell as people read it: four digits of a number that is not whole.

    Example:
        >>> show(0.123456), show(12345.678), show(7), show(None)
        ('0.1235', '12,346', '7', '–')
    """
    if _is_undefined(cell):
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 1e4 else f"{cell:.4g}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}" if abs(cell) >= 1e4 else str(cell)
    return shortened(" ".join(str(cell).split()), 60)


def show_range(low: float, high: float) -> str:
    """An interval as people read it.

    Example:
        >>> show_range(0.5, 12345.678)
        '0.5 … 12,346'
    """
    return show(low) if math.isnan(low) else f"{show(low)} … {show(high)}"


def plain(text: str) -> str:
    r"""A text where it stands in Markdown: nothing in it is taken for a sign of that.

    Example:
        >>> print(plain("<b> of a_b | *"))
        \<b> of a_b \| \*
    """
    return _SIGNS.sub(r"\\\g<0>", text)


def _line(cells: Iterable[Any]) -> str:
    return f"| {' | '.join(plain(show(cell)) for cell in cells)} |"
