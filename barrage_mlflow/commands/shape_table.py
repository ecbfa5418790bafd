"""A table of what each stage makes of every input, output and sample weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from barrage_mlflow.dataset import ArraySpec, show_shape
from barrage_mlflow.training.prepare import Made

_ABSENT = "-"


class ShapeTable:
    """Rows by group and name, a column for each stage; it grows as stages are reached.

    A cell is empty where its stage has not been reached, and ``-`` where the stage has nothing
    of that name.

    Args:
        stages: the names of the columns.

    Example:
        >>> table = ShapeTable(["loader", "network"])
        >>> table.fill("loader", "inputs", {"flower": "(batch, 4) float64"})
        >>> table.fill("network", "inputs", {"flowers": "(batch, 4) float32"})
        >>> for line in table.lines("expected an input 'flowers'"):
        ...     print(line)
                   loader              network
        inputs
          flower   (batch, 4) float64  -
        > flowers  -                   (batch, 4) float32
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self._stages = list(stages)
        self._groups: dict[str, dict[str, dict[str, str]]] = {}
        self._reached: set[tuple[str, str]] = set()

    def fill(self, stage: str, group: str, cells: Mapping[str, str]) -> None:
        """Set what a stage makes of the names of a group."""
        self._reached.add((stage, group))
        rows = self._groups.setdefault(group, {})
        for name, text in cells.items():
            rows.setdefault(name, {})[stage] = text

    def lines(self, error: str = "") -> list[str]:
        """The table as text, with the stages that were reached; empty if none was.

        Args:
            error: the message of what went wrong, if anything did. Rows that its first clause
                names are marked, and those that one of the later stages lacks.
        """
        clause = error.partition(";")[0]
        stages = [stage for stage in self._stages if any(stage == one for one, _ in self._reached)]
        rows = []
        for group, names in self._groups.items():
            rows += [[group]] if names else []
            for name, cells in names.items():
                gaps = [_ABSENT if (stage, group) in self._reached else "" for stage in stages]
                texts = [cells.get(stage, gap) for stage, gap in zip(stages, gaps, strict=True)]
                is_uneven = _ABSENT in texts[1:] and texts[1:] != [_ABSENT] * len(texts[1:])
                is_marked = error and (f"'{name}'" in clause or is_uneven)
                rows.append([f"{'>' if is_marked else ' '} {name}", *texts])
        if rows:
            rows.insert(0, ["", *stages])
        return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; a group's name may be wider."""
    widths = [max(map(len, column)) for column in zip(*(r for r in rows if r[1:]), strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def show_made(made: Made) -> list[dict[str, str]]:
    """Write the shape and dtype of all that was made of a batch, by name.

    Args:
        made: arrays ``(batch, ...)`` or :class:`ArraySpec` s by name, in one or more groups; or a
            list of records' arrays ``(...)``, which may differ in shape.

    Returns:
        One dict for each group. Python strings have the dtype ``str``.

    Example:
        >>> show_made(({"x": np.zeros((2, 4))}, {"y": np.array(["a", "b"], object)}))
        [{'x': '(batch, 4) float64'}, {'y': '(batch) str'}]
        >>> show_made([({"x": np.zeros(3)},), ({"x": np.zeros(5)},)])
        [{'x': '(batch, any) float64'}]
    """
    if isinstance(made, tuple):
        return [{name: _show(array) for name, array in part.items()} for part in made]
    return [
        {name: _show_uneven([record[place].get(name) for record in made]) for name in part}
        for place, part in enumerate(made[0])
    ]


def _show(array: np.ndarray | ArraySpec) -> str:
    if isinstance(array, ArraySpec):
        return f"{show_shape(array.shape)} {array.dtype}"
    return f"{show_shape(array.shape[1:])} {_dtype([array])}"


def _show_uneven(cells: Sequence[object]) -> str:
    arrays = [np.asarray(cell) for cell in cells if cell is not None]
    if len({array.ndim for array in arrays}) > 1:
        return f"(batch, ...) {_dtype(arrays)}"
    lengths = [set(axis) for axis in zip(*(array.shape for array in arrays), strict=True)]
    shape = [min(axis) if len(axis) == 1 else None for axis in lengths]
    return f"{show_shape(shape)} {_dtype(arrays)}"


def _dtype(arrays: Sequence[np.ndarray]) -> str:
    if all(_is_text(array) for array in arrays):
        return "str"
    return arrays[0].dtype.name


def _is_text(array: np.ndarray) -> bool:
    if array.dtype != object:
        return array.dtype.kind == "U"
    return all(isinstance(cell, str) for cell in array.flat)
