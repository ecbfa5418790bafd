"""Finds keys that a config does not know, and puts the right one in the place of a mistyped one.

With the right key in its place, what is below it is checked too, and the right one is not
reported as missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.keras_index import SEQUENTIAL, means
from barrage_mlflow.config.names import is_slip, nearest, suggest
from barrage_mlflow.config.paths import Path
from barrage_mlflow.config.schema import SCHEMA, Node, dereferenced, object_form

LAYERS: Path = ("model", "network", "params", "layers")
"""The path of the layer blocks of `sequential_from_config`."""

_LAYER_PARAMS = {"properties": {LAYERS[-1]: {"items": {"$ref": "#/$defs/layer"}}}}


@dataclass
class Repaired:
    """A config whose mistyped keys were put right.

    Attributes:
        data: the config with the right keys; the config as given is not changed.
        findings: the unknown keys, at their paths in the config as given.
        renamed: of each key put right, its path now and the key that was written.
    """

    data: Any
    findings: list[Finding] = field(default_factory=list)
    renamed: dict[Path, str] = field(default_factory=dict)

    def as_given(self, finding: Finding) -> Finding:
        """A finding in `data` at its path in the config as given."""
        path = finding.path
        given = tuple(self.renamed.get(path[: i + 1], key) for i, key in enumerate(path))
        return replace(finding, path=given)


def repair_keys(data: Any, schema: Node = SCHEMA) -> Repaired:
    """Renames every key that is unknown, but near to one that is known and not there yet.

    Args:
        data: any JSON value.
        schema: of a config, or of another file.

    Example:
        >>> repaired = repair_keys({"solvr": {"epoch": 0}})
        >>> repaired.data
        {'solver': {'epochs': 0}}
        >>> repaired.as_given(Finding(("solver", "epochs"), "not an integer")).path
        ('solvr', 'epoch')
        >>> for finding in repaired.findings:
        ...     print(finding)
        unknown key 'solvr'; did you mean 'solver'?
        unknown key 'epoch'; did you mean 'epochs'?
    """
    repaired = Repaired(data)
    repaired.data = _mended(data, schema, (), repaired)
    return repaired


def _mended(value: Any, node: dict[str, Any], path: Path, repaired: Repaired) -> Any:
    """A value with the right keys."""
    node = object_form(node) if isinstance(value, dict) else dereferenced(node)
    if "else" in node:
        is_block = isinstance(value, dict) and "import" in value
        node = dereferenced(node["then" if is_block else "else"])
    if isinstance(value, list):
        items = node.get("items", {})
        return [_mended(item, items, (*path, i), repaired) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    known, others = node.get("properties", {}), node.get("additionalProperties")
    mended: dict[str, Any] = {}
    for key, item in value.items():
        right = key
        if node.get("additionalProperties") is False and key not in known:
            right = _right_key((*path, key), node, {*value, *mended}, repaired)
        below = known.get(right) or (others if isinstance(others, dict) else {})
        if (*path, right) == LAYERS[:-1] and any(means(one, SEQUENTIAL) for one in value.values()):
            below = _LAYER_PARAMS
        mended[right] = _mended(item, below, (*path, right), repaired)
    return mended


def _right_key(path: Path, node: dict[str, Any], taken: set[str], repaired: Repaired) -> str:
    """What an unknown key of a block should be, as far as that can be put in its place."""
    key, known = str(path[-1]), list(node["properties"])
    near = nearest(key, [one for one in known if one not in taken])
    sections = node["properties"] if len(path) == 1 else {}
    homes = [name for name, block in sections.items() if key in block.get("properties", ())]
    remedy = f"it belongs in {homes[0]!r}" if homes else suggest(key, known, "keys", taken)
    finding = Finding(path, f"unknown key {key!a}", remedy, is_key=True)
    repaired.findings.append(repaired.as_given(finding))
    if homes or near is None:
        return key
    # A key that is less alike is renamed only to one that is required.
    if not is_slip(key, near) and near not in node.get("required", ()):
        return key
    repaired.renamed[*path[:-1], near] = key
    return near
