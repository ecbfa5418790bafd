"""Reads JSON, keeping the line and column of every key and value.

The parser of the standard library accepts what JSON forbids (``NaN``, duplicate keys) and
forgets where things stand, so this one is our own. It says what is wrong in the words of
someone who writes configs by hand: a comment, a trailing comma, single quotes.
"""

from __future__ import annotations

import bisect
import re
from typing import Any, NoReturn

from barrage_mlflow.config.document import MAX_DEPTH, Document, Spot
from barrage_mlflow.config.paths import Path, joined, show_path
from barrage_mlflow.errors import ConfigError, Fault

_BLANKS = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORD = re.compile(r"[^\s,:\[\]{}\"]+")
_PLAIN_TEXT = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t",
}  # fmt: skip
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_MAX_DIGITS = 400


def read_json(text: str, source: str) -> Document:
    r"""Parses JSON text.

    Args:
        text: one JSON value.
        source: the name of the file, for places.

    Raises:
        ConfigError: the text is not JSON, a key stands twice in one object, a number is out
            of range, or the nesting is deeper than 100.

    Example:
        >>> document = read_json('{\n  "solver": {"epochs": 3}\n}', "config.json")
        >>> document.data, document.place(("solver", "epochs"))
        ({'solver': {'epochs': 3}}, 'config.json:2:24')
    """
    return _JsonReader(text, source).document()


class _JsonReader:
    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.at = 0
        self.line_starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", text))]
        self.value_spots: dict[Path, Spot] = {}
        self.key_spots: dict[Path, Spot] = {}

    def document(self) -> Document:
        if not self.text.strip():
            raise ConfigError([Fault("$", "not JSON: the file is empty", "", self.source)])
        data = self.value(())
        self.skip_blanks(())
        if self.at < len(self.text):
            self.fail((), "text after the end of the config", "a file holds one JSON value")
        return Document(data, self.source, self.text, (), self.value_spots, self.key_spots)

    def spot(self, at: int) -> tuple[int, int]:
        line = bisect.bisect_right(self.line_starts, at)
        return line, at - self.line_starts[line - 1] + 1

    def fail(self, path: Path, message: str, remedy: str = "", at: int | None = None) -> NoReturn:
        line, column = self.spot(self.at if at is None else at)
        place = f"{self.source}:{line}:{column}"
        raise ConfigError([Fault(show_path(path), f"not JSON: {message}", remedy, place)])

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def skip_blanks(self, path: Path) -> None:
        self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]
        if self.peek() == "#" or self.text[self.at : self.at + 2] in ("//", "/*"):
            self.fail(path, "JSON has no comments", "remove it, or write the config as YAML")

    def value(self, path: Path) -> Any:
        self.skip_blanks(path)
        if len(path) > MAX_DEPTH:
            self.fail(path[:3], f"nested deeper than {MAX_DEPTH} levels")
        self.value_spots[path] = self.spot(self.at)
        char = self.peek()
        if char == "{":
            return self.object(path)
        if char == "[":
            return self.array(path)
        if char == '"':
            return self.string(path)
        return self.number_or_word(path)

    def object(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self.at += 1
        self.skip_blanks(path)
        if self.peek() == "}":
            self.at += 1
            return found
        while True:
            self.skip_blanks(path)
            start = self.at
            if self.peek() != '"':
                self.fail_at_key(path)
            key = self.string(path)
            here = (*path, key)
            if key in found:
                first = self.key_spots[here]
                self.fail(path, f"key {key!a} stands twice, first on line {first[0]}", "", start)
            self.key_spots[here] = self.spot(start)
            self.skip_blanks(path)
            if self.peek() != ":":
                self.fail(here, f"expected ':' after the key, got {self.shown()}")
            self.at += 1
            found[key] = self.value(here)
            if self.ends(path, "}"):
                return found

    def array(self, path: Path) -> list[Any]:
        found: list[Any] = []
        self.at += 1
        self.skip_blanks(path)
        if self.peek() == "]":
            self.at += 1
            return found
        while True:
            found.append(self.value((*path, len(found))))
            if self.ends(path, "]"):
                return found

    def ends(self, path: Path, closing: str) -> bool:
        self.skip_blanks(path)
        char = self.peek()
        if char == closing:
            self.at += 1
            return True
        if char != ",":
            self.fail(path, f"expected ',' or {closing!r}, got {self.shown()}")
        comma = self.at
        self.at += 1
        self.skip_blanks(path)
        if self.peek() == closing:
            self.fail(path, f"trailing comma before {closing!r}", "remove it", comma)
        return False

    def fail_at_key(self, path: Path) -> NoReturn:
        if self.peek() == "'":
            self.fail(path, "strings take double quotes, not single ones")
        self.fail(path, f"expected a key in double quotes, got {self.shown()}")

    def shown(self) -> str:
        word = _WORD.match(self.text, self.at)
        return ascii((word.group() if word else self.peek())[:20]) if self.peek() else "the end"

    def string(self, path: Path) -> str:
        start = self.at
        self.at += 1
        parts: list[str] = []
        while True:
            plain = _PLAIN_TEXT.match(self.text, self.at)
            parts.append(plain.group())  # type: ignore[union-attr]
            self.at = plain.end()  # type: ignore[union-attr]
            char = self.peek()
            if char == '"':
                self.at += 1
                break
            if char == "\\":
                parts.append(self.escape(path))
            elif char in ("", "\n", "\r"):
                self.fail(path, "this string has no end", "close it with a double quote", start)
            else:
                remedy = f"write \\u{ord(char):04x}"
                self.fail(path, f"control character {char!a} in a string", remedy)
        text = joined("".join(parts))
        if text is None:
            self.fail(path, "half a surrogate pair in a string", "", start)
        return text

    def escape(self, path: Path) -> str:
        letter = self.text[self.at + 1 : self.at + 2]
        if letter in _ESCAPES:
            self.at += 2
            return _ESCAPES[letter]
        digits = _HEX.match(self.text, self.at + 2) if letter == "u" else None
        if digits is None:
            self.fail(path, f"unknown escape {self.text[self.at : self.at + 2]!a}", r"write \\")
        self.at = digits.end()
        return chr(int(digits.group(), 16))

    def number_or_word(self, path: Path) -> Any:
        word = _WORD.match(self.text, self.at)
        text = word.group() if word else ""
        if text in _WORDS:
            self.at += len(text)
            return _WORDS[text]
        number = _NUMBER.fullmatch(text)
        if number is None:
            self.fail_at_value(path, text)
        value: int | float
        if len(text) > _MAX_DIGITS:
            self.fail(path, "number with more than 400 digits")
        if number.group(1) is None and number.group(2) is None:
            value = int(text)
            if value.bit_length() > 64:
                self.fail(path, f"number out of range: {text[:40]}")
        else:
            value = float(text)
            if value in (float("inf"), float("-inf")):
                self.fail(path, f"number out of range: {text[:40]}")
        self.at += len(text)
        return value

    def fail_at_value(self, path: Path, text: str) -> NoReturn:
        if text.lstrip("+-").lower() in ("nan", "inf", "infinity"):
            self.fail(path, f"JSON has no number {text}")
        if text.lower() in ("true", "false", "none", "null"):
            right = "null" if text.lower() == "none" else text.lower()
            self.fail(path, f"expected a value, got {text}", f"write {right}")
        if text[:1] == "'":
            self.fail(path, "strings take double quotes, not single ones")
        if re.match(r"[-+.]?[0-9]", text):
            self.fail(path, f"{self.shown()} is not a JSON number")
        self.fail(path, f"expected a value, got {self.shown()}")
