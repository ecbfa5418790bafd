"""A config as it was given: its data, and where each key and value of it is written."""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import Any

from barrage_mlflow.config.paths import Path, read_path, show_path, show_value
from barrage_mlflow.errors import ConfigError, Fault

MAX_DEPTH = 100
MAX_VALUES = 1_000_000


@dataclass(frozen=True)
class Document:
    """A config with the places of its keys and values.

    Attributes:
        data: the config as plain JSON values.
        source: the file that it was read from; empty for a dict.
        text: the config as given.
        faults: what already went wrong on the way (an override that leads nowhere).
        overridden: of each value that an override set, its path and the override's name.

    Example:
        >>> Document({"solver": {"epochs": 3}}).place(("solver", "epochs"))
        ''
    """

    data: Any
    source: str = ""
    text: str = field(default="", repr=False)
    faults: tuple[Fault, ...] = ()
    overridden: Mapping[Path, str] = field(default_factory=dict)

    @property
    def folders(self) -> tuple[str, ...]:
        """Where the project's modules are looked for: beside the file, and where one works.

        Example:
            >>> Document({}, "/somewhere/config.json").folders[0]
            '/somewhere'
        """
        beside = [str(FilePath(self.source).absolute().parent)] if self.source else []
        return tuple(dict.fromkeys([*beside, str(FilePath.cwd())]))

    def place(self, path: Path, *, key: bool = False) -> str:
        """Where a value (or, with `key`, its key) is written.

        Returns:
            ``"config.json:14:7"``, ``"--solver.epochs"`` for a value set by an override, or
            ``""`` for a config that was given as a dict.
        """
        for length in range(len(path), -1, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
        if not self.source:
            return ""
        line, column = _place_in(self.text, path, key)
        return f"{self.source}:{line}:{column}"

    def located(self, message: str) -> str:
        """A message with the place of each JSON path that begins one of its lines.

        Example:
            >>> document = Document({"a": 1}, "c.json", '{"a": 1}')
            >>> document.located("error: $.a: expected a string, got 1")
            'error: c.json:1:7  $.a: expected a string, got 1'
        """

        def placed(match: re.Match[str]) -> str:
            place = self.place(read_path(match[2]))
            return f"{match[1]}{place}  {match[2]}" if place else match[0]

        return re.sub(r"^((?:error: )?)(\$[.[].*?)(?=: )", placed, message, flags=re.M)


def _place_in(text: str, path: Path, key: bool) -> tuple[int, int]:
    """Line and column, in YAML or JSON, of what a path leads to, or of the nearest around it."""
    node = _root(text)
    mark = node.start_mark
    for i, part in enumerate(path):
        pairs: dict[Any, Any] = {}
        if node.id == "mapping":
            pairs = {_joined(str(name.value)): (name, value) for name, value in node.value}
        elif node.id == "sequence":
            pairs = dict(enumerate((item, item) for item in node.value))
        if part not in pairs:
            break
        name, node = pairs[part]
        mark = (name if key and i == len(path) - 1 else node).start_mark
    return mark.line + 1, mark.column + 1


def _joined(text: str) -> str:
    """Halves of a character, as JSON escapes one beyond U+FFFF, as the character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@functools.lru_cache(maxsize=1)
def _root(text: str) -> Any:
    # Only where something is wrong: its import takes longer than reading JSON does.
    import yaml

    try:
        # JSON is YAML, but for the tabs that it may be indented with.
        return yaml.compose(text.replace("\t", " "), yaml.SafeLoader) or yaml.compose("{}")
    # A character that JSON alone may have, such as DEL; or deeper than YAML's parser goes.
    except (yaml.YAMLError, RecursionError):
        return yaml.compose("{}")


def plain_document(document: Document) -> Document:
    """A document whose data is a copy of plain JSON values.

    Raises:
        ConfigError: it has values that JSON has no form for, or too many or too deep ones.

    Example:
        >>> plain_document(Document({"shape": (2, 3)})).data
        {'shape': [2, 3]}
    """
    return replace(document, data=plain_copy(document.data, place=document.place))


def plain_copy(value: object, path: Path = (), place: Callable[[Path], str] = lambda _: "") -> Any:
    """Copies a value as plain JSON: dict, list, str, int, float, bool and None.

    Args:
        value: what is copied; tuples are taken as lists.
        path: where it is in the config, for messages.
        place: gives the place of what is at a path.

    Raises:
        ConfigError: it has values that JSON has no form for, or too many or too deep ones; it
            lists every such value.

    Example:
        >>> plain_copy({"shape": (2, 3)})
        {'shape': [2, 3]}
        >>> plain_copy([{1}], ("solver",))
        Traceback (most recent call last):
        barrage_mlflow.errors.ConfigError: $.solver[0]: expected a JSON value, got a Python set
    """
    faults: list[Fault] = []
    count = itertools.count(1)

    def fault(path: Path, message: str) -> Fault:
        return Fault(show_path(path), message, place=place(path))

    def copy(value: object, path: Path) -> Any:
        # Objects that share their parts unfold to far more values than fit in memory.
        if next(count) >= MAX_VALUES:
            raise ConfigError([fault((), f"more than {MAX_VALUES:,} values; write fewer of them")])
        if len(path) > MAX_DEPTH:
            raise ConfigError([fault(path[:3], f"nested deeper than {MAX_DEPTH} levels")])
        if isinstance(value, list | tuple):
            return [copy(item, (*path, i)) for i, item in enumerate(value)]
        try:
            if isinstance(value, Mapping):
                return {_key(key): copy(item, (*path, key)) for key, item in value.items()}
            return _scalar(value)
        except ValueError as error:
            faults.append(fault(path, str(error)))
            return None

    copied = copy(value, path)
    if faults:
        raise ConfigError(faults)
    return copied


def _key(key: object) -> Any:
    if not isinstance(key, str):
        raise ValueError(f"keys must be strings, got {show_value(key)}; put it in quotes")
    return _scalar(key)


def _scalar(value: object) -> Any:
    """A plain value, no list or object, in JSON's form.

    Raises:
        ValueError: JSON has no form for it.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            # Escapes may write a character as two surrogate halves, which this puts together.
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("expected Unicode text, got surrogate halves") from None
    if isinstance(value, int):
        if value.bit_length() > 64:
            raise ValueError(f"number out of range: {show_value(value)}")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number, got {value}")
        return float(value)
    remedy = "; convert it with .item() or .tolist()" if hasattr(value, "tolist") else ""
    raise ValueError(f"expected a JSON value, got {show_value(value)}{remedy}")
