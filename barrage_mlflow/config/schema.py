"""The schema: the single source of the config's keys, types, defaults and descriptions."""

from __future__ import annotations

import copy
import json
from pathlib import Path as File
from typing import Any

from barrage_mlflow.config.paths import Path

Node = dict[str, Any]

SCHEMA: Node = json.loads(File(__file__).with_suffix(".json").read_text("utf-8"))
"""The JSON Schema of a config, shared: not to be changed."""
PLACEHOLDER = "#/$defs/placeholder"


def dereferenced(node: Node) -> Node:
    """A schema node with its ``$ref`` followed; the node's own words win over the target's.

    Example:
        >>> dereferenced({"$ref": "#/$defs/mode", "description": "own"})["enum"]
        ['min', 'max']
    """
    if "$ref" not in node:
        return node
    target = SCHEMA["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def object_form(node: dict[str, Any]) -> dict[str, Any]:
    """Of a schema that allows a plain value or an object, the object's.

    Example:
        >>> object_form(schema_at(("solver", "optimizer", "learning_rate")))["required"]
        ['import']
    """
    node = dereferenced(node)
    for choice in node.get("anyOf", ()):
        if dereferenced(choice).get("type") == "object":
            return dereferenced(choice)
    return node


def types_of(node: dict[str, Any]) -> list[str]:
    """The JSON types that a schema node allows; empty where it names none.

    Example:
        >>> types_of({"type": "integer"}), types_of({"enum": [1]})
        (['integer'], [])
    """
    found = dereferenced(node).get("type", [])
    return [found] if isinstance(found, str) else list(found)


def with_placeholders(node: dict[str, Any]) -> dict[str, Any]:
    """A node that also takes a placeholder, for a value itself and for what is in it.

    Example:
        >>> with_placeholders({"type": "integer"})
        {'anyOf': [{'type': 'integer'}, {'$ref': '#/$defs/placeholder'}]}
    """
    inner = dict(node)
    for word in ("items", "additionalProperties"):
        if isinstance(inner.get(word), dict):
            inner[word] = with_placeholders(inner[word])
    if "anyOf" in inner:
        choices = [with_placeholders(choice) for choice in inner["anyOf"]]
        flat = [one for choice in choices for one in choice.get("anyOf", [choice])]
        return {"anyOf": [one for i, one in enumerate(flat) if one not in flat[:i]]}
    if not inner or "string" in types_of(inner):
        return inner
    return {"anyOf": [inner, {"$ref": PLACEHOLDER}]}


def schema_at(path: Path) -> dict[str, Any]:
    """The schema of the value at a path; ``{}`` where anything goes, and for an unknown key.

    Example:
        >>> schema_at(("solver", "epochs"))["type"]
        'integer'
        >>> schema_at(("solver", "optimizer", "params", "beta_1"))
        {}
    """
    node = SCHEMA
    for part in path:
        node = object_form(node)
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part, {})
    return dereferenced(node)


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
    full: dict[str, Any] = with_defaults(data, SCHEMA)
    return full


def with_defaults(value: Any, node: dict[str, Any]) -> Any:
    """A value with every left-out default of a schema node filled in.

    Example:
        >>> with_defaults({"a": 1}, {"properties": {"a": {}, "b": {"default": 2}}})
        {'a': 1, 'b': 2}
    """
    node = object_form(node) if isinstance(value, dict) else dereferenced(node)
    if isinstance(value, list) and "items" in node:
        return [with_defaults(item, node["items"]) for item in value]
    if not isinstance(value, dict) or "properties" not in node:
        return copy.deepcopy(value)
    full: dict[str, Any] = {}
    for key, child in node["properties"].items():
        child = dereferenced(child)
        if key in value:
            full[key] = with_defaults(value[key], child)
        elif "default" in child:
            full[key] = with_defaults(child["default"], child)
    full.update({key: copy.deepcopy(item) for key, item in value.items() if key not in full})
    return full
