"""The pipeline: load → transform → augment on the way in, postprocess on the way out.

It uses a component's batch form where there is one, its record form where there is none, and
sees to it that whatever goes wrong in a component says in which record, stage and component.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.loader import RecordLoader, column_read_last
from barrage_mlflow.dataset.components.stacking import (
    Columns,
    add_place,
    add_record,
    as_arrays,
    check_batch,
    check_data_record,
    component_name,
    hold_arrays,
    names_column,
    noted,
    side_by_side,
    slice_record,
    stack_records,
    stack_scores,
)
from barrage_mlflow.dataset.components.transformer import RecordTransformer
from barrage_mlflow.dataset.records.records import Records, UnevenRecordsError
from barrage_mlflow.dataset.types import Array, DataRecord, RecordMode, RecordScore, as_array
from barrage_mlflow.errors import ComponentError, RecordError

_T = TypeVar("_T")


class Pipeline:
    """A loader, a transformer and augmentors, put to work on batches of records.

    Args:
        loader: loads; its mode says what a data record must hold.
        transformer: transforms, and postprocesses scores.
        augmentors: what train records go through after it; see ``augment``.

    Raises:
        ComponentError: the loader or transformer is of another kind, or its constructor did
            not call that of its base class.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector
        >>> loader = KeySelector(RecordMode.SCORE, {"x": ["a", "b"]}, {"y": "c"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.SCORE, loader))
        >>> pipeline.load_and_transform(Records.read([{"a": 1, "b": 2}, {"a": 3, "b": 4}]))
        ({'x': array([[1, 2],
               [3, 4]])},)
    """

    def __init__(
        self,
        loader: RecordLoader,
        transformer: RecordTransformer,
        augmentors: Sequence[Augmentor] = (),
    ) -> None:
        _check_component(loader, RecordLoader, "mode")
        _check_component(transformer, RecordTransformer, "network_params")
        self.loader = loader
        self.transformer = transformer
        self.augmentors = tuple(augmentors)
        self._loader_name = component_name(loader)
        self._transformer_name = component_name(transformer)
        self._lengths = (1,) if loader.mode is RecordMode.SCORE else (2, 3)
        kind, fitted = type(loader), type(transformer)
        self._loads_batches = kind.load_batch is not RecordLoader.load_batch
        self._transforms_batches = fitted.transform_batch is not RecordTransformer.transform_batch
        self._postprocesses_batches = (
            fitted.postprocess_batch is not RecordTransformer.postprocess_batch
        )

    @property
    def is_columnar(self) -> bool:
        """Whether loader and transformer both have their batch form."""
        return self._loads_batches and self._transforms_batches

    @property
    def batch_forms(self) -> tuple[str | None, str | None]:
        """The loader and the transformer, by name, if it lacks its batch form; else None."""
        return (
            None if self._loads_batches else self._loader_name,
            None if self._transforms_batches else self._transformer_name,
        )

    def load_and_transform(self, records: Records) -> DataRecord:
        """The transformed batch that records make: arrays ``(batch, ...)``.

        Raises:
            RecordError: there are no records, or they differ in names or shapes.
            ComponentError: a component returned something else than its contract says.
        """
        return self.transform(self.load(records), records)

    def load(self, records: Records) -> DataRecord | list[DataRecord]:
        """The loaded batch that records make, not yet transformed.

        Returns:
            Arrays ``(batch, ...)``; or, where they make no batch and the transformer works by
            the record, the arrays ``(...)`` of each record.

        Raises:
            RecordError: there are no records, or they differ in names or shapes.
            ComponentError: the loader returned something else than its contract says.
        """
        if not len(records):
            raise RecordError(f"{records.name or 'the records'} holds no records to load")
        if self._loads_batches:
            try:
                return self._load_batch(records)
            except UnevenRecordsError:
                # Lists of differing length make no batch, but a transformer that works by the
                # record may yet even them out (pad, cut, pool).
                if self._transforms_batches:
                    raise
        loaded, columns = self._each(self.loader.load, records, records, "load", self._loader_name)
        if self._transforms_batches:
            with noted("", "load", self._loader_name):
                return stack_records(loaded, records.place, f"{self._loader_name}.load", columns)
        # The record form is promised arrays, also where a loader gives bare numbers.
        if columns is not None and hold_arrays(columns):
            return loaded
        return [as_arrays(data) for data in loaded]

    def transform(self, loaded: DataRecord | list[DataRecord], records: Records) -> DataRecord:
        """The transformed batch of what :meth:`load` returned: arrays ``(batch, ...)``.

        Args:
            loaded: the loaded batch or records.
            records: what was loaded, for messages.

        Raises:
            RecordError: records differ in names or shapes.
            ComponentError: the transformer returned something else than its contract says.
        """
        if isinstance(loaded, list):
            return self._transform_each(loaded, records)
        return self._transform_batch(loaded, records)

    def postprocess(
        self, scores: Mapping[str, Array], records: Records | None = None
    ) -> dict[str, Array]:
        """The scores of a batch as the transformer hands them to the user.

        Args:
            scores: output name → ``(batch, ...)``.
            records: what was scored, for messages.

        Returns:
            Output name → ``(batch, ...)``; of objects where a score is no number, or where
            shapes differ between records.

        Raises:
            ComponentError: the transformer returns something other than its contract says.
        """
        arrays = dict(scores)
        size = len(next(iter(arrays.values())))

        def place(index: int) -> str:
            return f"record {index}" if records is None else records.place(index)

        def alone(index: int) -> Any:
            return self.transformer.postprocess_batch(
                {name: array[index : index + 1] for name, array in arrays.items()}
            )

        if self._postprocesses_batches:
            what = f"{self._transformer_name}.postprocess_batch"
            result = self._found(
                lambda: self.transformer.postprocess_batch(dict(arrays)),
                alone, size, records, "postprocess", self._transformer_name,
            )  # fmt: skip
            with noted("", "postprocess", self._transformer_name):
                return _checked_scores(result, size, what)
        processed: list[RecordScore] = []
        for index in range(size):
            with noted(place(index), "postprocess", self._transformer_name):
                processed.append(self.transformer.postprocess(slice_record((arrays,), index)[0]))
        with noted("", "postprocess", self._transformer_name):
            return stack_scores(processed, place, f"{self._transformer_name}.postprocess")

    def _load_batch(self, records: Records) -> DataRecord:
        data = self._found(
            lambda: self.loader.load_batch(records),
            lambda index: self.loader.load_batch(records.take([index])),
            len(records), records, "load", self._loader_name,
        )  # fmt: skip
        with noted(records.name, "load", self._loader_name):
            what = f"{self._loader_name}.load_batch"
            check_data_record(data, what, self._lengths)
            return check_batch(data, len(records), what)

    def _transform_batch(self, loaded: DataRecord, records: Records) -> DataRecord:
        if not self._transforms_batches:
            each = [slice_record(loaded, index) for index in range(len(records))]
            return self._transform_each(each, records)

        def alone(index: int) -> DataRecord:
            return self.transformer.transform_batch(
                tuple({k: a[index : index + 1] for k, a in part.items()} for part in loaded)
            )

        data = self._found(
            lambda: self.transformer.transform_batch(loaded),
            alone, len(records), records, "transform", self._transformer_name,
        )  # fmt: skip
        with noted(records.name, "transform", self._transformer_name):
            what = f"{self._transformer_name}.transform_batch"
            check_data_record(data, what, self._lengths)
            return check_batch(data, len(records), what)

    def _transform_each(self, loaded: Sequence[DataRecord], records: Records) -> DataRecord:
        transformed, columns = self._each(
            self.transformer.transform, loaded, records, "transform", self._transformer_name
        )
        with noted("", "transform", self._transformer_name):
            what = f"{self._transformer_name}.transform"
            return stack_records(transformed, records.place, what, columns)

    def _each(
        self,
        call: Callable[[Any], DataRecord],
        given: Iterable[Any],
        records: Records,
        stage: str,
        component: str,
    ) -> tuple[list[DataRecord], Columns | None]:
        """What a record form makes of each record, checked; and that side by side, if it can be."""
        made: list[DataRecord] = []
        failure = None
        try:
            # Where one fails, those before it are in the list: how many they are tells which.
            made.extend(map(call, given))
        except Exception as error:
            failure = error
        columns = side_by_side(made)
        # Where all are alike, the first stands for all.
        for index, data in enumerate(made if columns is None else made[:1]):
            try:
                check_data_record(data, f"{component}.{stage}", self._lengths)
            except ComponentError as error:
                add_record(error, records, index, stage, component)
                raise
        if failure is not None:
            index = len(made)
            add_record(failure, records, index, stage, component)
            if stage == "load" and not names_column(failure):
                last = column_read_last(call, records[index])
                if last is not None:
                    failure.add_note(f"column '{last}' was read last")
            raise failure
        return made, columns

    def _found(
        self,
        call: Callable[[], _T],
        alone: Callable[[int], Any],
        size: int,
        records: Records | None,
        stage: str,
        component: str,
    ) -> _T:
        """What ``call`` returns; if it raises, the first record that also fails alone is named."""
        try:
            return call()
        except UnevenRecordsError as error:
            add_place(error, "", stage, component)  # its message names the record
            raise
        except Exception as error:
            for index in range(size):
                try:
                    alone(index)
                except Exception:
                    if records is None:
                        add_place(error, f"record {index}", stage, component)
                    else:
                        add_record(error, records, index, stage, component)
                    break
            add_place(error, f"a batch of {size} records", stage, component)
            raise


def _check_component(component: Any, base: type, attribute: str) -> None:
    name = component_name(component)
    if not isinstance(component, base):
        raise ComponentError(f"{name}: expected an object of a class derived from {base.__name__}")
    if not hasattr(component, attribute):
        arguments = "mode" if base is RecordLoader else "mode, loader"
        raise ComponentError(f"{name}: its __init__ must call super().__init__({arguments})")


def _checked_scores(result: Any, size: int, what: str) -> dict[str, Array]:
    if not isinstance(result, Mapping):
        raise ComponentError(f"{what}: expected a dict of arrays, got {type(result).__name__}")
    arrays = {name: as_array(value) for name, value in result.items()}
    for name, array in arrays.items():
        if array.ndim == 0 or len(array) != size:
            raise ComponentError(
                f"{what}: expected '{name}' to be (batch, ...) with batch {size}, "
                f"got shape {array.shape}"
            )
    return arrays
