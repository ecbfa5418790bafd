"""Conform a batch to what the network takes: names, dtypes, shapes, finite numbers.

Whatever does not fit is named with its record, column and value before TensorFlow sees it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.places import Place, component_name
from barrage_mlflow.dataset.components.stacking import listed
from barrage_mlflow.dataset.components.transformer import IdentityTransformer, RecordTransformer
from barrage_mlflow.dataset.records.columns import is_missing, shown
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
        loader: knows which columns an input was made of, for messages.
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
    if x.keys() != specs.keys():
        strange = [name for name in x if name not in specs]
        hint = did_you_mean(strange[0], specs) if len(strange) == 1 else ""
        raise ComponentError(
            f"the inputs do not match: {_last_of(loader, transformer)} gives {listed(x)}; "
            f"the network takes {listed(specs)}{f'; {hint}' if hint else ''} (stage feed)"
        )
    conformed = {}
    for name, spec in specs.items():
        columns = loader.columns_of(name)
        fed = _Fed(x[name], f"input '{name}'", columns, records, loader, transformer)
        array = fed.strings() if spec.dtype == "string" else fed.numbers(spec.dtype)
        conformed[name] = fed.shaped(array, spec)
    return conformed


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
        loader: knows which columns an output was made of, for messages.
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
    targets = {}
    for name, array in y.items():
        columns = loader.columns_of(name)
        fed = _Fed(array, f"output '{name}'", columns, records, loader, transformer)
        targets[name] = fed.numbers("int64" if array.dtype.kind in "iu" else "float32")
    if w is None:
        return targets, None
    weights = {}
    for name, array in w.items():
        keys = getattr(loader, "sample_weights", {}).get(name, [])
        columns = [keys] if isinstance(keys, str) else list(keys)
        fed = _Fed(array, f"sample weight '{name}'", columns, records, loader, transformer)
        weights[name] = fed.numbers("float32")
    return targets, weights


@dataclass(frozen=True, eq=False)
class _Fed:
    """An array on its way into the network, and what its errors are made of.

    Attributes:
        array: ``(batch, ...)``.
        what: what messages call it, ``"input 'x'"``.
        columns: what it was made of, as far as the loader knows.
        records: what the batch was made of.
        loader: what loaded it.
        transformer: what it came through.
    """

    array: Array
    what: str
    columns: Sequence[str]
    records: Records
    loader: RecordLoader
    transformer: RecordTransformer | None

    def shaped(self, array: Array, spec: ArraySpec) -> Array:
        """The conformed array in the shape that the network takes."""
        shape = array.shape[1:]
        if spec.takes(shape):
            return array
        if shape == () and spec.takes((1,)):
            return array[:, np.newaxis]
        if shape == (1,) and spec.shape == ():
            return array[:, 0]
        wanted = show_shape(spec.shape)
        raise self.error(0, f"expected the shape {wanted}, got {show_shape(shape)}")

    def strings(self) -> Array:
        """The array as objects, each a string."""
        for index, value in np.ndenumerate(self.array):
            if not isinstance(value, (str, bytes)):
                raise self.error(index[0], f"expected a string, got {shown(value)}", value)
        return self.array.astype(object)

    def numbers(self, dtype: str) -> Array:
        """The numbers as ``dtype``, none of them NaN, infinite or changed beyond rounding."""
        wanted = np.dtype(dtype)
        array = self.array if self.array.dtype.kind in "iufb" else self._of_objects()
        if array.dtype.kind in "iub" and wanted.kind == "f" and wanted.itemsize >= 4:
            return array.astype(wanted)
        with np.errstate(over="ignore", invalid="ignore"):
            cast = array.astype(wanted, copy=False)
        fits = np.isfinite(cast) if wanted.kind == "f" else cast == array
        if fits.all():
            return cast
        index = tuple(int(axis[0]) for axis in np.nonzero(~fits))
        value = array[index].item()
        whole = "" if wanted.kind == "f" else "whole "
        message = f"expected a {whole}number within {dtype}, got {value!r}"
        if not math.isfinite(value):
            message = f"expected a number, got {shown(value)}"
        raise self.error(index[0], message, value)

    def _of_objects(self) -> Array:
        """The numbers of an array of objects as float64."""
        numbers = np.empty(self.array.shape, dtype=np.float64)
        for index, value in np.ndenumerate(self.array):
            if not isinstance(value, (bool, int, float, np.number, np.bool_, Decimal)):
                message = f"expected a number, got {shown(value)}"
                raise self.error(index[0], message, value, wants_number=True)
            numbers[index] = value
        return numbers

    def error(
        self, index: int, message: str, value: Any = _NO_VALUE, wants_number: bool = False
    ) -> RecordError:
        """The error for record ``index`` of the batch; ``value`` is the one at fault, if one is."""
        record = self.records[index]
        columns = [column for column in self.columns if column in self.records.columns]
        component, where = _last_of(self.loader, self.transformer), self.records.place(index)
        # After a transformer the axes of an array need be columns no more: which of them holds
        # the value shows in the record itself.
        holding = [column for column in columns if _holds(record[column], value)]
        if holding:
            columns, component = holding, component_name(self.loader)
            if wants_number and isinstance(record[columns[0]], str):
                where, value = find_word(self.records, index, columns[0])
                message = f"expected a number, got {shown(value)}"
        words = ", ".join(f"'{column}'" for column in columns)
        of_columns = f", column{'s' if len(columns) > 1 else ''} {words}" if columns else ""
        error = RecordError(
            f"{where}: {self.what}{of_columns}: {message} (stage feed, component {component})"
        )
        error.barrage_place = Place(where, "feed", component)  # type: ignore[attr-defined]
        return error


def _last_of(loader: RecordLoader, transformer: RecordTransformer | None) -> str:
    """The component that gave a batch its last form."""
    is_identity = transformer is None or type(transformer) is IdentityTransformer
    return component_name(loader if is_identity else transformer)


def _holds(raw: Any, value: Any) -> bool:
    """Whether a record's value is, or has in it, the one at fault."""
    if value is _NO_VALUE:
        return False
    if isinstance(raw, list):
        return any(_holds(item, value) for item in raw)
    return bool(raw == value) or (is_missing(raw) and is_missing(value))


def show_shape(shape: Sequence[int | None]) -> str:
    """Write the shape of a batch, given that of one record.

    Example:
        >>> show_shape((None, 3)), show_shape(())
        ('(batch, any, 3)', '(batch)')
    """
    return "(" + ", ".join(["batch", *("any" if n is None else str(n) for n in shape)]) + ")"
