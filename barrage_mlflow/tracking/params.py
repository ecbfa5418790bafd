"""A resolved config as the flat params of an MLflow run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from barrage_mlflow.tracking.limits import legal_name, shorten
from barrage_mlflow.workspace import layout as artifacts

_LIMIT = 6_000
"""Characters of a param's value."""
_WHOLE = (
    "dataset.columns", "dataset.loader.params.features", "dataset.loader.params.targets"
)  # fmt: skip


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
    return {
        legal_name(path): shorten(value, _LIMIT, artifacts.RESOLVED_CONFIG)
        for path, value in _walk("", resolved)
        if path != "$schema"
    }


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    # By its form alone: the class of a project's loader need not be here to ask.
    if path in _WHOLE and isinstance(value, Mapping) and all(map(_is_spec, value.values())):
        digest = artifacts.digest_of(value)[:8]
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
        yield from _walk(f"{path}.{key}" if path else key, item)


def _is_spec(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Mapping) and bool({"type", "kind"} & {*value})
    )


def _contains_object(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(
        isinstance(item, Mapping) or _contains_object(item) for item in value
    )
