"""Fills the schema's defaults into a config that has no faults."""

from __future__ import annotations

import copy
from typing import Any

from barrage_mlflow.config.schema import SCHEMA, dereferenced, object_form


def filled(data: dict[str, Any]) -> dict[str, Any]:
    """The config with every left-out default filled in, in the order of the schema.

    Nothing is merged into a block that is present: only a key that has a default of its own in
    the schema is added.

    Example:
        >>> loader = {"import": "KeySelector"}
        >>> model = {"network": {"import": "my.net"}, "outputs": []}
        >>> filled({"dataset": {"loader": loader}, "model": model})["solver"]["optimizer"]
        {'import': 'Adam', 'learning_rate': 0.001, 'params': {}}
    """
    outputs = data["model"]["outputs"]
    if len(outputs) == 1:
        only = {"loss_weight": 1.0, **outputs[0]}
        data = {**data, "model": {**data["model"], "outputs": [only]}}
    full: dict[str, Any] = _filled(data, SCHEMA)
    return full


def _filled(value: Any, node: dict[str, Any]) -> Any:
    node = object_form(node) if isinstance(value, dict) else dereferenced(node)
    if isinstance(value, list) and "items" in node:
        return [_filled(item, node["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in node:
        return copy.deepcopy(value)
    full: dict[str, Any] = {}
    for key, child in node["properties"].items():
        child = dereferenced(child)
        if key in value:
            full[key] = _filled(value[key], child)
        elif "default" in child:
            full[key] = _filled(child["default"], child)
    full.update({key: copy.deepcopy(item) for key, item in value.items() if key not in full})
    return full
