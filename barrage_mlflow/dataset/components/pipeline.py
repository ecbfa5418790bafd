"""The pipeline: load → transform → augment on the way in, postprocess on the way out.

It uses a component's batch form where there is one, its record form where there is none, and
attaches to whatever goes wrong in a component its place: record, stage and component.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, SupportsIndex

from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.places import component_name, placed
from barrage_mlflow.dataset.components.stacking import (
    call_each,
    check_batch,
    check_lengths,
    data_records,
    lengths_in,
    stack_records,
    stack_scores,
)
from barrage_mlflow.dataset.components.transformer import RecordTransformer
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.tables import UnevenError
from barrage_mlflow.dataset.types import Array, DataRecord, cut, join
from barrage_mlflow.errors import ComponentError

_PIECE = 128
"""Records that are loaded before they are transformed, record by record: the processor's cache
still holds what was loaded of so few."""


class Pipeline:
    """A loader, a transformer and augmentors, put to work on batches of records.

    Args:
        loader: loads; its mode decides what must be in a data record.
        transformer: transforms, and postprocesses scores.
        augmentors: what train records go through after it; see ``augment``.

    Attributes:
        missing_forms: the batch forms that loader and transformer lack.
        rebuilt_by: the function and its arguments that make the pipeline anew in another process;
            left out, its components are pickled.

    Raises:
        ComponentError: a constructor did not call that of its base class.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
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
        for component, arguments in ((loader, "mode"), (transformer, "mode, loader")):
            if not hasattr(component, "mode"):
                raise ComponentError(
                    f"{component_name(component)}: its __init__ must call "
                    f"super().__init__({arguments})"
                )
        self.loader = loader
        self.transformer = transformer
        self.augmentors = tuple(augmentors)
        self.rebuilt_by: tuple[Callable[..., Pipeline], tuple[Any, ...]] | None = None
        self._loader_name = component_name(loader)
        self._transformer_name = component_name(transformer)
        self._lengths = lengths_in(loader.mode)
        self._loads_batches = type(loader).load_batch is not RecordLoader.load_batch
        self._transforms_batches = (
            type(transformer).transform_batch is not RecordTransformer.transform_batch
        )
        self._is_by_record = not (self._loads_batches or self._transforms_batches)
        self.missing_forms = [
            *([] if self._loads_batches else [f"load_batch in {self._loader_name}"]),
            *([] if self._transforms_batches else [f"transform_batch in {self._transformer_name}"]),
        ]

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return self.rebuilt_by or super().__reduce_ex__(protocol)

    @property
    def is_columnar(self) -> bool:
        """Whether loader and transformer both have their batch form."""
        return not self.missing_forms

    def load_and_transform(self, records: Records) -> DataRecord:
        """The transformed batch that records make: arrays ``(batch, ...)``.

        Raises:
            RecordError: records differ in names or shapes.
            ComponentError: a component returned something else than its contract says.
        """
        if self._is_by_record and len(records) > _PIECE:
            pieces = records.pieces(_PIECE)
            made = [self.transform(self._load_each(piece), piece) for piece in pieces]
            with suppress(ValueError):  # told of the whole, as its first record that differs
                return join(made)
        return self.transform(self.load(records), records)

    def load(self, records: Records) -> DataRecord | list[DataRecord]:
        """The loaded batch that records make, not yet transformed.

        Returns:
            Arrays ``(batch, ...)``; or, where they make no batch and the transformer works by
            the record, the arrays ``(...)`` of each record.

        Raises:
            RecordError: records differ in names or shapes.
            ComponentError: the loader returned something else than its contract says.
        """
        if self._is_by_record:
            return self._load_each(records)
        name, call = self._loader_name, self.loader.load_batch
        try:
            with placed(records, "load", name, lambda at: call(records[at : at + 1])):
                return check_batch(call(records), len(records), f"{name}.load_batch", self._lengths)
        except UnevenError:
            # Lists of differing length make no batch, but a transformer that works by the
            # record may yet even them out (pad, cut, pool).
            if self._transforms_batches:
                raise
            return self._load_each(records)

    def _load_each(self, records: Records) -> list[DataRecord]:
        with placed(records, "load", self._loader_name):
            made = call_each(self.loader.load, records)
            return data_records(made, f"{self._loader_name}.load", self._lengths)

    def transform(self, loaded: DataRecord | list[DataRecord], records: Records) -> DataRecord:
        """The transformed batch of what :meth:`load` returned: arrays ``(batch, ...)``.

        Args:
            loaded: the loaded batch or records.
            records: what was loaded, for messages.

        Raises:
            RecordError: records differ in names or shapes.
            ComponentError: the transformer returned something else than its contract says.
        """
        name, call = self._transformer_name, self.transformer.transform_batch
        if isinstance(loaded, list):
            with placed(records, "transform", name):
                made = call_each(self.transformer.transform, loaded)
                return stack_records(made, f"{name}.transform", self._lengths)
        with placed(records, "transform", name, lambda at: call(cut(loaded, at, at + 1))):
            return check_batch(call(loaded), len(records), f"{name}.transform_batch", self._lengths)

    def targets(self, loaded: DataRecord | list[DataRecord], records: Records) -> dict[str, Array]:
        """What is true of a loaded batch, as the transformer's ``targets`` gives it.

        Args:
            loaded: what :meth:`load` returned, with targets.
            records: what was loaded, for messages.

        Returns:
            Key of the answer → ``(batch, ...)``; of objects where shapes differ.

        Raises:
            ComponentError: the transformer returns something other than its contract says.
        """
        if isinstance(loaded, list):
            whole = stack_scores([record[1] for record in loaded], f"{self._loader_name}.load")
        else:
            whole = dict(loaded[1])
        name, call = self._transformer_name, self.transformer.targets
        with placed(records, "targets", name, lambda at: call(cut((whole,), at, at + 1)[0])):
            made = call(whole)
            if not isinstance(made, Mapping):
                raise ComponentError(
                    f"{name}.targets: expected a dict of arrays, got {type(made).__name__}"
                )
            return check_lengths(made, len(records), f"{name}.targets")

    def postprocess(
        self, scores: Mapping[str, Array], records: Records, params: Mapping[str, Any] = {}
    ) -> dict[str, Array]:
        """The scores of a batch as the transformer hands them to the user.

        Args:
            scores: output name → ``(batch, ...)``.
            records: what was scored, for messages.
            params: what the transformer takes besides, all of its ``score_params``.

        Returns:
            Output name → ``(batch, ...)``; of objects where a score is no number, or where
            shapes differ between records.

        Raises:
            ComponentError: the transformer returns something other than its contract says.
        """
        name, whole = self._transformer_name, dict(scores)

        def call(some: dict[str, Array]) -> dict[str, Array]:
            return self.transformer.postprocess_batch(some, **params)

        with placed(records, "postprocess", name, lambda at: call(cut((whole,), at, at + 1)[0])):
            made = call(whole)
            if not isinstance(made, Mapping):
                raise ComponentError(
                    f"{name}.postprocess_batch: expected a dict of arrays, "
                    f"got {type(made).__name__}"
                )
            return check_lengths(made, len(records), f"{name}.postprocess_batch")
