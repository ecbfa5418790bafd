"""Annotations as JSON Schema: what a param's annotation allows a config to give."""

from __future__ import annotations

import ast
from functools import cache

from barrage_mlflow.config.schema import Node

_PLAIN = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "None": "null",
    "NoneType": "null",
}
_LISTS = ("list", "List", "tuple", "Tuple", "Sequence", "MutableSequence")
_OBJECTS = ("dict", "Dict", "Mapping", "MutableMapping")


@cache
def annotation_schema(text: str) -> Node:
    """An annotation, as it is written, as a JSON Schema node.

    Only what is certain counts: a name that is not of Python's own types, of `typing` or of
    `collections.abc` allows anything, and so does a union with such a name.

    Args:
        text: source text, ``"int | None"``.

    Returns:
        The node; ``{}`` where anything goes. It is shared: do not change it.

    Example:
        >>> annotation_schema("int | None")
        {'anyOf': [{'type': 'integer'}, {'type': 'null'}]}
        >>> annotation_schema("Mapping[str, list[str]]")["additionalProperties"]
        {'type': 'array', 'items': {'type': 'string'}}
        >>> annotation_schema("Literal['a', 'b']"), annotation_schema("Path | str")
        ({'enum': ['a', 'b']}, {})
    """
    try:
        return _node(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError):
        return {}


def _node(tree: ast.expr) -> Node:
    if isinstance(tree, ast.Constant):
        if tree.value is None:
            return {"type": "null"}
        return annotation_schema(tree.value) if isinstance(tree.value, str) else {}
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, ast.BitOr):
        return _union([_node(tree.left), _node(tree.right)])
    if isinstance(tree, ast.Subscript):
        inner = tree.slice.elts if isinstance(tree.slice, ast.Tuple) else [tree.slice]
        return _generic(tree.value, inner)
    return _generic(tree, [])


def _generic(tree: ast.expr, inner: list[ast.expr]) -> Node:
    name = ast.unparse(tree).rpartition(".")[2]
    if name in _PLAIN:
        return {"type": _PLAIN[name]}
    if name == "Literal":
        values = [item.value for item in inner if isinstance(item, ast.Constant)]
        return {"enum": values} if len(values) == len(inner) else {}
    if name == "Optional" and inner:
        return _union([_node(inner[0]), {"type": "null"}])
    if name == "Union":
        return _union([_node(item) for item in inner])
    if name in _OBJECTS:
        value = _node(inner[1]) if len(inner) == 2 else {}
        return {"type": "object"} | ({"additionalProperties": value} if value else {})
    if name in _LISTS:
        return _list(name, inner)
    return {}


def _list(name: str, inner: list[ast.expr]) -> Node:
    node: Node = {"type": "array"}
    is_endless = any(isinstance(item, ast.Constant) and item.value is ... for item in inner)
    if name not in ("tuple", "Tuple") or is_endless:
        inner = inner[:1]
    elif inner:
        node |= {"minItems": len(inner), "maxItems": len(inner)}
    items = _union([_node(item) for item in inner])
    return node | ({"items": items} if items else {})


def _union(nodes: list[Node]) -> Node:
    """Any of them; anything where one of them allows that, or where there are none."""
    choices = [node for i, node in enumerate(nodes) if node not in nodes[:i]]
    if len(choices) == 1:
        return choices[0]
    return {"anyOf": choices} if choices and all(choices) else {}
