"""Checks values against the schema, or a part of it, and says what is wrong in our own words.

It knows the few words of JSON Schema that `schema.json` and annotations use; a test holds it
against a validator of JSON Schema. Loading that would take half of the time that checking has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.paths import Path, nearest, nearest_free, show_names, show_value
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.config.schema import dereferenced, schema

Node = dict[str, Any]

_NOUNS = {
    "object": ("an object", "objects"),
    "array": ("a list", "lists"),
    "string": ("a string", "strings"),
    "integer": ("an integer", "integers"),
    "number": ("a number", "numbers"),
    "null": ("null", "nulls"),
    "boolean": ("true or false", "true or false"),
}
_BOUNDS: tuple[tuple[str, str, Callable[[Any, Any], bool]], ...] = (
    ("minimum", "≥", lambda value, bound: value >= bound),
    ("exclusiveMinimum", ">", lambda value, bound: value > bound),
    ("maximum", "≤", lambda value, bound: value <= bound),
    ("exclusiveMaximum", "<", lambda value, bound: value < bound),
)


def shape_findings(data: Any) -> Iterator[Finding]:
    """Where a config departs from the schema: unknown and missing keys, types, ranges.

    In the model section a placeholder may stand for any plain value.

    Example:
        >>> found = shape_findings({"dataset": 3, "model": {"network": {}, "outputs": []}})
        >>> for finding in found:
        ...     print(finding.path, finding.message)
        ('dataset',) expected an object, got 3
        ('model', 'network') missing key 'import'
        ('model', 'outputs') expected a list with at least 1 item, got an empty one
    """
    yield from value_findings(data, schema(), ())


def value_findings(
    value: Any, node: Node, path: Path, *, is_param: bool = False
) -> Iterator[Finding]:
    """Where a value departs from a schema node.

    Args:
        value: any JSON value.
        node: a part of the config's schema, or an annotation as a schema.
        path: where the value stands in the config.
        is_param: whether it is a component's param, for which a placeholder may stand whatever
            it wants; else only for a plain value.

    Example:
        >>> node = {"type": "array", "items": {"type": "integer", "minimum": 1}}
        >>> [finding.message for finding in value_findings([1, 0, "a"], node, ("shape",))]
        ['expected an integer ≥ 1, got 0', 'expected an integer ≥ 1, got "a"']
    """
    node = dereferenced(node)
    may_stand = is_param or not {"object", "array"} & set(types_of(node))
    if may_stand and path[:1] == ("model",) and placeholder_name(value) is not None:
        return
    if "anyOf" in node:
        yield from _any_of(value, node, path, is_param)
    elif not _fits(value, node):
        yield _unexpected(value, node, path)
    elif isinstance(value, dict):
        yield from _object_findings(value, node, path, is_param)
    elif isinstance(value, list) and node.get("items"):
        for i, item in enumerate(value):
            yield from value_findings(item, node["items"], (*path, i), is_param=is_param)


def _any_of(value: Any, node: Node, path: Path, is_param: bool) -> Iterator[Finding]:
    """The findings of the form that the value has, where it has one of them."""
    choices = [dereferenced(choice) for choice in node["anyOf"]]
    found = [list(value_findings(value, one, path, is_param=is_param)) for one in choices]
    if all(found):
        alike = [
            findings
            for choice, findings in zip(choices, found, strict=True)
            if isinstance(value, dict | list) and _has_type(value, types_of(choice))
        ]
        yield from alike[0] if alike else [_unexpected(value, node, path)]


def _object_findings(
    value: dict[str, Any], node: Node, path: Path, is_param: bool
) -> Iterator[Finding]:
    # The params of a callback are checked as a whole elsewhere, with what Keras knows of them.
    if "x-callback" not in node:
        if node.get("additionalProperties") is False:
            known = node.get("properties", {})
            for key in value:
                if key not in known:
                    yield unknown_key((*path, key), known, value)
        yield from missing_keys(path, node, value)
    others = node.get("additionalProperties")
    for key, item in value.items():
        child = node.get("properties", {}).get(key, others)
        if isinstance(child, dict):
            yield from value_findings(item, child, (*path, key), is_param=is_param)


def _fits(value: Any, node: Node) -> bool:
    """Whether a value is of the type and in the range of a node; what it holds is not looked at."""
    types = types_of(node)
    if types and not _has_type(value, types):
        return False
    if "enum" in node and not any(_same(value, choice) for choice in node["enum"]):
        return False
    if isinstance(value, str | list):
        least = node.get("minLength" if isinstance(value, str) else "minItems", 0)
        return bool(least <= len(value) <= node.get("maxItems", len(value)))
    if isinstance(value, int | float):
        return all(holds(value, node[bound]) for bound, _, holds in _BOUNDS if bound in node)
    return True


def _same(value: Any, choice: Any) -> bool:
    return bool(value == choice) and isinstance(value, bool) is isinstance(choice, bool)


def _has_type(value: Any, types: list[str]) -> bool:
    if isinstance(value, bool) or value is None:
        return ("null" if value is None else "boolean") in types
    if isinstance(value, int):
        return "integer" in types or "number" in types
    # JSON Schema takes 10.0 for an integer; batch_size=10.0 would fail far from here.
    names = {float: "number", str: "string", list: "array", dict: "object"}
    return names[type(value)] in types


def unknown_key(path: Path, known: Iterable[str], block: dict[str, Any]) -> Finding:
    """The finding for a key that nothing reads.

    Args:
        path: of the key.
        known: the keys that its block can hold.
        block: the block; a key that it holds already is less likely what a mistyped one means.

    Example:
        >>> unknown_key(("solver", "epoch"), ["epochs", "steps"], {"epoch": 3}).remedy
        "did you mean 'epochs'?"
    """
    key = str(path[-1])
    known = list(known)
    sections = schema()["properties"] if len(path) == 1 else {}
    homes = [name for name, node in sections.items() if key in node.get("properties", ())]
    near = nearest_free(key, known, block)
    if homes:
        remedy = f"it belongs in {homes[0]!r}"
    elif near is not None:
        remedy = f"did you mean {near!r}?"
    else:
        remedy = f"known keys: {show_names(known)}" if known else ""
    return Finding(path, f"unknown key {key!a}", remedy, True)


def missing_keys(path: Path, node: Node, block: dict[str, Any]) -> Iterator[Finding]:
    """The finding, if any, for keys that a block must hold and does not.

    Args:
        path: of the block.
        node: the block's schema.
        block: the block.

    Example:
        >>> node = {"required": ["network", "outputs"]}
        >>> [found.message for found in missing_keys(("model",), node, {})]
        ["missing keys 'network', 'outputs'"]
    """
    missing = [key for key in node.get("required", ()) if key not in block]
    if missing:
        remedy = ""
        if node.get("x-all-or-none"):
            remedy = f"give all of {show_names(node['required'])}, or leave the block out"
        plural = "s" if len(missing) > 1 else ""
        yield Finding(path, f"missing key{plural} {show_names(missing)}", remedy)


def _unexpected(value: Any, node: Node, path: Path) -> Finding:
    got = show_value(value)
    if value in ("", []) and _has_type(value, types_of(node)):
        got = "an empty one"
    elif isinstance(value, list) and types_of(node) == ["array"]:
        got = f"{len(value)}"
    remedy = ""
    if value == "auto" and path[-1:] == ("mode",):
        remedy = '"auto" is not supported'
    elif isinstance(value, str) and is_import_block(node):
        remedy = f'write {{"import": {got}}}'
    elif isinstance(value, str) and "enum" in node:
        near = nearest(value, [choice for choice in node["enum"] if isinstance(choice, str)])
        remedy = f"did you mean {show_value(near)}?" if near else ""
    return Finding(path, f"expected {expected(node)}, got {got}", remedy)


def is_import_block(node: Node) -> bool:
    """Whether a schema node is that of an import block.

    Example:
        >>> is_import_block({"$ref": "#/$defs/importBlock"}), is_import_block({"type": "object"})
        (True, False)
    """
    return dereferenced(node).get("title") == "import block"


def expected(node: Node) -> str:
    """What a schema node wants, in words.

    Example:
        >>> expected({"type": "integer", "minimum": 1})
        'an integer ≥ 1'
        >>> expected({"$ref": "#/$defs/mode"})
        '"min" or "max"'
        >>> expected({"type": "array", "items": {"type": ["string", "null"]}})
        'a list of strings or nulls'
    """
    node = dereferenced(node)
    if "anyOf" in node:
        return " or ".join(expected(choice) for choice in node["anyOf"])
    if "enum" in node:
        return " or ".join(show_value(value) for value in node["enum"])
    if is_import_block(node):
        return 'an import block {"import": …}'
    text = " or ".join(_NOUNS[name][0] for name in types_of(node))
    items = [name for name in types_of(node.get("items", {})) if name not in ("object", "array")]
    if items:
        text += " of " + " or ".join(_NOUNS[name][1] for name in items)
    if "maxItems" in node:
        text += f" with {node['maxItems']} items"
    elif node.get("minItems"):
        text += " with at least 1 item"
    if node.get("minLength"):
        text = f"a non-empty {text.removeprefix('a ')}"
    bounds = [f"{sign} {node[bound]}" for bound, sign, _ in _BOUNDS if bound in node]
    return " ".join([text, " and ".join(bounds)]).strip()


def types_of(node: Node) -> list[str]:
    """The JSON types that a schema node allows; empty where it names none.

    Example:
        >>> types_of({"type": "integer"}), types_of({"enum": [1]})
        (['integer'], [])
    """
    found = dereferenced(node).get("type", [])
    return [found] if isinstance(found, str) else list(found)
