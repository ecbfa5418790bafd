"""Puts the right key in the place of each mistyped one, so that what stands below is checked too.

Without this a mistyped section would hide every fault inside it, and would be reported a second
time as the lack of the right one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.imports import is_sequential
from barrage_mlflow.config.paths import Path, is_slip, nearest_free, value_at
from barrage_mlflow.config.schema import dereferenced, object_form, schema, schema_at
from barrage_mlflow.config.shape import unknown_key

LAYERS: Path = ("model", "network", "params", "layers")
"""Where the layer blocks of `sequential_from_config` stand."""


@dataclass(frozen=True)
class Repaired:
    """A config whose mistyped keys were put right.

    Attributes:
        data: the config with the right keys; only what changed is copied.
        findings: the mistyped keys, at their paths in the config as given.
        renamed: of each key put right, its path now and the key that was written.
        guessed: the paths now of those that are a guess rather than a slip of the finger; what
            stands there is not held against what the key wants.
    """

    data: Any
    findings: list[Finding] = field(default_factory=list)
    renamed: dict[Path, str] = field(default_factory=dict)
    guessed: set[Path] = field(default_factory=set)

    def given(self, path: Path) -> Path:
        """The path in the config as given of a path in `data`."""
        if not self.renamed:
            return path
        return tuple(self.renamed.get(path[: i + 1], part) for i, part in enumerate(path))

    def is_guess(self, path: Path) -> bool:
        """Whether a path in `data` leads through a key that is a guess."""
        return any(path[: i + 1] in self.guessed for i in range(len(path)))


def repair_keys(data: Any) -> Repaired:
    """Renames every key that is unknown, but near to one that is known and not there yet.

    Example:
        >>> repaired = repair_keys({"solvr": {"epoch": 0}})
        >>> repaired.data, repaired.given(("solver", "epochs"))
        ({'solver': {'epochs': 0}}, ('solvr', 'epoch'))
        >>> [finding.remedy for finding in repaired.findings]
        ["did you mean 'solver'?", "did you mean 'epochs'?"]
    """
    repaired = Repaired(data)
    data = _repair(data, schema(), (), repaired)
    network = value_at(data, LAYERS[:2])
    layers = value_at(data, LAYERS)
    if isinstance(layers, list) and is_sequential(network.get("import")):
        block = schema_at(LAYERS[:2]) or {}
        mended = [_repair(layer, block, (*LAYERS, i), repaired) for i, layer in enumerate(layers)]
        data = _with_layers(data, mended)
    return replace(repaired, data=data)


def _repair(value: Any, node: dict[str, Any], path: Path, repaired: Repaired) -> Any:
    node = object_form(node) if isinstance(value, dict) else dereferenced(node)
    if isinstance(value, list) and "items" in node:
        return [_repair(item, node["items"], (*path, i), repaired) for i, item in enumerate(value)]
    if not isinstance(value, dict) or not (node.get("properties") or "x-callback" in node):
        return value
    known = list(known_keys(node))
    closed = node.get("additionalProperties") is False or "x-callback" in node
    mended: dict[str, Any] = {}
    for key, item in value.items():
        right = key
        if closed and key not in known:
            finding = unknown_key((*path, key), known, value)
            near = nearest_free(key, known, value)
            is_free = near is not None and near not in value and near not in mended
            if is_free and finding.remedy == f"did you mean {near!r}?":
                right = str(near)
                repaired.findings.append(
                    Finding(repaired.given((*path, key)), finding.message, finding.remedy, True)
                )
                repaired.renamed[*path, right] = key
                if not is_slip(key, right):
                    repaired.guessed.add((*path, right))
        child = node.get("properties", {}).get(right)
        mended[right] = _repair(item, child, (*path, right), repaired) if child else item
    return mended


def known_keys(node: dict[str, Any]) -> Iterable[str]:
    """The keys that an object may hold: those of the schema, and the params of its callback.

    Example:
        >>> sorted(known_keys({"properties": {"monitor": {}}, "x-callback": "TensorBoard"}))[:2]
        ['embeddings_freq', 'embeddings_metadata']
    """
    names = dict.fromkeys(node.get("properties", ()))
    if "x-callback" in node:
        names |= dict.fromkeys(_callback_names(node["x-callback"]))
    return names


def _callback_names(callback: str) -> Iterator[str]:
    entry = keras_index.short("callback", callback)
    for name in entry.accepts.names if entry else ():
        if (callback, name) != ("TensorBoard", "log_dir"):
            yield name


def _with_layers(data: Any, layers: list[Any]) -> Any:
    network = data["model"]["network"]
    network = {**network, "params": {**network["params"], "layers": layers}}
    return {**data, "model": {**data["model"], "network": network}}
