"""Counts what a reader of the engine must read, by folder.

A code line holds a token that is neither a comment nor a docstring. An arrow is a pair of rooms
(folders, and the modules beside them) of which the first imports from the second. Run it at the
top of the repository: ``python tools/size.py [FOLDER …]``.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "barrage_mlflow"
LONGEST = 400
_SILENT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass
class Size:
    """What some modules come to.

    Attributes:
        modules: how many they are.
        lines: all lines of them.
        code: lines that hold code.
        docstrings: lines of docstrings.
        functions: functions and methods.
        classes: classes.
        longest: lines of the longest module.
    """

    modules: int = 0
    lines: int = 0
    code: int = 0
    docstrings: int = 0
    functions: int = 0
    classes: int = 0
    longest: int = 0

    def add(self, other: Size) -> None:
        """Count other modules in."""
        for name in ("modules", "lines", "code", "docstrings", "functions", "classes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.longest = max(self.longest, other.longest)


@dataclass
class House:
    """The sizes of rooms, and the arrows between them."""

    rooms: dict[str, Size] = field(default_factory=dict)
    arrows: set[tuple[str, str]] = field(default_factory=set)


def measure(path: Path) -> Size:
    """Measure one module."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    docstrings = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    silent = {line for node in docstrings for line in _docstring_lines(node)}
    spoken = {
        line
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type not in _SILENT
        for line in range(token.start[0], token.end[0] + 1)
    }
    functions = [n for n in docstrings if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return Size(
        modules=1,
        lines=len(text.splitlines()),
        code=len(spoken - silent),
        docstrings=sum(len([*_docstring_lines(node)]) for node in docstrings),
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for node in docstrings),
        longest=len(text.splitlines()),
    )


def look(package: Path) -> House:
    """Measure every room of a package."""
    house = House()
    for path in sorted(package.rglob("*.py")):
        room = _room(path.relative_to(package.parent).with_suffix("").parts)
        house.rooms.setdefault(room, Size()).add(measure(path))
        for module in _imports(path, package.name):
            other = _room(tuple(module.split(".")))
            # The package itself hands the public names on, whatever room they are from.
            if package.name not in (room, other) and room != other:
                house.arrows.add((room, other))
    return house


def _docstring_lines(node: ast.AST) -> Iterator[int]:
    assert isinstance(node, _DOCUMENTED)
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)


def _room(parts: tuple[str, ...]) -> str:
    """The folder of the package that a module is in; one right in the package is its own room."""
    inner = [part for part in parts[1:] if part != "__init__"]
    ends = [Path(*parts[:1], *inner[:end]) for end in range(len(inner), 0, -1)]
    rooms = [end for end in ends if end.is_dir()]
    # What is not of a folder is a module, or a name of the package itself.
    rooms += [end for end in ends[-1:] if end.with_suffix(".py").is_file()]
    found = next(iter(rooms), Path(parts[0]))
    return "/".join(found.parts[1:]) or parts[0]


def _imports(path: Path, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_within(alias.name, package))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_within(node.module, package):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _row(name: str, size: Size, out: int | str) -> str:
    each = size.docstrings / size.functions if size.functions else 0
    return (
        f"{name:22}{size.modules:8}{size.lines:8}{size.code:8}{size.classes:8}{size.functions:10}"
        f"{each:12.1f}{size.longest:9}{out:>8}"
    )


def main(folders: list[str]) -> None:
    """Print a table for each folder."""
    for folder in folders or [PACKAGE]:
        house = look(Path(folder))
        arrows = Counter(source for source, _ in house.arrows)
        total = Size()
        print(
            f"{folder:22}{'modules':>8}{'lines':>8}{'code':>8}{'classes':>8}{'functions':>10}"
            f"{'doc lines/f':>12}{'longest':>9}{'arrows':>8}"
        )
        for room, size in house.rooms.items():
            total.add(size)
            print(_row(room, size, arrows[room]))
        print(_row("all", total, len(house.arrows)))


if __name__ == "__main__":
    main(sys.argv[1:])
