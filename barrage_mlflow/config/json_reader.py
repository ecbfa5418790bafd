"""Reads JSON: the standard library for the data, and places only where a fault needs them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from barrage_mlflow.config.document import MAX_DEPTH, Document, plain_document
from barrage_mlflow.config.paths import Path
from barrage_mlflow.errors import ConfigError, Fault

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
    (?P<opening>[{\[]) | (?P<closing>[}\]]) | (?P<comma>,) | (?P<colon>:)
    | (?P<string>"(?:[^"\\]|\\.)*") | (?P<word>[^\s,:\[\]{}"]+)
    )""",
    re.VERBOSE,
)
_EXPECTED = {
    "Expecting value": "expected a value",
    "Expecting property name enclosed in double quotes": "expected a key in double quotes",
    "Expecting ':' delimiter": "expected ':' after the key",
    "Expecting ',' delimiter": "expected ',' or a closing bracket",
    "Extra data": "expected the end of the file after one JSON value",
    "Unterminated string starting at": "expected a string that ends in a double quote",
    "Invalid control character at": "expected no control character in a string",
    "Invalid \\escape": "expected an escape that JSON knows",
    "Invalid \\uXXXX escape": "expected an escape of four hexadecimal digits",
}
"""What the standard library expected, by its message."""
_SLIPS = (
    (r"#|//|/\*", "JSON has no comments", "remove it, or write the config as YAML"),
    (r",\s*[}\]]", "a trailing comma", "remove it"),
    (r"'", "strings take double quotes, not single ones", ""),
    (r"[\r\n]", "this string has no end", "close it with a double quote"),
    (r"True\b", "expected a value, got True", "write true"),
    (r"False\b", "expected a value, got False", "write false"),
    (r"None\b", "expected a value, got None", "write null"),
)
"""What people write who are used to other formats: where the text reads so, message and remedy."""


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
    except _RepeatedKeyError:
        raise _not_json(text, source, *_repeated_key(text)) from None
    except RecursionError:
        raise _not_json(text, source, 0, f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # an integer of thousands of digits
        raise _not_json(text, source, 0, str(error)) from None
    return plain_document(Document(data, source, text, locate=_Places(text).locate))


class _RepeatedKeyError(Exception):
    """A key is twice in one object."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _RepeatedKeyError
    return found


def _not_json(text: str, source: str, at: int, message: str, remedy: str = "") -> ConfigError:
    line, column = line_and_column(text, at)
    return ConfigError([Fault("$", f"not JSON: {message}", remedy, f"{source}:{line}:{column}")])


def _explained(text: str, error: json.JSONDecodeError) -> tuple[int, str, str]:
    """Where the text stops being JSON, what is wrong there, and what to write."""
    at = error.pos
    if not text.strip():
        return 0, "the file is empty", ""
    before = text[:at].rstrip(" \t\r\n")
    if before.endswith(",") and text[at : at + 1] in ("}", "]"):
        at = len(before) - 1
    for pattern, slip, remedy in _SLIPS:
        if re.match(pattern, text[at:]):
            return at, slip, remedy
    word = re.match(r"[^\s,:\[\]{}\"]+|.", text[at:])
    got = ascii(word[0][:20]) if word else "the end"
    remedy = r"write \\ for a backslash" if "escape" in error.msg else ""
    return at, f"{_EXPECTED.get(error.msg, error.msg)}, got {got}", remedy


def _repeated_key(text: str) -> tuple[int, str]:
    """Where a key is in an object that has it already, and what to print of that."""
    seen: dict[Path, int] = {}
    for path, is_key, at in _walk(text):
        if is_key and path in seen:
            line, _ = line_and_column(text, seen[path])
            return at, f"key {path[-1]!a} is there twice, first on line {line}"
        if is_key:
            seen[path] = at
    return 0, "a key is there twice in one object"


def line_and_column(text: str, at: int) -> tuple[int, int]:
    r"""Line and column, both from 1, of an offset in a text.

    Example:
        >>> line_and_column("a\nbc", 3)
        (2, 2)
    """
    lines = re.split(r"\r\n|\r|\n", text[:at])
    return len(lines), len(lines[-1]) + 1


class _Places:
    """Where the keys and values of JSON text are, found when it is first asked for."""

    def __init__(self, text: str) -> None:
        self.text = text

    def locate(self, path: Path, key: bool) -> tuple[int, int]:
        while (path, key) not in self.offsets and path:
            path, key = (path, False) if key else (path[:-1], False)
        return line_and_column(self.text, self.offsets.get((path, key), 0))

    @cached_property
    def offsets(self) -> dict[tuple[Path, bool], int]:
        return {(path, is_key): at for path, is_key, at in _walk(self.text)}


def _walk(text: str) -> Iterator[tuple[Path, bool, int]]:
    """Path of each key and value of valid JSON, whether it is the key, and its offset."""
    path: list[Any] = []
    for match in _TOKEN.finditer(text):
        token = str(match.lastgroup)
        at = match.start(token)
        if token == "closing":
            path.pop()
        elif token == "comma":
            # None is in the place of a key that is still to come.
            path[-1] = path[-1] + 1 if isinstance(path[-1], int) else None
        elif token == "string" and path and path[-1] is None:
            path[-1] = json.loads(match[token])
            yield tuple(path), True, at
        elif token != "colon":
            if len(path) > MAX_DEPTH:
                return  # such text is refused, with the place of what is around
            yield tuple(path), False, at
            if token == "opening":
                path.append(None if match[token] == "{" else 0)
