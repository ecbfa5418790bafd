"""A resolved config as the flat params of an MLflow run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from barrage_mlflow.tracking.limits import legal_name, shorten
from barrage_mlflow.workspace import layout as artifacts

_LIMIT = 6_000
"""Characters of a param's value."""


def flatten_config(resolved: Mapping[str, Any]) -> dict[str, str]:
    """Flatten a config to one param for each value, as MLflow takes names and values.

    Objects and lists of objects are walked, their keys and positions joined by dots. Strings
    stay bare; every other value, a list of plain values too, is JSON text. ``$schema``, which is
    for editors, is left out.

    Example:
        >>> flatten_config(
        ...     {
        ...         "solver": {"epochs": 10, "optimizer": {"import": "Adam", "params": {}}},
        ...         "model": {"outputs": [{"name": "species"}], "shape": [64, 64]},
        ...     }
        ... )
        {'solver.epochs': '10', 'solver.optimizer.import': 'Adam', 'solver.optimizer.params': '{}',
         'model.outputs.0.name': 'species', 'model.shape': '[64, 64]'}
    """
    return {
        legal_name(path): shorten(value, _LIMIT, artifacts.RESOLVED_CONFIG)
        for path, value in _walk("", resolved)
        if path != "$schema"
    }


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        items = [(str(key), item) for key, item in value.items()]
    elif _contains_object(value):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
        yield path, value if isinstance(value, str) else text
        return
    for key, item in items:
        yield from _walk(f"{path}.{key}" if path else key, item)


def _contains_object(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping) or _contains_object(item) for item in value
    )
