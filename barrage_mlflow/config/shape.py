"""Checks a config against the schema and says what is wrong in our own words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.paths import Path, nearest, show_names, show_value
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.config.schema import dereferenced, schema

_NOUNS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "null": "null",
    "boolean": "true or false",
}


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
    seen: set[Path] = set()
    for error in _validator().iter_errors(data):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            yield from _unknown_keys(error, path)
        elif error.validator == "required":
            if (*path, "") not in seen:
                seen.add((*path, ""))
                yield from _missing_keys(error, path)
        elif error.validator == "anyOf" and isinstance(error.instance, dict):
            yield from _of_object_form(error, path)
        elif path not in seen and not _is_filled_later(error, path):
            seen.add(path)
            yield _unexpected(error, path)


@cache
def _validator() -> Any:
    import jsonschema

    kind = jsonschema.Draft202012Validator
    # JSON Schema takes 10.0 for an integer; batch_size=10.0 would fail far from here.
    checker = kind.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    extend: Any = jsonschema.validators.extend  # typed in part only
    return extend(kind, type_checker=checker)(schema())


def _of_object_form(error: Any, path: Path) -> Iterator[Finding]:
    """Of the forms that a value may have, it has the object's: what is wrong with it there."""
    for inner in error.context:
        below = (*path, *inner.relative_path)
        if inner.validator == "additionalProperties":
            yield from _unknown_keys(inner, below)
        elif inner.validator == "required":
            yield from _missing_keys(inner, below)
        elif below != path:
            yield _unexpected(inner, below)


def _unknown_keys(error: Any, path: Path) -> Iterator[Finding]:
    known = error.schema["properties"]
    for key in error.instance:
        if key not in known:
            yield unknown_key((*path, key), known, error.instance)


def unknown_key(path: Path, known: Iterable[str], block: dict[str, Any]) -> Finding:
    """The finding for a key that nothing reads.

    Args:
        path: of the key.
        known: the keys that its block can hold.
        block: the block; a key that it holds already is not what a mistyped one means.

    Example:
        >>> unknown_key(("solver", "epoch"), ["epochs", "steps"], {"epoch": 3}).remedy
        "did you mean 'epochs'?"
    """
    key = str(path[-1])
    known = list(known)
    sections = schema()["properties"] if len(path) == 1 else {}
    homes = [name for name, node in sections.items() if key in node.get("properties", ())]
    near = nearest(key, [name for name in known if name not in block])
    if homes:
        remedy = f"it belongs in {homes[0]!r}"
    elif near is not None:
        remedy = f"did you mean {near!r}?"
    else:
        remedy = f"known keys: {show_names(known)}" if known else ""
    return Finding(path, f"unknown key {key!a}", remedy, True)


def _missing_keys(error: Any, path: Path) -> Iterator[Finding]:
    # The params of a callback are checked as a whole elsewhere, with what Keras knows of them.
    if "x-callback" not in error.schema:
        unknown = list(_unknown_keys(error, path))
        yield from missing_keys(path, error.schema, error.instance, unknown)


def missing_keys(
    path: Path, node: dict[str, Any], block: dict[str, Any], unknown: list[Finding]
) -> Iterator[Finding]:
    """The finding, if any, for keys that a block must hold and does not.

    Args:
        path: of the block.
        node: the block's schema.
        block: the block.
        unknown: its unknown keys; a mistyped key is not also the lack of the right one.

    Example:
        >>> node = {"required": ["network", "outputs"]}
        >>> [found.message for found in missing_keys(("model",), node, {}, [])]
        ["missing keys 'network', 'outputs'"]
    """
    remedies = {found.remedy for found in unknown}
    missing = [
        key
        for key in node.get("required", ())
        if key not in block and f"did you mean {key!r}?" not in remedies
    ]
    if missing:
        remedy = ""
        if node.get("x-all-or-none"):
            remedy = f"give all of {show_names(node['required'])}, or leave the block out"
        plural = "s" if len(missing) > 1 else ""
        yield Finding(path, f"missing key{plural} {show_names(missing)}", remedy)


def _is_filled_later(error: Any, path: Path) -> bool:
    plain = not {"object", "array"} & set(_types(error.schema))
    return path[:1] == ("model",) and plain and placeholder_name(error.instance) is not None


def _unexpected(error: Any, path: Path) -> Finding:
    value = error.instance
    got = show_value(value)
    if error.validator in ("minItems", "minLength"):
        got = "an empty one"
    remedy = ""
    if value == "auto" and path[-1:] == ("mode",):
        remedy = '"auto" is not supported'
    elif isinstance(value, str) and _is_import_block(error.schema):
        remedy = f'write {{"import": {got}}}'
    return Finding(path, f"expected {expected(error.schema)}, got {got}", remedy)


def _is_import_block(node: dict[str, Any]) -> bool:
    return dereferenced(node).get("title") == "import block"


def expected(node: dict[str, Any]) -> str:
    """What a schema node wants, in words.

    Example:
        >>> expected({"type": "integer", "minimum": 1})
        'an integer ≥ 1'
        >>> expected({"$ref": "#/$defs/mode"})
        '"min" or "max"'
    """
    node = dereferenced(node)
    if "anyOf" in node:
        return " or ".join(expected(choice) for choice in node["anyOf"])
    if "enum" in node:
        return " or ".join(show_value(value) for value in node["enum"])
    if _is_import_block(node):
        return 'an import block {"import": …}'
    text = " or ".join(_NOUNS[name] for name in _types(node))
    if node.get("minItems"):
        text += " with at least 1 item"
    if node.get("minLength"):
        text = f"a non-empty {text.removeprefix('a ')}"
    bounds = [
        f"{sign} {node[bound]}"
        for bound, sign in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if bound in node
    ]
    return " ".join([text, " and ".join(bounds)]).strip()


def _types(node: dict[str, Any]) -> list[str]:
    found = dereferenced(node).get("type", [])
    return [found] if isinstance(found, str) else list(found)
