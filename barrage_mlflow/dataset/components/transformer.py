"""Transformers: fitted on the train records, applied to every record, undone on its score."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.places import component_name, placed, set_record
from barrage_mlflow.dataset.components.stacking import (
    call_each,
    keep_forms_together,
    slice_record,
    stack_records,
    stack_scores,
)
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import Array, DataRecord, RecordMode, RecordScore, length
from barrage_mlflow.errors import ComponentError


class RecordTransformer(ABC):
    """Base class of transformers; a config names one as ``dataset.transformer``.

    A subclass defines the record forms, and may override the batch forms to work on whole
    arrays at once; both must give the same arrays. Its constructor takes the ``mode``, the
    ``loader`` and the params of its import block, and passes the first two on to this one.

    Args:
        mode: what records are transformed for.
        loader: the loader in the same mode, for ``fit`` to load with.
        **params: those of a subclass, which may pass them all on; nothing is done with them.

    Attributes:
        network_param_names: their names, where they are known before ``fit``; lets a config
            be checked without data.
        score_params: the params of ``postprocess`` that a request may set, and their defaults,
            ``{"threshold": 0.5}``; ``postprocess`` and ``postprocess_batch`` then take all of them
            by name. A property may give what ``fit`` learnt.
        class_labels: by output, the names of its classes in the order of their codes, by which a
            ``class_weight`` in the config goes; without them it goes by the codes.

    Example:
        >>> import numpy as np
        >>> class Halve(IdentityTransformer):
        ...     def transform(self, data_record):
        ...         x, *rest = data_record
        ...         return ({name: array / 2 for name, array in x.items()}, *rest)
        >>> loader = None  # it loads nothing
        >>> Halve(RecordMode.SCORE, loader).transform_batch(({"x": np.array([2.0, 4.0])},))
        ({'x': array([1., 2.])},)
    """

    network_param_names: ClassVar[tuple[str, ...] | None] = None
    score_params: Mapping[str, int | float | str | bool] = MappingProxyType({})
    class_labels: Mapping[str, Sequence[Any]] = MappingProxyType({})

    def __init__(self, mode: RecordMode, loader: RecordLoader, **params: Any) -> None:
        self.mode = RecordMode(mode)
        self.loader = loader

    @functools.cached_property
    def network_params(self) -> dict[str, Any]:
        """What ``fit`` learnt for the network, JSON values and arrays; set it, or override it.

        They fill the ``{{placeholders}}`` of the config's ``model`` section, and are passed to a
        network function that names them as parameters. Where ``load`` leaves them empty, they are
        restored as ``fit`` left them.
        """
        return {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        keep_forms_together(cls, RecordTransformer, "transform", "transform_batch")
        keep_forms_together(cls, RecordTransformer, "postprocess", "postprocess_batch")

    @abstractmethod
    def fit(self, records: Records) -> None:
        """Learn from the train records, and from no others; fill ``network_params``."""

    @abstractmethod
    def transform(self, data_record: DataRecord) -> DataRecord:
        """One record's arrays ``(...)``, transformed; what is given must not be changed."""

    @abstractmethod
    def postprocess(self, score: RecordScore) -> RecordScore:
        """One record's outputs ``(...)``, brought back to what the user reads.

        Where there are ``score_params``, it takes them too.
        """

    @abstractmethod
    def save(self, path: str) -> None:
        """Write what ``fit`` learnt to files in the existing folder ``path``."""

    @abstractmethod
    def load(self, path: str) -> None:
        """Read back what ``save`` wrote to the folder ``path``."""

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """A batch's arrays ``(batch, ...)``; by default ``transform`` on each, stacked.

        Raises:
            RecordError: names or shapes differ between records.
            ComponentError: ``transform`` returns something other than a tuple of dicts.
        """
        each = (slice_record(data_record, index) for index in range(length(data_record)))
        what = f"{component_name(self)}.transform"
        return stack_records(call_each(self.transform, each), what)

    # The star lets a type checker take an override that has no params.
    def postprocess_batch(
        self, scores: dict[str, Array], *_: Any, **params: Any
    ) -> dict[str, Array]:
        """A batch's outputs ``(batch, ...)``; by default ``postprocess`` on each, stacked.

        Raises:
            ComponentError: ``postprocess`` returns no dict, or one with differing names.
        """
        each = (slice_record((scores,), index)[0] for index in range(length((scores,))))
        processed = call_each(lambda score: self.postprocess(score, **params), each)
        return stack_scores(processed, f"{component_name(self)}.postprocess")

    def targets(self, y: Mapping[str, Array]) -> Mapping[str, Array]:
        """What is true of a batch, as ``postprocess`` would answer it; evaluation compares the two.

        By default what was loaded: a target counts whose name is a key of the answer, in the same
        unit. Where ``postprocess`` answers by other names or in other units, override it.

        Args:
            y: the loaded targets, not transformed, ``(batch, ...)`` by output.

        Returns:
            Arrays ``(batch, ...)`` by key of the answer; None or NaN where nothing is known.
        """
        return y


class IdentityTransformer(RecordTransformer):
    """Learns nothing and changes nothing; the default.

    Example:
        >>> loader = None  # it loads nothing
        >>> IdentityTransformer(RecordMode.SCORE, loader).postprocess({"y": 1})
        {'y': 1}
    """

    network_param_names = ()

    def fit(self, records: Records) -> None:
        """Nothing to learn."""

    def transform(self, data_record: DataRecord) -> DataRecord:
        """The data record itself."""
        return data_record

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """The batch itself."""
        return data_record

    def postprocess(self, score: RecordScore) -> RecordScore:
        """The score itself."""
        return score

    def postprocess_batch(self, scores: dict[str, Array]) -> dict[str, Array]:
        """The scores themselves."""
        return scores

    def save(self, path: str) -> None:
        """Nothing to write."""

    def load(self, path: str) -> None:
        """Nothing to read."""


_SEARCHED = 10_000
"""Records that are searched, at most, for the one that a fit failed at."""


def fit_transformer(transformer: RecordTransformer, records: Records) -> None:
    """Fit a transformer; whatever goes wrong has its place: the set, or the record.

    Args:
        transformer: what learns.
        records: the train records.

    Raises:
        ComponentError: it leaves ``network_params`` that is no dict.

    Example:
        >>> loader = None  # it loads nothing
        >>> fit_transformer(IdentityTransformer(RecordMode.TRAIN, loader), Records.read([{"a": 1}]))
    """
    name = component_name(transformer)
    with placed(records.owner, "fit", name):
        try:
            transformer.fit(records)
        except Exception as error:
            _find_record(error, transformer.loader, records[:_SEARCHED])
            if isinstance(error, TypeError | AttributeError) and "Records" in str(error):
                error.add_note("records are no list; make one of them: list(records)")
            raise
        params = transformer.network_params
        if not isinstance(params, dict):
            raise ComponentError(
                f"{name}.network_params: expected a dict, got {type(params).__name__}"
            )


def _find_record(error: Exception, loader: RecordLoader, records: Records) -> None:
    """Where a fit failed at loading, attach the record that the loader cannot load."""
    for index in range(len(records)):
        try:
            loader.load(records[index])
        except Exception as again:
            if type(again) is type(error):
                set_record(error, records, index, "load", component_name(loader))
            return
