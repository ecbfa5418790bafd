"""Overrides: single values of a config, set from the command line or from Python."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from barrage_mlflow.config.document import Document, plain_copy
from barrage_mlflow.config.paths import Path, read_path, show_path, show_value, value_at
from barrage_mlflow.config.read import read_json
from barrage_mlflow.config.schema import schema_at, types_of
from barrage_mlflow.errors import ConfigError, Fault


def apply_overrides(document: Document, overrides: Mapping[str, object]) -> Document:
    """Sets values of a config by dotted key.

    An override within a block that the config leaves out starts from that block's default. A
    list takes an index, ``model.outputs[0].loss_weight`` or ``.0.``; the index after its last item
    adds one.

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
            new = _set(data, list(map(str, read_path(key))), value, ())
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


def settle(document: Document, inferred: Mapping[str, object]) -> Document:
    """Sets values where a config has none.

    Args:
        document: the config; it is not changed.
        inferred: values by key, as `apply_overrides` takes them.

    Example:
        >>> settle(Document({"solver": {"steps": 5}}), {"solver.steps": 3, "dataset.seed": 7}).data
        {'solver': {'steps': 5}, 'dataset': {'seed': 7}}
    """
    lacking = {k: v for k, v in inferred.items() if value_at(document.data, read_path(k)) is None}
    return apply_overrides(document, lacking)


def _set(holder: Any, parts: list[str], value: object, path: Path) -> Path:
    """Sets one value in what is at a path.

    Returns:
        The path of the outermost value that is new.

    Raises:
        ConfigError: the parts lead nowhere, or JSON has no such value.
    """
    step = _step(holder, parts[0], path)
    path = (*path, step)
    is_there = step in (range(len(holder)) if isinstance(holder, list) else holder)
    if len(parts) == 1:
        item = _typed(value, path)
    elif is_there:
        return _set(holder[step], parts[1:], value, path)
    else:
        node = schema_at(path)
        empty: Any = [] if node.get("type") == "array" else {}
        item = copy.deepcopy(node.get("default", empty))
        _set(item, parts[1:], value, path)
    if is_there or isinstance(holder, dict):
        holder[step] = item
    else:
        holder.append(item)
    return path


def _step(holder: Any, part: str, path: Path) -> str | int:
    """The key or index that a part of an override's key means."""
    if isinstance(holder, dict):
        return part
    message = f"expected an object or a list to set {part!a} in, got {show_value(holder)}"
    if isinstance(holder, list):
        if part in map(str, range(len(holder) + 1)):
            return int(part)
        message = f"expected an index from 0 to {len(holder)}, got {part!a}"
    raise ConfigError([Fault(show_path(path), message)])


def _typed(value: object, path: Path) -> Any:
    """A value as the schema wants it; of an unknown key nothing is known."""
    if not isinstance(value, str):
        return plain_copy(value, path)
    if types_of(schema_at(path)) == ["string"]:
        return value
    try:
        return read_json(value, "").data
    except ConfigError:
        return value
