"""The loader of features: columns as they are, a kind asked for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.stacking import slice_record
from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.targets import Target
from barrage_mlflow.dataset.features.types import FEATURES, TARGETS
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.values import is_missing, objects
from barrage_mlflow.dataset.types import Array, DataRecord, Record, RecordMode
from barrage_mlflow.errors import RecordError

Specs = Mapping[str, str | Mapping[str, Any]]


class FeatureLoader(RecordLoader):
    """Loads the columns of features and targets, which a ``FeatureTransformer`` encodes.

    Args:
        mode: what records are loaded for; to score, no targets are read.
        features: column → the type of its feature, or an object of ``type`` and its options.
            Left out, a training finds them by looking at the train records.
        targets: column → likewise; the column is the name of the network's output.
        all: options by feature type, for all features of it.
        sample_weights: target → the column of numbers that says how much each record counts.

    Attributes:
        features: by column.
        targets: by column.
        sample_weights: as given.
        reads: further columns that ``derive`` needs, and their kinds; a subclass names them.

    Example:
        >>> loader = FeatureLoader(RecordMode.TRAIN, {"cut": "category"}, {"price": "number"})
        >>> loader.column_kinds()
        {'cut': 'text', 'price': 'number'}
        >>> loader.load_batch(Records.read([{"cut": "Ideal", "price": 326.0}]))
        ({'cut': array(['Ideal'], dtype=object)}, {'price': array([326.])})
    """

    reads: ClassVar[Mapping[str, str]] = {}

    def __init__(
        self,
        mode: RecordMode,
        features: Specs | None = None,
        targets: Specs | None = None,
        all: Mapping[str, Mapping[str, Any]] | None = None,  # noqa: A002
        sample_weights: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(mode)
        self.features: dict[str, Feature] = _build(features or {}, FEATURES, all or {})
        self.targets: dict[str, Target] = _build(targets or {}, TARGETS, {})
        self._asked: dict[str, Feature] = {**self.features, **self.targets}
        self.sample_weights = dict(sample_weights or {})
        for name in self.sample_weights.keys() - self.targets.keys():
            raise ValueError(f"sample_weights: no target {name!r}")
        self._read = {**self.reads, **dict.fromkeys(self.sample_weights.values(), "number")}
        self._kinds = {**self._read, **{name: each.kind for name, each in self._asked.items()}}
        is_score = self.mode is RecordMode.SCORE
        given = () if is_score else (*self.targets, *self.sample_weights.values())
        self._names = list(dict.fromkeys((*self.features, *self.reads, *given)))
        # A column that no train record lacks must be there to score, though its value may be
        # missing. One of truth values could not even lack a value if it were demanded.
        self._truths = {name for name, each in self.features.items() if each.kind == "truth"}

    def derive(self, columns: dict[str, Array]) -> dict[str, Array]:
        """Columns made of others; a subclass may add to them, or change them.

        Args:
            columns: arrays ``(records,)``: float64 with NaN for numbers and truth values,
                datetime64[us] with NaT for moments, objects with None for all else; of these,
                series and tags are lists, and a gap in a series is NaN.

        Returns:
            The same, with a column for each feature. What it is for a record must depend on that
            record alone.
        """
        return columns

    def columns_needed(self) -> dict[str, tuple[str, str]]:
        """Every feature and target; of a subclass, ``derive`` may make them."""
        if type(self) is not FeatureLoader:
            return {}
        features = {name: ("features", name) for name in self.features}
        weights = {column: ("sample_weights", name) for name, column in self.sample_weights.items()}
        return {**weights, **features, **{name: ("targets", name) for name in self.targets}}

    def column_kinds(self) -> dict[str, Any]:
        """The kind that each feature and target asks for; of a weight, numbers."""
        kinds = {name: each.column_kind() for name, each in self._asked.items() if each.kind}
        return {**self._read, **kinds}

    def columns_of(self, name: str) -> list[str]:
        """The column of a target or of a feature that has an input of its own."""
        return [name] if name in self._asked else []

    def load(self, record: Record) -> DataRecord:
        """The columns of one record, arrays ``()``."""
        there = [name for name in self._names if name in record]
        cells = {n: [record.get(n) if n in self._truths else record[n]] for n in there}
        return slice_record(self._data(cells, record), 0)

    def load_batch(self, records: Records) -> DataRecord:
        """The columns of a batch, arrays ``(batch,)``.

        Raises:
            RecordError: there is no such column.
        """
        names = [name for name in self._names if name in records.columns]
        records.need(names)
        cells = {name: column_cells(records, name) for name in names}
        return self._data(cells, records.columns)

    def _data(self, cells: Mapping[str, Array | list[Any]], given: Iterable[str]) -> DataRecord:
        columns = self.derive({n: _as_column(each, self._kinds[n]) for n, each in cells.items()})
        for name in self._names:
            if name not in columns:
                raise RecordError(no_such_column(name, [*given], "the records"))
        x = {name: _as_column(columns[name], each.kind) for name, each in self.features.items()}
        if self.mode is RecordMode.SCORE:
            return (x,)
        y = {name: columns[name] for name in self.targets}
        w = {name: columns[column] for name, column in self.sample_weights.items()}
        return (x, y, w) if w else (x, y)


def has_images(loader: RecordLoader) -> bool:
    """Whether a feature is an image, so that a library decodes it.

    Example:
        >>> has_images(FeatureLoader(RecordMode.SCORE, {"photo": "image"}))
        True
    """
    features = loader.features.values() if isinstance(loader, FeatureLoader) else ()
    return any(feature.type == "image" for feature in features)


def _build(specs: Specs, types: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    built = {}
    for name, spec in specs.items():
        own = {"type": spec} if isinstance(spec, str) else dict(spec)
        kind = own.pop("type")
        if kind not in types:
            raise ValueError(f"'{name}': expected a type of {', '.join(types)}, got {kind!r}")
        try:
            built[name] = types[kind](**{**options.get(kind, {}), **own})
        except (TypeError, ValueError) as error:
            error.add_note(f"in the options of '{name}'")
            raise
    return built


def column_cells(records: Records, name: str) -> Array:
    """The cells ``(records,)`` of a column; of lists each is one, also where all are of one shape.

    Example:
        >>> column_cells(Records.read([{"s": [1, 2]}, {"s": [3, 4]}]), "s")
        array([list([1, 2]), list([3, 4])], dtype=object)
    """
    is_list = records.column(name).kind == "list"
    return objects(records.values(name)) if is_list else records[name]


def _as_column(cells: Array | list[Any], kind: str) -> Array:
    """Cells ``(records,)`` of a kind, as features take them: alike in both forms."""
    if kind == "datetime":
        return np.asarray(cells, "datetime64[us]")
    if kind in ("number", "truth"):
        if not (isinstance(cells, np.ndarray) and cells.dtype.kind in "fiub"):
            cells = np.array([np.nan if cell is None else cell for cell in cells], np.float64)
        # Of a window, the last one.
        return (cells[:, -1] if cells.ndim > 1 else cells).astype(np.float64, copy=False)
    if kind == "list":
        cells = [cell.tolist() if isinstance(cell, np.ndarray) else cell for cell in cells]
    if isinstance(cells, np.ndarray) and cells.dtype == object and cells.ndim == 1:
        return cells  # None where missing, as kinds have it
    values = cells.tolist() if isinstance(cells, np.ndarray) else cells
    return objects([None if is_missing(value) else value for value in values])
