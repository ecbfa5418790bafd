"""A resolved config as the flat params of an MLflow run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from barrage_mlflow.config.features import has_features
from barrage_mlflow.tracking.limits import legal_name, shorten
from barrage_mlflow.workspace import layout as artifacts

_LIMIT = 6_000
"""Characters of a param's value."""
_COLUMNS = "dataset.columns"
_FEATURES = ("dataset.loader.params.features", "dataset.loader.params.targets")


def flatten_config(resolved: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a config to one param for each value, as MLflow takes names and values.

    Objects and lists of objects are walked, their keys and positions joined by dots. Strings
    stay bare; every other value, a list of plain values too, is JSON text. ``$schema``, which is
    for editors, is left out. Features, targets and declared columns, which may be many, are one
    param each; the resolved config among the artifacts has them whole.

    Example:
        >>> flatten_config(
        ...     {
        ...         "solver": {"epochs": 10, "optimizer": {"import": "Adam", "params": {}}},
        ...         "model": {"outputs": [{"name": "species"}], "shape": [64, 64]},
        ...     }
        ... )
        {'solver.epochs': '10', 'solver.optimizer.import': 'Adam', 'solver.optimizer.params': '{}',
         'model.outputs.0.name': 'species', 'model.shape': '[64, 64]'}
        >>> flatten_config({"dataset": {"columns": {"postcode": "text"}}})
        {'dataset.columns': '1 entry, 58b16be1'}
    """
    whole = (_COLUMNS, *(_FEATURES if has_features(resolved) else ()))
    return {
        legal_name(path): shorten(value, _LIMIT, artifacts.RESOLVED_CONFIG)
        for path, value in _walk("", resolved, whole)
        if path != "$schema"
    }


def _walk(path: str, value: Any, whole: Collection[str]) -> Iterator[tuple[str, str]]:
    if path in whole and isinstance(value, Mapping):
        digest = hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]
        yield path, f"{len(value)} {'entry' if len(value) == 1 else 'entries'}, {digest}"
        return
    if isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif _contains_object(value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
        yield path, value if isinstance(value, str) else text
        return
    for key, item in items:
        yield from _walk(f"{path}.{key}" if path else key, item, whole)


def _contains_object(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping) or _contains_object(item) for item in value
    )
