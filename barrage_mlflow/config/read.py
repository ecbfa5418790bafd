"""Reads a config from a file or a dict."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from barrage_mlflow.config.document import Document, plain_document
from barrage_mlflow.config.json_reader import read_json
from barrage_mlflow.config.names import nearest
from barrage_mlflow.config.paths import show_value
from barrage_mlflow.errors import ConfigError, Fault

MAX_BYTES = 5 * 1024 * 1024


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
    text = _read_text(name)
    if name.lower().endswith((".yaml", ".yml")):
        from barrage_mlflow.config.yaml_reader import read_yaml

        return read_yaml(text, name)
    return read_json(text, name)


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
