"""Reads a config from a file or a dict; where a file is no JSON, says what is wrong and where."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from barrage_mlflow.config.document import MAX_DEPTH, Document, plain_document
from barrage_mlflow.config.names import nearest
from barrage_mlflow.config.paths import show_value
from barrage_mlflow.errors import ConfigError, Fault

MAX_BYTES = 5 * 1024 * 1024

_SLIPS = (
    (r"#|//|/\*", "JSON has no comments; remove it, or write the config as YAML"),
    (r",\s*[}\]]", "a trailing comma; remove it"),
    (r"(True|False|None)\b", "JSON writes true, false and null"),
)
"""What people write who are used to other formats: where the text reads so, what to print."""


def read_config(source: str | os.PathLike[str] | Mapping[str, object] | Document) -> Document:
    """Reads a config.

    Args:
        source: a JSON file, a YAML file (by its suffix ``.yaml`` or ``.yml``) or a dict, which
            is copied and never changed. A `Document` is given back as it is.

    Returns:
        The config's data with the places of its keys and values. It is not checked yet.

    Raises:
        ConfigError: the file cannot be read or is not JSON or YAML, or the dict has values
            that JSON has no form for. Tuples are taken as lists.

    Example:
        >>> read_config({"solver": {"epochs": 3}}).data
        {'solver': {'epochs': 3}}
    """
    if isinstance(source, Document):
        return source
    if isinstance(source, Mapping):
        document = plain_document(Document(source))
        return replace(document, text=json.dumps(document.data, indent=2, ensure_ascii=False))
    if not isinstance(source, str | os.PathLike):
        message = f"expected a config file or a dict, got {show_value(source)}"
        raise ConfigError([Fault("$", message)])
    name = os.fspath(source)
    if not name:
        raise ConfigError([Fault("$", "expected a config file or a dict, got no name of a file")])
    text = _read_text(name)
    if name.lower().endswith((".yaml", ".yml")):
        from barrage_mlflow.config.yaml_reader import read_yaml

        return read_yaml(text, name)
    return read_json(text, name)


def read_json(text: str, source: str) -> Document:
    r"""Parses JSON text.

    Args:
        text: one JSON value.
        source: the name of the file, for places.

    Raises:
        ConfigError: the text is not JSON, a key is twice in one object, a number is out of
            range, or the nesting is deeper than 100.

    Example:
        >>> document = read_json('{\n  "solver": {"epochs": 3}\n}', "config.json")
        >>> document.data, document.place(("solver", "epochs"))
        ({'solver': {'epochs': 3}}, 'config.json:2:24')
    """
    try:
        data = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise _not_json(text, source, *_explained(text, error)) from None
    except KeyError:
        from barrage_mlflow.config.yaml_reader import read_yaml

        return read_yaml(text.replace("\t", " "), source, "JSON")  # which finds where
    except RecursionError:
        raise _not_json(text, source, 0, f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # an integer of thousands of digits
        raise _not_json(text, source, 0, str(error)) from None
    return plain_document(Document(data, source, text))


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError
    return found


def _not_json(text: str, source: str, at: int, message: str) -> ConfigError:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    return ConfigError([Fault("$", f"not JSON: {message}", place=f"{source}:{line}:{column}")])


def _explained(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Where the text stops being JSON, and what is wrong there."""
    at = error.pos
    if not text.strip():
        return 0, "the file is empty"
    before = text[:at].rstrip()
    if before.endswith(",") and text[at : at + 1] in ("}", "]"):
        at = len(before) - 1
    for pattern, slip in _SLIPS:
        if re.match(pattern, text[at:]):
            return at, slip
    word = re.match(r"(?s)[^\s,:\[\]{}\"]+|.", text[at:])
    got = ascii(word[0][:20]) if word else "the end"
    wanted = error.msg.removesuffix(" at").removesuffix(" starting")
    return at, f"{wanted[0].lower()}{wanted[1:]}, got {got}"


def _read_text(name: str) -> str:
    try:
        with Path(name).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _cannot_read(name, "no such file", _file_remedy(name)) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _cannot_read(name, f"cannot be read: {why}") from None
    if len(content) > MAX_BYTES:
        raise _cannot_read(name, "larger than 5 MB, which no config is")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _cannot_read(f"{name}:{line}", "not UTF-8 text", "save it as UTF-8") from None


def _cannot_read(place: str, message: str, remedy: str = "") -> ConfigError:
    return ConfigError([Fault("", message, remedy, place.replace("\n", "\\n"))])


def _file_remedy(name: str) -> str:
    path = Path(name)
    if not path.parent.is_dir():
        return f"there is no folder {str(path.parent)!r}"
    near = nearest(path.name, [file.name for file in path.parent.iterdir()])
    return f"did you mean {str(path.with_name(near))!r}?" if near else ""
