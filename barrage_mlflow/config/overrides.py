"""Overrides: single values of a config, set from the command line or from Python."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from barrage_mlflow.config.document import Document, plain_copy
from barrage_mlflow.config.json_reader import read_json
from barrage_mlflow.config.paths import Path, show_path, show_value
from barrage_mlflow.config.schema import object_form, schema_at
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
        The new config. What an override sets stands at ``--<key>``. A key that the config does
        not know is found with the other faults; one that leads through a value which holds no
        keys is kept in `Document.faults`.

    Example:
        >>> document = Document({"solver": {"steps": 5}})
        >>> changed = apply_overrides(document, {"solver.epochs": "3"})
        >>> changed.data, changed.place(("solver", "epochs"))
        ({'solver': {'steps': 5, 'epochs': 3}}, '--solver.epochs')
    """
    if not overrides or not isinstance(document.data, dict):
        return document
    edit = _Edit(document)
    for key, value in overrides.items():
        edit.set(key, value)
    return Document(
        edit.data,
        document.source,
        document.text,
        (*document.faults, *edit.faults),
        edit.overridden,
        document.locate,
    )


class _Edit:
    def __init__(self, document: Document) -> None:
        self.data = copy.deepcopy(document.data)
        self.overridden = dict(document.overridden)
        self.faults: list[Fault] = []

    def set(self, key: str, value: object) -> None:
        name = f"--{key}"
        parts = key.split(".")
        if not all(parts):
            remedy = "write it as section.key, like solver.epochs"
            self.faults.append(Fault("$", f"{key!a} is not a key", remedy, name))
            return
        holder: Any = self.data
        path: Path = ()
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            step = self.step(holder, part, path, name)
            if step is None:
                return
            path = (*path, step)
            missing = (isinstance(holder, dict) and step not in holder) or (
                isinstance(holder, list) and step == len(holder)
            )
            if following is None:
                self.put(holder, step, self.typed(value, path, name), missing)
                self.mark(path, name)
            elif missing:
                self.put(holder, step, _start(path), missing)
                self.mark(path, name)
            holder = holder[step]

    def step(self, holder: Any, part: str, path: Path, name: str) -> str | int | None:
        """The key or index that `part` means in `holder`; None, with a fault, if it means none."""
        if isinstance(holder, dict):
            return part
        if not isinstance(holder, list):
            message = f"holds no keys, it is {show_value(holder)}"
            remedy = f"{part!a} cannot be set in it"
            self.faults.append(Fault(show_path(path), message, remedy, name))
            return None
        if part.isascii() and part.isdigit() and len(part) < 10 and int(part) <= len(holder):
            return int(part)
        message = f"expected an index from 0 to {len(holder)}, got {part!a}"
        self.faults.append(Fault(show_path(path), message, "", name))
        return None

    def put(self, holder: Any, step: str | int, value: Any, missing: bool) -> None:
        if missing and isinstance(holder, list):
            holder.append(value)
        else:
            holder[step] = value

    def mark(self, path: Path, name: str) -> None:
        for below in [known for known in self.overridden if known[: len(path)] == path]:
            del self.overridden[below]
        self.overridden[path] = name

    def typed(self, value: object, path: Path, name: str) -> Any:
        if isinstance(value, str):
            return _typed(value, path)
        copied, problems = plain_copy(value)
        for below, message, remedy in problems:
            self.faults.append(Fault(show_path((*path, *below)), message, remedy, name))
        return copied


def _start(path: Path) -> Any:
    """What a left-out value starts from when something within it is set."""
    node = schema_at(path) or {}
    if "default" in node:
        return copy.deepcopy(node["default"])
    return [] if node.get("type") == "array" else {}


def _typed(text: str, path: Path) -> Any:
    # Of an unknown key nothing is known; the right one may want what this looks like.
    node = schema_at(path) or {}
    types = {dict_type for choice in (node, *node.get("anyOf", ())) for dict_type in _types(choice)}
    if types == {"string"} or (types == {"string", "null"} and text != "null"):
        return text
    if "number" in types:
        try:
            return _number(text)
        except ValueError:
            pass
    try:
        return read_json(text, "").data
    except ConfigError:
        return text


def _types(node: dict[str, Any]) -> list[str]:
    found = object_form(node).get("type", [])
    return [found] if isinstance(found, str) else list(found)


def _number(text: str) -> int | float:
    """A number as people type it: ``.5`` and ``1.`` too, which JSON does not know."""
    try:
        value = json.loads(text)
    except ValueError:
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(text)
    if isinstance(value, float) and value - value != 0:
        raise ValueError(text)
    return value
