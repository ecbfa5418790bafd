"""Conform a batch to what the network takes: names, dtypes, shapes, finite numbers.

Whatever does not fit is named with its record, column and value before TensorFlow sees it.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.stacking import component_name, listed
from barrage_mlflow.dataset.components.transformer import IdentityTransformer, RecordTransformer
from barrage_mlflow.dataset.records.columns import is_missing
from barrage_mlflow.dataset.records.records import Records, find_word
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.errors import ComponentError, RecordError

_NO_VALUE = object()


@dataclass(frozen=True)
class ArraySpec:
    """What the network takes as one input.

    Attributes:
        shape: the shape of one record, without the batch; None where any length will do.
        dtype: NumPy's name of the dtype, ``"float32"``, or ``"string"``.

    Example:
        >>> ArraySpec((None, 3), "float32").takes((7, 3))
        True
    """

    shape: tuple[int | None, ...]
    dtype: str

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a record's array of this shape fits."""
        return len(shape) == len(self.shape) and all(
            want is None or want == got for want, got in zip(self.shape, shape, strict=True)
        )


def conform_inputs(
    x: Mapping[str, Array],
    specs: Mapping[str, ArraySpec],
    records: Records,
    loader: RecordLoader,
    transformer: RecordTransformer | None = None,
) -> dict[str, Array]:
    """The inputs of a batch in the shapes and dtypes that the network takes.

    Args:
        x: input name → ``(batch, ...)``.
        specs: input name → what the network takes.
        records: what the batch was made of, for messages.
        loader: tells which columns an input was made of, for messages.
        transformer: what the inputs came through, for messages.

    Returns:
        Input name → ``(batch, *shape)``; objects (Python strings) for dtype ``"string"``.

    Raises:
        ComponentError: the names are not those of the network.
        RecordError: a shape or dtype does not fit, or a value is missing, not a number, NaN or
            infinite.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.SCORE, {"x": "a"}, {"y": "b"})
        >>> records = Records.read([{"a": 1}, {"a": 2}])
        >>> x = loader.load_batch(records)[0]
        >>> conform_inputs(x, {"x": ArraySpec((1,), "float32")}, records, loader)["x"].tolist()
        [[1.0], [2.0]]
    """
    place = _Place(records, loader, transformer)
    if x.keys() != specs.keys():
        strange = [name for name in x if name not in specs]
        hint = did_you_mean(strange[0], specs) if len(strange) == 1 else ""
        raise ComponentError(
            f"the inputs do not match: {place.component} gives {listed(x)}; "
            f"the network takes {listed(specs)}{f'; {hint}' if hint else ''} (stage feed)"
        )
    return {name: _input(name, x[name], specs[name], place) for name in specs}


def conform_targets(
    y: Mapping[str, Array],
    w: Mapping[str, Array] | None,
    records: Records,
    loader: RecordLoader,
    transformer: RecordTransformer | None = None,
) -> tuple[dict[str, Array], dict[str, Array] | None]:
    """The outputs and sample weights of a batch as finite numbers.

    Args:
        y: output name → ``(batch, ...)``.
        w: output name → ``(batch,)`` or ``(batch, time)``, or None.
        records: what the batch was made of, for messages.
        loader: tells which columns an output was made of, for messages.
        transformer: what the outputs came through, for messages.

    Returns:
        The outputs, integers as int64 and all other numbers as float32; the weights as float32.

    Raises:
        RecordError: a value is missing, not a number, NaN or infinite.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> records = Records.read([{"a": 1, "b": 0.5}])
        >>> conform_targets(loader.load_batch(records)[1], None, records, loader)
        ({'y': array([0.5], dtype=float32)}, None)
    """
    place = _Place(records, loader, transformer)
    targets = {}
    for name, array in y.items():
        what = f"output '{name}'"
        wanted = "int64" if array.dtype.kind in "iu" else "float32"
        targets[name] = _finite(_numbers(array, name, what, place), wanted, name, what, place)
    if w is None:
        return targets, None
    weights = {}
    for name, array in w.items():
        what = f"sample weight '{name}'"
        numbers = _numbers(array, name, what, place, weight=True)
        weights[name] = _finite(numbers, "float32", name, what, place, weight=True)
    return targets, weights


class _Place:
    """Says where a value that does not fit came from."""

    def __init__(
        self, records: Records, loader: RecordLoader, transformer: RecordTransformer | None
    ) -> None:
        self.records = records
        self.loader = loader
        self.transformer = None if type(transformer) is IdentityTransformer else transformer

    @property
    def component(self) -> str:
        """The component that gave the batch its last form."""
        return component_name(self.transformer or self.loader)

    def error(
        self,
        index: int,
        name: str,
        what: str,
        message: str,
        value: Any = _NO_VALUE,
        weight: bool = False,
        wants_number: bool = False,
    ) -> RecordError:
        """The error for record ``index`` of the batch; ``value`` is the one at fault, if one is."""
        columns = self._weight_columns(name) if weight else self.loader.columns_of(name)
        columns = [column for column in columns if column in self.records.columns]
        component = self.component
        # After a transformer the axes of an array need be columns no more: the record itself
        # tells which of them holds the value.
        record = self.records[index]
        holding = [column for column in columns if _holds(record[column], value)]
        where = self.records.place(index)
        if holding:
            columns, component = holding, component_name(self.loader)
            if wants_number and isinstance(record[columns[0]], str):
                where, value = find_word(self.records, index, columns[0])
                message = _no_number(value)
        shown = ""
        if columns:
            shown = f", column{'s' if len(columns) > 1 else ''} " + ", ".join(
                f"'{column}'" for column in columns
            )
        return RecordError(f"{where}: {what}{shown}: {message} (stage feed, component {component})")

    def _weight_columns(self, name: str) -> list[str]:
        keys = getattr(self.loader, "sample_weights", {}).get(name, [])
        return [keys] if isinstance(keys, str) else list(keys)


def _holds(raw: Any, value: Any) -> bool:
    """Whether a record's value is, or has in it, the one at fault."""
    if value is _NO_VALUE:
        return False
    if isinstance(raw, list):
        return any(_holds(item, value) for item in raw)
    return bool(raw == value) or (is_missing(raw) and is_missing(value))


def _no_number(value: Any) -> str:
    return f"expected a number, got {shown(value)}"


def shown(value: Any) -> str:
    """A value as messages show it: cut where it is long, with its type where that matters.

    Example:
        >>> shown("many"), shown(None), shown(0.5)
        ("'many' (str)", 'a missing value', '0.5')
    """
    if value is None:
        return "a missing value"
    if isinstance(value, (float, np.floating)):
        if math.isnan(value):
            return "a missing value (NaN)"
        return f"{float(value)!r}"
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def _input(name: str, array: Array, spec: ArraySpec, place: _Place) -> Array:
    what = f"input '{name}'"
    if spec.dtype == "string":
        array = _strings(array, name, what, place)
    else:
        array = _finite(_numbers(array, name, what, place), spec.dtype, name, what, place)
    shape = array.shape[1:]
    if not spec.takes(shape):
        if shape == () and spec.takes((1,)):
            return array[:, np.newaxis]
        if shape == (1,) and spec.shape == ():
            return array[:, 0]
        message = f"expected the shape {show_shape(spec.shape)}, got {show_shape(shape)}"
        raise place.error(0, name, what, message)
    return array


def show_shape(shape: Sequence[int | None]) -> str:
    """Write the shape of a batch, given that of one record.

    Example:
        >>> show_shape((None, 3)), show_shape(())
        ('(batch, any, 3)', '(batch)')
    """
    return "(" + ", ".join(["batch", *("any" if n is None else str(n) for n in shape)]) + ")"


def _strings(array: Array, name: str, what: str, place: _Place) -> Array:
    for index, value in np.ndenumerate(array):
        if not isinstance(value, (str, bytes)):
            message = f"expected a string, got {shown(value)}"
            raise place.error(index[0], name, what, message, value)
    return array.astype(object)


def _numbers(array: Array, name: str, what: str, place: _Place, weight: bool = False) -> Array:
    """An array of numbers or truth values; of float64 where it held objects."""
    if array.dtype.kind in "iufb":
        return array
    numbers = np.empty(array.shape, dtype=np.float64)
    for index, value in np.ndenumerate(array):
        if not isinstance(value, (bool, int, float, np.number, np.bool_, Decimal)):
            raise place.error(index[0], name, what, _no_number(value), value, weight, True)
        numbers[index] = value
    return numbers


def _finite(
    array: Array, dtype: str, name: str, what: str, place: _Place, weight: bool = False
) -> Array:
    """The numbers as ``dtype``, none of them NaN, infinite or changed beyond rounding."""
    wanted = np.dtype(dtype)
    if array.dtype.kind in "iub" and wanted.kind == "f" and wanted.itemsize >= 4:
        return array.astype(wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted, copy=False)
    fits = np.isfinite(cast) if wanted.kind == "f" else cast == array
    if fits.all():
        return cast
    index = tuple(int(axis[0]) for axis in np.nonzero(~fits))
    value = array[index].item()
    if not math.isfinite(value):
        message = _no_number(value)
    elif wanted.kind == "f":
        message = f"expected a number within {dtype}, got {value!r}"
    else:
        message = f"expected a whole number within {dtype}, got {value!r}"
    raise place.error(index[0], name, what, message, value, weight)
