"""Reads YAML by the core schema of YAML 1.2, as plain values.

``1e-3`` is a number, ``yes`` and ``on`` are strings, a date is a string.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.document import MAX_DEPTH, Document, Locate, plain_document
from barrage_mlflow.config.paths import Path
from barrage_mlflow.errors import ConfigError, Fault

if TYPE_CHECKING:
    import yaml

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"(~|null|Null|NULL|)$",
    "bool": r"(true|True|TRUE|false|False|FALSE)$",
    "int": r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$",
    "float": r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
    r"|\.(nan|NaN|NAN))$",
}
"""How the core schema of YAML 1.2 writes each type; what is none of them is a string."""


def read_yaml(text: str, source: str, language: str = "YAML") -> Document:
    r"""Parses YAML text with one document in it.

    Args:
        text: the YAML.
        source: the name of the file, for places.
        language: what it is called in messages; JSON is YAML too.

    Raises:
        ConfigError: the text is not YAML or more than one document, a key is no string
            or is there twice, a tag asks for a Python object, a number is not finite, or there
            are too many or too deep values.

    Example:
        >>> document = read_yaml("solver:\n  learning_rate: 1e-3\n", "config.yaml")
        >>> document.data, document.place(("solver", "learning_rate"))
        ({'solver': {'learning_rate': 0.001}}, 'config.yaml:2:18')
    """
    import yaml

    place, data, problem = source, None, "the file is empty"
    try:
        data = _loader()(text).get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        problem = " ".join(str(error.problem or error.context).split())
        if "but found another document" in problem or "expected a single document" in str(error):
            problem = "expected one YAML document, got several"
    except (yaml.YAMLError, ValueError) as error:  # a control character, an endless integer
        problem = " ".join(str(error).split())
    except RecursionError:
        problem = f"nested deeper than {MAX_DEPTH} levels"
    if data is None:
        raise ConfigError([Fault("$", f"not {language}: {problem}", place=place)])
    return plain_document(Document(data, source, text, locate=places_in(text)))


def places_in(text: str) -> Locate:
    """Finds places in YAML or JSON text, which is parsed when the first of them is asked for."""

    @functools.cache
    def root() -> Any:
        import yaml

        try:
            return _loader()(text).get_single_node()
        except yaml.YAMLError:  # a character that JSON alone may have, such as DEL
            return yaml.compose("{}")

    return lambda path, key: _locate(root(), path, key)


@functools.cache
def _loader() -> type[Any]:
    import yaml

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - none of YAML 1.1

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            first: dict[str, yaml.Node] = {}
            for key, _ in node.value:
                before = first.setdefault(str(key.value), key)
                if before is not key:
                    line = before.start_mark.line + 1
                    problem = f"key {key.value!a} is there twice, first on line {line}"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            return super().construct_mapping(node, deep)

    def construct_int(_: Loader, node: yaml.ScalarNode) -> int:
        return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))

    for name, pattern in _SCALARS.items():
        Loader.add_implicit_resolver(_TAG + name, re.compile(pattern), None)
    Loader.add_constructor(f"{_TAG}int", construct_int)
    return Loader


def _locate(node: Any, path: Path, key: bool) -> tuple[int, int]:
    """Line and column of what a path leads to, or of the nearest around it."""
    mark = node.start_mark
    for i, part in enumerate(path):
        pairs: dict[Any, Any] = {}
        if node.id == "mapping":
            pairs = {str(name.value): (name, value) for name, value in node.value}
        elif node.id == "sequence":
            pairs = dict(enumerate((item, item) for item in node.value))
        if part not in pairs:
            break
        name, node = pairs[part]
        mark = (name if key and i == len(path) - 1 else node).start_mark
    return mark.line + 1, mark.column + 1
