"""Conform a batch to what the network takes: names, dtypes, shapes, finite numbers.

Whatever does not fit is named with its record, column and value before TensorFlow sees it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from barrage_mlflow.config.names import show_names
from barrage_mlflow.dataset.components.loader import KeySelector
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import component_name, find_word
from barrage_mlflow.dataset.components.transformer import IdentityTransformer
from barrage_mlflow.dataset.features.loader import FeatureLoader
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.values import is_missing, shown
from barrage_mlflow.dataset.types import Array, DataRecord, RecordMode
from barrage_mlflow.errors import ComponentError, RecordError

_NO_VALUE = object()
_WAY_OUT = (
    "; FeatureLoader takes text, dates and missing values: barrage-mlflow init writes such a config"
)
_Error: TypeAlias = Callable[..., RecordError]
"""Called with the record, the message and the value at fault, if one is."""


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


@dataclass(frozen=True)
class TargetRange:
    """Which numbers a loss takes as targets of an output: those from 0 up to one.

    Attributes:
        highest: the last of them.
        whole: whether it takes whole numbers alone, as labels of classes.

    Example:
        >>> TargetRange(2, whole=True)  # of three classes
        TargetRange(highest=2, whole=True)
    """

    highest: int
    whole: bool


def conform(
    data: DataRecord,
    specs: Mapping[str, ArraySpec],
    records: Records,
    pipeline: Pipeline,
    ranges: Mapping[str, TargetRange] | None = None,
) -> DataRecord:
    """A batch in the shapes and dtypes that the network takes, targets and weights included.

    Args:
        data: arrays ``(batch, ...)``.
        specs: input name → what the network takes.
        records: what the batch was made of, for messages.
        pipeline: what made it, for messages.
        ranges: the outputs whose loss does not take every number as a target.

    Returns:
        Inputs ``(batch, *shape)``, objects (Python strings) for dtype ``"string"``; outputs,
        integers as int64 and all other numbers as float32; sample weights as float32.

    Raises:
        ComponentError: the names of the inputs are not those of the network.
        RecordError: a shape or dtype does not fit, or a value is missing, not a number, NaN,
            infinite, or a target that the loss does not take.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.TRAIN, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.TRAIN, loader))
        >>> records = Records.read([{"a": 1, "b": 0.5}])
        >>> data = pipeline.load_and_transform(records)
        >>> conform(data, {"x": ArraySpec((1,), "float32")}, records, pipeline)
        ({'x': array([[1.]], dtype=float32)}, {'y': array([0.5], dtype=float32)})
    """
    x, *targets_and_weights = data
    if x.keys() != specs.keys():
        raise ComponentError(
            f"the inputs do not match: {_last_component(pipeline)} gives {show_names(x)}; "
            f"the network takes {show_names(specs)} (stage feed)"
        )
    inputs = {}
    for name, spec in specs.items():
        error = partial(_error, "input", name, records, pipeline)
        strings_or_numbers = _strings if spec.dtype == "string" else _numbers
        inputs[name] = _shaped(strings_or_numbers(x[name], spec.dtype, error), spec, error)
    conformed = [inputs]
    for part, what in zip(targets_and_weights, ("output", "sample weight"), strict=False):
        arrays = {}
        for name, array in part.items():
            error = partial(_error, what, name, records, pipeline)
            is_whole = what == "output" and array.dtype.kind in "iu"
            arrays[name] = _numbers(array, "int64" if is_whole else "float32", error)
            if what == "output" and ranges and name in ranges:
                _check_range(arrays[name], ranges[name], error)
        conformed.append(arrays)
    return tuple(conformed)


def _shaped(array: Array, spec: ArraySpec, error: _Error) -> Array:
    """The conformed array in the shape that the network takes."""
    shape = array.shape[1:]
    if spec.takes(shape):
        return array
    if shape == () and spec.takes((1,)):
        return array[:, np.newaxis]
    if shape == (1,) and spec.shape == ():
        return array[:, 0]
    raise error(0, f"expected the shape {show_shape(spec.shape)}, got {show_shape(shape)}")


def _strings(array: Array, dtype: str, error: _Error) -> Array:
    """The array as objects, each a string."""
    _check_each(array, (str, bytes), dtype, error)
    return array.astype(object)


def _numbers(array: Array, dtype: str, error: _Error) -> Array:
    """The numbers as ``dtype``, none of them NaN, infinite or changed beyond rounding."""
    wanted = np.dtype(dtype)
    if array.dtype.kind not in "iufb":
        _check_each(array, (bool, int, float, np.number, np.bool_, Decimal), "number", error)
        array = array.astype(np.float64)
    if array.dtype.kind in "iub" and wanted.kind == "f" and wanted.itemsize >= 4:
        return array.astype(wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        cast = array.astype(wanted, copy=False)
    fits = np.isfinite(cast) if wanted.kind == "f" else cast == array
    if fits.all():
        return cast
    row, value = _first(array, ~fits)
    whole = "" if wanted.kind == "f" else "whole "
    message = f"expected a {whole}number within {dtype}, got {value!r}"
    if not math.isfinite(value):
        message = f"expected a number, got {shown(value)}"
    raise error(row, message, value)


def _check_each(array: Array, types: tuple[type, ...], wanted: str, error: _Error) -> None:
    for index, value in np.ndenumerate(array):
        if not isinstance(value, types):
            raise error(index[0], f"expected a {wanted}, got {shown(value)}", value)


def _first(array: Array, wrong: Array) -> tuple[int, Any]:
    """The record and the value of the first number that is wrong."""
    index = tuple(np.argwhere(wrong)[0].tolist())
    return index[0], array[index].item()


def _check_range(array: Array, allowed: TargetRange, error: _Error) -> None:
    wrong = (array < 0) | (array > allowed.highest) | (allowed.whole & (array % 1 != 0))
    if wrong.any():
        row, value = _first(array, wrong)
        wanted, remedy = "number", "encode the two classes as 0 and 1"
        if allowed.whole:
            wanted = "class label, a whole number"
            remedy = "encode labels in the transformer, or give the output a unit for each class"
        message = f"expected a {wanted} from 0 to {allowed.highest}, got {value}; {remedy}"
        raise error(row, message, value)


def _error(
    what: str,
    name: str,
    records: Records,
    pipeline: Pipeline,
    index: int,
    message: str,
    value: Any = _NO_VALUE,
) -> RecordError:
    """The error for one record of a batch.

    Args:
        what: what does not fit: ``"input"``, ``"output"`` or ``"sample weight"``.
        name: its name.
        records: what the batch was made of.
        pipeline: what made it.
        index: the record.
        message: what was expected, and what came.
        value: the value at fault, if one is.
    """
    record, where, component = records[index], records.place(index), _last_component(pipeline)
    loader = pipeline.loader
    columns: str | Sequence[str] = loader.columns_of(name)
    if what == "sample weight":
        weights = loader.sample_weights if isinstance(loader, KeySelector | FeatureLoader) else {}
        columns = weights.get(name, [])
    columns = [columns] if isinstance(columns, str) else columns
    columns = [column for column in columns if column in records.columns]
    # After a transformer the axes of an array need be columns no more: which of them holds
    # the value shows in the record itself.
    holding = [column for column in columns if _holds(record[column], value)]
    if holding:
        columns, component = holding, component_name(loader)
        if isinstance(value, str) and isinstance(record[columns[0]], str):
            where, value = find_word(records, index, columns[0])
            message = f"expected a number, got {shown(value)}"
        is_plain = not isinstance(loader, FeatureLoader) and loader.mode is not RecordMode.SCORE
        if is_plain and what != "sample weight" and message.startswith("expected a number, got"):
            message += _WAY_OUT
    words = ", ".join(f"'{column}'" for column in columns)
    of_columns = f", column{'s' if len(columns) > 1 else ''} {words}" if columns else ""
    error = RecordError(
        f"{where}: {what} '{name}'{of_columns}: {message} (stage feed, component {component})"
    )
    place = f"in {where}, stage feed, component {component}"
    error.barrage_place = place  # type: ignore[attr-defined]
    return error


def _last_component(pipeline: Pipeline) -> str:
    """The component that gave a batch its last form."""
    is_identity = type(pipeline.transformer) is IdentityTransformer
    return component_name(pipeline.loader if is_identity else pipeline.transformer)


def _holds(raw: Any, value: Any) -> bool:
    """Whether a record's value is, or has in it, the one at fault."""
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
