"""Reads YAML, keeping the line and column of every key and value.

Scalars follow the core schema of YAML 1.2: ``1e-3`` is a number, ``yes`` and ``on`` are
strings, a date is a string. Only plain values are made, never Python objects.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from barrage_mlflow.config.document import MAX_DEPTH, Document, Spot
from barrage_mlflow.config.paths import Path, joined, show_path
from barrage_mlflow.errors import ConfigError, Fault

_MAX_VALUES = 100_000
_TAGS = "tag:yaml.org,2002:"
_PLAIN = "plain"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_MAX_DIGITS = 400


def read_yaml(text: str, source: str) -> Document:
    r"""Parses YAML text with one document in it.

    Args:
        text: the YAML.
        source: the name of the file, for places.

    Raises:
        ConfigError: the text is not YAML or holds more than one document, a key is no string
            or stands twice, a tag asks for a Python object, a number is not finite, the
            nesting is deeper than 100, or aliases unfold to more than 100,000 values.

    Example:
        >>> document = read_yaml("solver:\n  learning_rate: 1e-3\n", "config.yaml")
        >>> document.data, document.place(("solver", "learning_rate"))
        ({'solver': {'learning_rate': 0.001}}, 'config.yaml:2:18')
    """
    import yaml

    class Loader(yaml.SafeLoader):
        DEFAULT_SCALAR_TAG = _PLAIN  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > MAX_DEPTH + 1:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                problem = f"nested deeper than {MAX_DEPTH} levels"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    # Without resolvers each scalar arrives as text, to be read by YAML 1.2 below; its own
    # default tag tells it from one that the config itself marks with !!str.
    Loader.yaml_implicit_resolvers = {}
    try:
        root = yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        problem = " ".join(str(error.problem or error.context).split())
        if "but found another document" in problem or "expected a single document" in str(error):
            problem = "a file holds one YAML document, this one holds several"
        raise ConfigError([Fault("$", f"not YAML: {problem}", "", place)]) from None
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError([Fault("$", f"not YAML: {problem}", "", source)]) from None
    if root is None:
        raise ConfigError([Fault("$", "not YAML: the file is empty", "", source)])
    return _YamlReader(text, source).document(root)


class _YamlReader:
    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.count = 0
        self.value_spots: dict[Path, Spot] = {}
        self.key_spots: dict[Path, Spot] = {}

    def document(self, root: Any) -> Document:
        data = self.value(root, ())
        return Document(data, self.source, self.text, (), self.value_spots, self.key_spots)

    def fail(self, node: Any, path: Path, message: str, remedy: str = "") -> NoReturn:
        line, column = self.spot(node)
        place = f"{self.source}:{line}:{column}"
        raise ConfigError([Fault(show_path(path), message, remedy, place)])

    def spot(self, node: Any) -> tuple[int, int]:
        return node.start_mark.line + 1, node.start_mark.column + 1

    def value(self, node: Any, path: Path) -> Any:
        self.count += 1
        if self.count > _MAX_VALUES:
            message = f"aliases unfold to more than {_MAX_VALUES:,} values"
            self.fail(node, path[:3], message, "write the values out")
        if len(path) > MAX_DEPTH:
            self.fail(node, path[:3], f"nested deeper than {MAX_DEPTH} levels", "is it in itself?")
        self.value_spots[path] = self.spot(node)
        kind = node.tag.removeprefix(_TAGS)
        if node.id == "mapping" and kind == "map":
            return self.mapping(node, path)
        if node.id == "sequence" and kind == "seq":
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        if node.id == "scalar" and kind == _PLAIN:
            return self.scalar(node, path)
        if node.id == "scalar" and kind == "str":
            return self.string(node, path)
        message = f"tag {node.tag!a} is not supported"
        return self.fail(node, path, message, "write a plain value")

    def mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.value(key_node, (*path, "?")) if key_node.id == "scalar" else key_node.id
            self.value_spots.pop((*path, "?"), None)
            if key_node.id != "scalar" or not isinstance(key, str):
                shown = "null" if key is None else str(key).lower()
                self.fail(key_node, path, f"keys must be strings, got {shown}", "put it in quotes")
            here = (*path, key)
            if key in found:
                first = self.key_spots[here]
                self.fail(key_node, path, f"key {key!a} stands twice, first on line {first[0]}")
            self.key_spots[here] = self.spot(key_node)
            found[key] = self.value(value_node, here)
        return found

    def scalar(self, node: Any, path: Path) -> Any:
        text = node.value
        if node.style is not None:
            return self.string(node, path)
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _NOT_FINITE.fullmatch(text):
            self.fail(node, path, f"expected a finite number, got {text}")
        if not _FLOAT.fullmatch(text) and not _INT.fullmatch(text):
            return text
        value: int | float = float("inf")
        if len(text) <= _MAX_DIGITS:
            value = self.integer(text) if _INT.fullmatch(text) else float(text)
        if value in (float("inf"), float("-inf")) or (
            isinstance(value, int) and value.bit_length() > 64
        ):
            self.fail(node, path, f"number out of range: {text[:40]}")
        return value

    def string(self, node: Any, path: Path) -> str:
        text = joined(node.value)
        if text is None:
            self.fail(node, path, "half a surrogate pair in a string")
        return text

    def integer(self, text: str) -> int:
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
