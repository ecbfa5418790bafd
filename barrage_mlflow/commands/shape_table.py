"""A table of what each stage makes of every input, output and sample weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from barrage_mlflow.dataset import DataRecord, show_shape

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
        >>> table.mark("inputs", "flower")
        >>> for line in table.lines():
        ...     print(line)
                   loader              network
        inputs
        > flower   (batch, 4) float64  -
          flowers  -                   (batch, 4) float32
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self._stages = list(stages)
        self._groups: dict[str, dict[str, dict[str, str]]] = {}
        self._reached: set[tuple[str, str]] = set()
        self._marked: set[tuple[str, str]] = set()

    def fill(self, stage: str, group: str, cells: Mapping[str, str]) -> None:
        """Set what a stage makes of the names of a group."""
        self._reached.add((stage, group))
        rows = self._groups.setdefault(group, {})
        for name, text in cells.items():
            rows.setdefault(name, {})[stage] = text

    def mark(self, group: str, name: str) -> None:
        """Mark the row of that name, if there is one, as the one to look at."""
        self._marked.add((group, name))

    def lines(self) -> list[str]:
        """The table as text, with the stages that were reached; empty if none was."""
        stages = [stage for stage in self._stages if any(stage == one for one, _ in self._reached)]
        rows = []
        for group, names in self._groups.items():
            rows += [[group]] if names else []
            for name, cells in names.items():
                lead = ">" if (group, name) in self._marked else " "
                gaps = [_ABSENT if (stage, group) in self._reached else "" for stage in stages]
                texts = [cells.get(stage, gap) for stage, gap in zip(stages, gaps, strict=True)]
                rows.append([f"{lead} {name}", *texts])
        if rows:
            rows.insert(0, ["", *stages])
        return _aligned(rows)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; a group's name may stand out."""
    widths = [max(map(len, column)) for column in zip(*(r for r in rows if r[1:]), strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def show_array(shape: Sequence[int | None], dtype: str) -> str:
    """Write the shape and dtype of a batch, given the shape of one record.

    Example:
        >>> show_array((4,), "float32")
        '(batch, 4) float32'
    """
    return f"{show_shape(shape)} {dtype}"


def show_data(data: DataRecord | Sequence[DataRecord]) -> list[dict[str, str]]:
    """Write the shape and dtype of every array of a batch; Python strings have the dtype ``str``.

    Args:
        data: arrays ``(batch, ...)``; or a list of records' arrays ``(...)``, which may differ in
            shape.

    Returns:
        By name, for inputs, outputs and sample weights, as far as they are there.

    Example:
        >>> show_data(({"x": np.zeros((2, 4))}, {"y": np.array(["a", "b"], object)}))
        [{'x': '(batch, 4) float64'}, {'y': '(batch) str'}]
        >>> show_data([({"x": np.zeros(3)},), ({"x": np.zeros(5)},)])
        [{'x': '(batch, any) float64'}]
    """
    if isinstance(data, tuple):
        return [
            {name: show_array(array.shape[1:], _dtype([array])) for name, array in part.items()}
            for part in data
        ]
    return [
        {name: _show_uneven([record[place].get(name) for record in data]) for name in part}
        for place, part in enumerate(data[0])
    ]


def _show_uneven(cells: Sequence[object]) -> str:
    arrays = [np.asarray(cell) for cell in cells if cell is not None]
    if len({array.ndim for array in arrays}) > 1:
        return f"(batch, ...) {_dtype(arrays)}"
    lengths = [set(axis) for axis in zip(*(array.shape for array in arrays), strict=True)]
    return show_array([min(axis) if len(axis) == 1 else None for axis in lengths], _dtype(arrays))


def _dtype(arrays: Sequence[np.ndarray]) -> str:
    if all(_is_text(array) for array in arrays):
        return "str"
    return arrays[0].dtype.name


def _is_text(array: np.ndarray) -> bool:
    if array.dtype != object:
        return array.dtype.kind == "U"
    return all(isinstance(cell, str) for cell in array.flat)
