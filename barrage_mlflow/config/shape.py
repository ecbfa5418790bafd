"""Checks values against the schema, or a part of it, and puts what is wrong in our own words.

The work is done by `jsonschema`. Two of its errors are left to others, which find the nearest
name: keys that the schema does not know (`unknown_keys`) and the names of monitors (`monitors`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.names import nearest, show_names
from barrage_mlflow.config.paths import Path, show_value
from barrage_mlflow.config.schema import PLACEHOLDER, SCHEMA, Node, dereferenced, types_of

if TYPE_CHECKING:
    from jsonschema import ValidationError


_NOUNS = {
    "object": "an object",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "null": "null",
    "boolean": "true or false",
    "time zone": "a time zone",
    "encoding": "an encoding that Python knows",
}
_SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_FOUND_ELSEWHERE = ("additionalProperties", "pattern")


def shape_findings(data: Any) -> Iterator[Finding]:
    """Where a config departs from the schema: missing keys, types, ranges.

    Example:
        >>> found = shape_findings({"dataset": 3, "model": {"network": {}, "outputs": []}})
        >>> for finding in found:
        ...     print(finding.path, finding)
        ('dataset',) expected an object, got 3
        ('model', 'network') missing key 'import'
        ('model', 'outputs') expected a list with at least 1 item, got 0
    """
    yield from _findings(_validator().iter_errors(data), ())


def value_findings(value: Any, node: Node, path: Path) -> Iterator[Finding]:
    """Where a value departs from a schema node.

    Args:
        value: any JSON value.
        node: a part of the config's schema, or an annotation as a schema.
        path: of the value in the config.

    Example:
        >>> node = {"type": "array", "items": {"type": "integer", "minimum": 1}}
        >>> [finding.message for finding in value_findings([1, 0, "a"], node, ("shape",))]
        ['expected an integer ≥ 1, got 0', 'expected an integer ≥ 1, got "a"']
    """
    yield from _findings(_validator().evolve(schema=node).iter_errors(value), path)


@cache
def _validator() -> Any:
    # Their import takes longer than all else here, and only a check of a config needs it.
    from zoneinfo import ZoneInfo

    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.validators import extend

    # JSON Schema takes 10.0 for an integer; batch_size=10.0 would fail far from here.
    integers = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    formats, refused = FormatChecker(()), (LookupError, ValueError, OSError)
    formats.checks("time zone", refused)(lambda it: not isinstance(it, str) or ZoneInfo(it))
    formats.checks("encoding", refused)(lambda it: not isinstance(it, str) or "a".encode(it))
    return extend(Draft202012Validator, type_checker=integers)(SCHEMA, format_checker=formats)


def _findings(errors: Iterable[ValidationError], path: Path) -> Iterator[Finding]:
    for error in errors:
        here = (*path, *error.relative_path)
        if error.validator == "anyOf":
            yield from _of_choices(error, here)
        elif error.validator == "not":
            yield Finding(here, error.schema["errorMessage"])
        elif error.validator == "required":
            yield _missing_keys(error, here)
        elif error.validator not in _FOUND_ELSEWHERE:
            yield _unexpected(error, here)


def _of_choices(error: ValidationError, path: Path) -> Iterator[Finding]:
    """The findings of the choice that has the value's type, if that is an object or a list."""
    is_nested = isinstance(error.instance, dict | list)
    choices = groupby(error.context if is_nested else (), lambda one: one.schema_path[0])
    for inner in (list(errors) for _, errors in choices):
        about_itself = {one.validator for one in inner if not one.relative_path}
        if not about_itself & {"type", "enum", "const"}:
            yield from _findings(inner, path)
            return
    yield _unexpected(error, path)


def _missing_keys(error: ValidationError, path: Path) -> Finding:
    """One finding for all keys that a block lacks; `jsonschema` has an error for each."""
    missing = [key for key in error.schema["required"] if key not in error.instance]
    plural = "s" if len(missing) > 1 else ""
    message = f"missing key{plural} {show_names(missing)}"
    return Finding(path, message, error.schema.get("errorMessage", ""))


def _unexpected(error: ValidationError, path: Path) -> Finding:
    node, value = error.schema, error.instance
    is_counted = error.validator in ("minItems", "maxItems", "minProperties")
    got = str(len(value)) if is_counted else show_value(value)
    remedy = node.get("errorMessage", "")
    if isinstance(value, str):
        choices = [node, *node.get("anyOf", ())]
        if any(map(_is_import_block, choices)):
            remedy = f'write {{"import": {got}}}'
        near = nearest(value, [str(one) for choice in choices for one in choice.get("enum", ())])
        remedy = f"did you mean {show_value(near)}?" if near else remedy
    return Finding(path, f"expected {expected(node)}, got {got}", remedy)


def _is_import_block(node: Node) -> bool:
    return dereferenced(node).get("title") == "import block"


def expected(node: Node) -> str:
    """What a schema node wants, in words. Placeholders are left out.

    Example:
        >>> expected({"type": "integer", "minimum": 1})
        'an integer ≥ 1'
        >>> expected({"$ref": "#/$defs/mode"})
        '"min" or "max"'
        >>> expected({"type": "array", "minItems": 1})
        'a list with at least 1 item'
    """
    node = dereferenced(node)
    if "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice.get("$ref") != PLACEHOLDER]
        return " or ".join(expected(choice) for choice in choices)
    if "enum" in node:
        return " or ".join(show_value(value) for value in node["enum"])
    if _is_import_block(node):
        return 'an import block {"import": …}'
    text = " or ".join(_NOUNS[name] for name in types_of(node))
    if "format" in node:
        text = _NOUNS[node["format"]]
    elif "maxLength" in node:
        text = "a string of one character"
    elif node.get("minLength"):
        text = f"a non-empty {text.removeprefix('a ')}"
    if "maxItems" in node:
        text += f" with {node['maxItems']} items"
    elif "minItems" in node or "minProperties" in node:
        text += f" with at least 1 {'item' if 'minItems' in node else 'name'}"
    bounds = [f"{sign} {node[bound]}" for bound, sign in _SIGNS.items() if bound in node]
    return " ".join([text, " and ".join(bounds)]).strip().removeprefix("with ") or "anything"
