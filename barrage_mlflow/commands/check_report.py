"""What a dry run shows: a table of what each stage makes, and a line for each batch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.feeding.conform import ArraySpec, show_shape
from barrage_mlflow.dataset.types import PARTS
from barrage_mlflow.training.prepare import Made
from barrage_mlflow.training.progress import format_logs

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.dataset.records.column_kinds import Column

_WIDTH = 80
_ABSENT = "-"
_STAGES = ("loader", "transformer", "network")


class Report:
    """What has been seen so far of a dry run; it is called at each stage, as a ``Watch`` is.

    A cell of the table is empty where its stage has not been reached, and ``-`` where the stage
    has nothing of that name.

    Args:
        heads: a line for each set of records.

    Attributes:
        feeding: how train records will be fed, and what would make it faster.

    Example:
        >>> report = Report(["train  all 5 records of train"])
        >>> report("the network", loader=({"flower": np.zeros((5, 4))},))
        >>> report("the network", network=({"flowers": ArraySpec((4,), "float32")},))
        >>> print(report.text(ValueError("expected an input 'flowers'")))
        train  all 5 records of train
        <BLANKLINE>
                   loader              network
        inputs
          flower   (batch, 4) float64  -
        > flowers  -                   (batch, 4) float32
        <BLANKLINE>
        stopped at the network
    """

    def __init__(self, heads: Sequence[str]) -> None:
        self.feeding: list[str] = []
        self._heads = heads
        self._stage = ""
        self._columns: list[list[str]] = []
        self._made: dict[str, list[dict[str, str]]] = {}
        self._batches: list[str] = []
        self._score_batch: list[str] = []

    def __call__(self, stage: str, columns: Iterable[Column] = (), **made: Any) -> None:
        """Keep where an error would have stopped it, and what was made."""
        self._stage = stage
        self._columns += [[f"  {each.name}", each.kind, each.reason] for each in columns]
        self._made |= {maker: show_made(arrays) for maker, arrays in made.items()}
        if "postprocess" in made:
            scores = made["postprocess"][0]
            size = len(next(iter(scores.values())))
            self._score_batch = _batch("score batch", size, "  ".join(scores))

    def callback(self) -> keras.callbacks.Callback:
        """Follows the loop from stage to stage."""
        import keras

        from barrage_mlflow.training.fit import SERVICES, VALIDATION

        return keras.callbacks.LambdaCallback(
            on_test_begin=lambda logs: self(VALIDATION),
            # Without logs where the validation broke off.
            on_test_end=lambda logs: self(SERVICES if logs else VALIDATION),
        )

    def add_epoch(self, metrics: Mapping[str, float], trained: int, validated: int) -> None:
        """Add what came of one batch of training and one of validation."""
        of_train = {name: value for name, value in metrics.items() if f"val_{name}" in metrics}
        of_validation = {name: metrics[f"val_{name}"] for name in of_train}
        self._batches += _batch("train batch", trained, format_logs(of_train))
        self._batches += _batch("validation batch", validated, format_logs(of_validation))

    def text(self, error: Exception | None = None) -> str:
        """Write all of it; where an error stopped it, with the rows marked that it names."""
        message = "" if error is None else str(error).partition(";")[0]
        parts = [
            self._heads,
            aligned([["columns"], *self._columns]) if self._columns else [],
            self._table(_STAGES, PARTS, message),
            self._table(["postprocess"], ["scores"]),
            [*self._batches, *self._score_batch],
        ]
        if error is not None:
            parts.append([f"stopped at {self._stage}"])
        else:
            indents = ["feeding  ", *[" " * 9] * len(self.feeding)]
            lines = zip(self.feeding, indents, strict=False)
            parts.append([each for line in lines for each in _wrapped(*line, 11)])
        return "\n\n".join("\n".join(part) for part in parts if part)

    def _table(self, stages: Iterable[str], groups: Iterable[str], message: str = "") -> list[str]:
        """Rows by group and name, a column for each stage that was reached."""
        made = {stage: self._made[stage] for stage in stages if stage in self._made}
        rows = [["", *made]]
        for place, group in enumerate(groups):
            columns = [shown[place] if place < len(shown) else None for shown in made.values()]
            names = dict.fromkeys(name for column in columns for name in column or ())
            rows += [[group]] if names else []
            for name in names:
                texts = ["" if each is None else each.get(name, _ABSENT) for each in columns]
                is_uneven = _ABSENT in texts[1:] and {*texts[1:]} != {_ABSENT}
                is_marked = message and (f"'{name}'" in message or is_uneven)
                rows.append([f"{'>' if is_marked else ' '} {name}", *texts])
        return aligned(rows) if made else []


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest cell; a group's name may be wider.

    Example:
        >>> aligned([["set", "records"], ["train", "70"]])
        ['set    records', 'train  70']
    """
    widths = [max(map(len, column)) for column in zip(*(r for r in rows if r[1:]), strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def _batch(name: str, size: int, text: str) -> list[str]:
    # A name stays with its value: textwrap does not break a line at such a space.
    unbroken = text.replace(" ", "\xa0").replace("\xa0\xa0", "  ")
    lines = _wrapped(f"{size} records:  {unbroken}", f"{name:18}", 18)
    return [line.replace("\xa0", " ") for line in lines]


def _wrapped(text: str, head: str, indent: int) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * indent)


def show_made(made: Made) -> list[dict[str, str]]:
    """Write shapes and dtypes, in a dict for each group.

    Args:
        made: dicts of arrays ``(batch, ...)`` or of :class:`ArraySpec` s, one for each group; or a
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
        {name: _show([record[place][name] for record in made]) for name in part}
        for place, part in enumerate(made[0])
    ]


def _show(made: ArraySpec | Iterable[object]) -> str:
    if isinstance(made, ArraySpec):
        return f"{show_shape(made.shape)} {made.dtype}"
    arrays = [np.asarray(record) for record in made]
    dtype = _dtype(arrays)
    if len({array.ndim for array in arrays}) > 1:
        return f"(batch, ...) {dtype}"
    lengths = [set(axis) for axis in zip(*(array.shape for array in arrays), strict=True)]
    return f"{show_shape([min(axis) if len(axis) == 1 else None for axis in lengths])} {dtype}"


def _dtype(arrays: Sequence[np.ndarray]) -> str:
    if arrays[0].dtype.kind not in "OU":
        return arrays[0].dtype.name
    return "str" if all(isinstance(x, str) for array in arrays for x in array.flat) else "object"
