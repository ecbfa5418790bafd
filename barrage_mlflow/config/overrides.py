"""Overrides: single values of a config, set from the command line or from Python."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from barrage_mlflow.config.document import Document, plain_copy
from barrage_mlflow.config.json_reader import read_json
from barrage_mlflow.config.paths import Path, show_path, show_value
from barrage_mlflow.config.schema import PLACEHOLDER, schema_at, types_of
from barrage_mlflow.errors import ConfigError, Fault


def apply_overrides(document: Document, overrides: Mapping[str, object]) -> Document:
    """Sets values of a config by dotted key.

    An override within a block that the config leaves out starts from that block's default. A
    list takes an index, ``model.outputs.0.loss_weight``; the index after its last item adds one.

    Args:
        document: the config; it is not changed.
        overrides: values by key, ``"solver.epochs"``. A string is read as what the schema wants
            there: ``"3"`` is 3 for an integer and ``"3"`` for a string. Where anything goes,
            and for objects and lists, it is read as JSON if it is JSON. Any other value is
            taken as it is.

    Returns:
        The new config. The place of what an override sets is ``--<key>``. A key that the config
        does not know is found with the other faults; one that leads nowhere, such as into a
        number, is kept in `Document.faults`.

    Example:
        >>> document = Document({"solver": {"steps": 5}})
        >>> changed = apply_overrides(document, {"solver.epochs": "3"})
        >>> changed.data, changed.place(("solver", "epochs"))
        ({'solver': {'steps': 5, 'epochs': 3}}, '--solver.epochs')
    """
    if not overrides or not isinstance(document.data, dict):
        return document
    data = copy.deepcopy(document.data)
    overridden = dict(document.overridden)
    faults: list[Fault] = []
    for key, value in overrides.items():
        try:
            new = _set(data, key, value)
        except ConfigError as error:
            faults += [replace(fault, place=f"--{key}") for fault in error.faults]
        else:
            # What an earlier override set below it is gone.
            overridden = {p: name for p, name in overridden.items() if p[: len(new)] != new}
            overridden[new] = f"--{key}"
    return replace(
        document,
        data=data,
        faults=(*document.faults, *faults),
        overridden=overridden,
    )


def _set(data: dict[str, Any], key: str, value: object) -> Path:
    """Sets one value.

    Returns:
        The path of the outermost value that is new.

    Raises:
        ConfigError: the key leads nowhere, or JSON has no such value.
    """
    parts = key.split(".")
    if not all(parts):
        raise _refused((), f"{key!a} is not a key", "write it as section.key, like solver.epochs")
    holder: Any = data
    path: Path = ()
    new: Path = ()
    for depth, part in enumerate(parts, 1):
        step = _step(holder, part, path)
        path = (*path, step)
        is_there = step in (range(len(holder)) if isinstance(holder, list) else holder)
        if depth < len(parts) and is_there:
            holder = holder[step]
            continue
        new = new or path
        item = _typed(value, path) if depth == len(parts) else _start(path)
        if is_there or isinstance(holder, dict):
            holder[step] = item
        else:
            holder.append(item)
        holder = item
    return new


def _step(holder: Any, part: str, path: Path) -> str | int:
    """The key or index that a part of an override's key means."""
    if isinstance(holder, dict):
        return part
    if not isinstance(holder, list):
        message = f"expected an object or a list to set {part!a} in, got {show_value(holder)}"
        raise _refused(path, message)
    if part.isascii() and part.isdigit() and len(part) < 10 and int(part) <= len(holder):
        return int(part)
    raise _refused(path, f"expected an index from 0 to {len(holder)}, got {part!a}")


def _refused(path: Path, message: str, remedy: str = "") -> ConfigError:
    return ConfigError([Fault(show_path(path), message, remedy)])


def _start(path: Path) -> Any:
    """What a left-out value starts from when something within it is set."""
    node = schema_at(path)
    if "default" in node:
        return copy.deepcopy(node["default"])
    return [] if node.get("type") == "array" else {}


def _typed(value: object, path: Path) -> Any:
    """A value as the schema wants it; of an unknown key nothing is known."""
    if not isinstance(value, str):
        return plain_copy(value, path)
    node = schema_at(path)
    choices = [one for one in node.get("anyOf", [node]) if one.get("$ref") != PLACEHOLDER]
    types = {name for one in choices for name in types_of(one)}
    if types == {"string"}:
        return value
    try:
        return read_json(value, "").data
    except ConfigError:
        return _number(value) if types & {"number", "integer"} else value


def _number(text: str) -> float | str:
    """A number as people type it: ``.5`` and ``1.`` too, which JSON does not know."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
