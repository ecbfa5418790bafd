"""Loaders turn records into the arrays that the network is named after."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from barrage_mlflow.dataset.components.places import component_name, placed
from barrage_mlflow.dataset.components.stacking import (
    call_each,
    keep_forms_together,
    lengths_in,
    stack_records,
)
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.tables import UnevenError
from barrage_mlflow.dataset.records.values import join
from barrage_mlflow.dataset.types import Array, DataRecord, Record, RecordMode, as_array
from barrage_mlflow.errors import RecordError


class RecordLoader(ABC):
    """Base class of loaders; a config names one as ``dataset.loader``.

    A subclass defines ``load``, for one record, and may override ``load_batch`` to work on
    whole columns at once; both must give the same arrays. Its constructor takes the ``mode``
    and the params of its import block, and passes the mode on to this one.

    Args:
        mode: what records are loaded for; in ``RecordMode.SCORE`` only inputs are given.
        **params: those of a subclass, which may pass them all on; nothing is done with them.

    Example:
        >>> import numpy as np
        >>> class Squares(RecordLoader):
        ...     def load(self, record):
        ...         return ({"x": np.array([record["a"], record["a"] ** 2])},)
        >>> loader = Squares(RecordMode.SCORE)
        >>> loader.load_batch(Records.read([{"a": 2}, {"a": 3}]))[0]["x"].tolist()
        [[2, 4], [3, 9]]
    """

    def __init__(self, mode: RecordMode, **params: Any) -> None:
        self.mode = RecordMode(mode)

    def __call__(self, record: Record) -> DataRecord:
        """What ``load`` makes of a record."""
        return self.load(record)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keep_forms_together(cls, RecordLoader, "load", "load_batch")

    @abstractmethod
    def load(self, record: Record) -> DataRecord:
        """The arrays ``(...)`` of one record: ``(x,)``, ``(x, y)`` or ``(x, y, w)``."""

    def load_batch(self, records: Records) -> DataRecord:
        """The arrays ``(batch, ...)`` of a batch; by default ``load`` on each, stacked.

        Raises:
            RecordError: a record's names or shapes differ from those before it.
            ComponentError: ``load`` returns something other than a tuple of dicts.
        """
        name = component_name(self)
        with placed(records, "load", name):
            made = call_each(self.load, records)
            return stack_records(made, f"{name}.load", lengths_in(self.mode))

    def columns_of(self, name: str) -> list[str]:
        """The columns that make an input or output, for messages; empty where unknown."""
        return []

    def columns_needed(self) -> dict[str, tuple[str, str]]:
        """The columns that train records must have: where in its params each is named.

        Empty where only ``load`` knows.
        """
        return {}

    def column_kinds(self) -> dict[str, Any]:
        """The kinds that columns must have, written as in ``dataset.columns``; others are learnt.

        A name that is no column of the train records asks for nothing.
        """
        return {}


class KeySelector(RecordLoader):
    """Selects inputs, outputs and sample weights by their record keys.

    A key gives the column as it is; a list of keys stacks the columns along a new last axis.

    Args:
        mode: what records are loaded for; to score, only ``inputs`` are read.
        inputs: network input name → record key, or list of keys.
        outputs: network output name → record key, or list of keys.
        sample_weights: network output name → record key of its weight.

    Example:
        >>> selector = KeySelector(RecordMode.TRAIN, {"x": ["a", "b"]}, {"y": "c"})
        >>> x, y = selector.load_batch(Records.read([{"a": 1, "b": 2, "c": 0}]))
        >>> x["x"], y["y"]
        (array([[1, 2]]), array([0]))
    """

    def __init__(
        self,
        mode: RecordMode,
        inputs: Mapping[str, str | list[str]],
        outputs: Mapping[str, str | list[str]],
        sample_weights: Mapping[str, str | list[str]] | None = None,
    ) -> None:
        super().__init__(mode)
        self.inputs, self.outputs, self.sample_weights = inputs, outputs, sample_weights or {}
        parts = (inputs,) if self.mode is RecordMode.SCORE else (inputs, outputs, sample_weights)
        self._parts = [part for part in parts if part is not None]
        self._keys = [key for part in self._parts for keys in part.values() for key in _list(keys)]

    def load(self, record: Record) -> DataRecord:
        """The arrays of one record: ``()`` for a key of a scalar, ``(keys,)`` for a list.

        Raises:
            RecordError: the record lacks a key.
        """

        def cell(key: str) -> Array:
            if key not in record:
                raise RecordError(no_such_column(key, list(record), "the record"))
            try:
                return as_array(record[key])
            except ValueError as error:
                raise UnevenError(
                    f"column '{key}' holds a list of lists of differing lengths"
                ) from error

        return self._select(cell)

    def load_batch(self, records: Records) -> DataRecord:
        """The arrays of a batch: ``(batch,)`` for a key of scalars, ``(batch, keys)`` for a list.

        Raises:
            RecordError: there is no such column, or its lists differ in shape.
        """
        records.need(self._keys)
        return self._select(records.stacked)

    def _select(self, column: Callable[[str], Array]) -> DataRecord:
        return tuple(
            {
                name: column(keys) if isinstance(keys, str) else join([*map(column, keys)])
                for name, keys in part.items()
            }
            for part in self._parts
        )

    def columns_of(self, name: str) -> list[str]:
        """The record keys that make an input or output.

        Example:
            >>> KeySelector(RecordMode.SCORE, {"x": ["a", "b"]}, {"y": "c"}).columns_of("x")
            ['a', 'b']
        """
        return _list(self.inputs.get(name, self.outputs.get(name, [])))

    def columns_needed(self) -> dict[str, tuple[str, str]]:
        """Every key."""
        if type(self) is not KeySelector:
            return {}
        names = ("inputs", "outputs", "sample_weights")
        return {
            key: (part, name)
            for part in names
            for name, keys in getattr(self, part).items()
            for key in _list(keys)
        }


def _list(keys: str | list[str]) -> list[str]:
    return [keys] if isinstance(keys, str) else list(keys)
