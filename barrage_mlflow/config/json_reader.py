"""Reads JSON with the standard library; where it is none, says what is wrong and where."""

from __future__ import annotations

import json
import re
from typing import Any

from barrage_mlflow.config.document import MAX_DEPTH, Document, plain_document
from barrage_mlflow.errors import ConfigError, Fault

_SLIPS = (
    (r"#|//|/\*", "JSON has no comments; remove it, or write the config as YAML"),
    (r",\s*[}\]]", "a trailing comma; remove it"),
    (r"(True|False|None)\b", "JSON writes true, false and null"),
)
"""What people write who are used to other formats: where the text reads so, what to print."""


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
