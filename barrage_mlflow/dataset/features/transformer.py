"""The transformer of features: encodes what a ``FeatureLoader`` loads, decodes what was scored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from barrage_mlflow.config.names import show_names
from barrage_mlflow.dataset.components.stacking import slice_record
from barrage_mlflow.dataset.components.transformer import RecordTransformer
from barrage_mlflow.dataset.features.feature import CATEGORIES, NUMBERS, Feature
from barrage_mlflow.dataset.features.loader import FeatureLoader
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.dataset.types import Array, DataRecord, RecordMode, RecordScore, length
from barrage_mlflow.errors import ComponentError, RecordError

_FILE = "features.json"
_DTYPES = {NUMBERS: np.float32, CATEGORIES: np.int32}


class FeatureTransformer(RecordTransformer):
    """Encodes the features and targets of a ``FeatureLoader``, and decodes the network's outputs.

    Features of a few numbers share the network's input ``numbers`` (batch, columns) float32, and
    categories share ``categories`` (batch, columns) int32; a text, an image, a series and tags
    have an input of their own, named after the feature. A target is an output of its name.

    ``network_params`` describe it: ``features`` and ``targets``, a dict for each of ``name``,
    ``type`` and what else a network has to know; of a feature also ``input``, and for a shared one
    ``at``, its first column and the one after its last.

    Args:
        mode: what records are transformed for.
        loader: a ``FeatureLoader`` in the same mode.

    Example:
        >>> loader = FeatureLoader(RecordMode.TRAIN, {"carat": "number"}, {"price": "number"})
        >>> transformer = FeatureTransformer(RecordMode.TRAIN, loader)
        >>> records = [{"carat": 0.2, "price": 300.0}, {"carat": 0.4, "price": 500.0}]
        >>> transformer.fit(Records.read(records))
        >>> transformer.network_params["targets"]
        [{'name': 'price', 'type': 'number'}]
        >>> transformer.postprocess({"price": np.array([1.0])})
        {'price': 500.0}
    """

    network_param_names = ("features", "targets")

    def __init__(self, mode: RecordMode, loader: FeatureLoader) -> None:
        if not isinstance(loader, FeatureLoader):
            raise ComponentError(
                "FeatureTransformer: expected a FeatureLoader, or a subclass of it, as "
                f"dataset.loader, got {type(loader).__name__}"
            )
        super().__init__(mode, loader)
        self._features, self._targets = loader.features, loader.targets
        self._parts: Sequence[Mapping[str, Feature]] = (loader.features, loader.targets)
        if any(target.type in ("truth", "multi_category") for target in self._targets.values()):
            self.score_params = {"threshold": 0.5}

    def fit(self, records: Records) -> None:
        """Learn each feature and target, piece by piece.

        Raises:
            RecordError: no record has a value of a target, or each has a gap in it.
        """
        lacking = [*self._targets]
        for piece in records.pieces():
            data = self.loader.load_batch(piece)
            for part, columns in zip(self._parts, data[:2], strict=True):
                for name, feature in part.items():
                    feature.learn(columns[name])
            lacking = [name for name in lacking if not _present(data[1][name]).any()]
        if lacking:
            raise RecordError(
                f"{records.owner}: no record has a value of the target {show_names(lacking)}, or "
                "each has a gap in it; there is nothing to learn"
            )
        self._restore([[each.learnt() for each in part.values()] for part in self._parts])

    def _restore(self, learnt: list[list[dict[str, Any]]]) -> None:
        """Take what was learnt of all features and of all targets, and lay out the inputs."""
        self._learnt = learnt
        for part, each_learnt in zip(self._parts, learnt, strict=True):
            for feature, of_it in zip(part.values(), each_learnt, strict=True):
                feature.restore(of_it)
        classes = {name: [*target.classes] for name, target in self._targets.items()}
        self.class_labels = {name: labels for name, labels in classes.items() if labels}
        self._widths: dict[str, int] = {}
        self._described: list[dict[str, Any]] = []
        for name, feature in self._features.items():
            # A shared input cannot have the name of a feature as well.
            place = feature.shared or (f"{name}_{feature.type}" if name in _DTYPES else name)
            described: dict[str, Any] = {"name": name, "type": feature.type, "input": place}
            if feature.shared:
                start = self._widths.get(feature.shared, 0)
                self._widths[feature.shared] = start + feature.width
                described["at"] = [start, start + feature.width]
            self._described.append(described | feature.description())
        targets = [
            {"name": name, "type": target.type, **target.description()}
            for name, target in self._targets.items()
        ]
        self.network_params = {"features": self._described, "targets": targets}

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Encode one record: its columns, arrays ``()``, to arrays ``(...)``."""
        batch = tuple({n: a[np.newaxis] for n, a in part.items()} for part in data_record)
        return slice_record(FeatureTransformer.transform_batch(self, batch), 0)

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Encode a batch: its columns, arrays ``(batch,)``, to arrays ``(batch, ...)``.

        Returns:
            Inputs, and with targets also these and their weights: 0 where one is missing or is a
            list with a gap, else its sample weight, or 1.

        Raises:
            ValueError: a target is of no class that the train records have, or an image is none.
        """
        columns, *others = data_record
        size = length(data_record)
        x = {n: np.empty((size, self._widths[n]), _DTYPES[n]) for n in _DTYPES if n in self._widths}
        for (name, feature), described in zip(self._features.items(), self._described, strict=True):
            place, encoded = described["input"], feature.encode(columns[name])
            if feature.shared:
                x[place][:, slice(*described["at"])] = encoded
            else:
                x[place] = encoded
        if not others:
            return (x,)
        targets, *weights = others
        y = {name: each.encode(targets[name]) for name, each in self._targets.items()}
        w = {name: _present(targets[name]) for name in y}
        for name, weight in weights[0].items() if weights else ():
            w[name] = w[name] * weight
        return x, y, w

    def postprocess(self, score: RecordScore, threshold: float = 0.5) -> RecordScore:
        """Decode the outputs of one record, arrays ``(...)``."""
        batch = {name: np.asarray(output)[np.newaxis] for name, output in score.items()}
        decoded = FeatureTransformer.postprocess_batch(self, batch, threshold)
        return {name: values.tolist()[0] for name, values in decoded.items()}

    def postprocess_batch(
        self, scores: dict[str, Array], threshold: float = 0.5
    ) -> dict[str, Array]:
        """Decode a batch of outputs: each target by its name, and what is known beside it.

        Args:
            scores: target → the network's output ``(batch, ...)``.
            threshold: from which probability on an answer is yes.
        """
        return {
            f"{name}{beside}": values
            for name, each in self._targets.items()
            for beside, values in each.decode(scores[name], threshold).items()
        }

    def save(self, path: str) -> None:
        """Write what was learnt to ``features.json`` in the folder; floats keep all digits."""
        Path(path, _FILE).write_text(json.dumps(self._learnt, ensure_ascii=False), "utf-8")

    def load(self, path: str) -> None:
        """Read what :meth:`save` wrote."""
        self._restore(json.loads(Path(path, _FILE).read_text("utf-8")))


def _present(column: Array) -> Array:
    """1 for each value ``(records,)`` that is there, 0 for one that is missing or has a gap."""
    if column.dtype.kind == "f":
        there = ~np.isnan(column)
    else:
        there = np.array([not _lacks(value) for value in column.tolist()])
    return there.astype(np.float32)


def _lacks(value: Any) -> bool:
    """Whether a target is missing, or a list with a gap."""
    return value is None or (isinstance(value, list) and any(map(is_missing, value)))
