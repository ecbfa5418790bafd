"""Reads YAML by the core schema of YAML 1.2, as plain values.

``1e-3`` is a number, ``yes`` and ``on`` are strings, a date is a string.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from barrage_mlflow.config.document import MAX_DEPTH, Document, plain_document
from barrage_mlflow.errors import ConfigError, Fault

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": r"(~|null|Null|NULL|)$",
    "bool": r"(true|True|TRUE|false|False|FALSE)$",
    "int": r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$",
    "float": r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)"
    r"|\.(nan|NaN|NAN))$",
}
"""How the core schema of YAML 1.2 writes each type; what is none of them is a string."""


class _Loader(yaml.SafeLoader):
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

    def construct_int(self, node: yaml.ScalarNode) -> int:
        return int(node.value, {"0o": 8, "0x": 16}.get(node.value[:2], 10))


for _name, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(_pattern), None)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_int)


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
    place, data, problem = source, None, ""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            problem = "the file is empty"
        else:
            data = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        problem = " ".join(str(error.problem or error.context).split()).removeprefix("but ")
    except (yaml.YAMLError, ValueError) as error:  # a control character, an endless integer
        problem = " ".join(str(error).split())
    except RecursionError:
        problem = f"nested deeper than {MAX_DEPTH} levels"
    if problem:
        raise ConfigError([Fault("$", f"not {language}: {problem}", place=place)])
    return plain_document(Document(data, source, text))
