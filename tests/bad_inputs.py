"""Files that hold no config, for whatever reason, and what is said of each."""

from __future__ import annotations

import os
from pathlib import Path

_DEPTH = 10_000
_LARGE = 50_000_000

CONTENTS: dict[str, tuple[str, bytes]] = {
    "not JSON": ("config.json", b"dataset = KeySelector\n"),
    "not YAML": ("config.yaml", b"dataset: [KeySelector\n"),
    "two values": ("config.json", b'{"dataset": {}}\n{"model": {}}\n'),
    "two YAML documents": ("config.yaml", b"dataset: {}\n---\nmodel: {}\n"),
    "duplicate key": ("config.json", b'{\n  "solver": {},\n  "solver": {"epochs": 3}\n}\n'),
    "duplicate key in YAML": ("config.yaml", b"solver:\n  epochs: 3\n  epochs: 4\n"),
    "UTF-16": ("config.json", '{"solver": {}}'.encode("utf-16")),
    "comment": ("config.json", b'{\n  "solver": {}  // all by default\n}\n'),
    "trailing comma": ("config.json", b'{\n  "solver": {"epochs": 3,}\n}\n'),
    "NaN": ("config.json", b'{"solver": {"optimizer": {"learning_rate": NaN}}}'),
    "NaN in YAML": ("config.yaml", b"solver: {optimizer: {learning_rate: .nan}}\n"),
    "50 MB": ("config.json", b'{"solver": {"epochs": 3}}'),
    "50 MB of YAML": ("config.yaml", b"solver: {epochs: 3}\n"),
    "nested lists": ("config.json", b"[" * _DEPTH + b"]" * _DEPTH),
    "nested objects": ("config.json", b'{"a":' * _DEPTH + b"1" + b"}" * _DEPTH),
    "nested YAML lists": ("config.yaml", b"[" * _DEPTH + b"]" * _DEPTH),
    "nested YAML mappings": ("config.yaml", b"{a: " * _DEPTH + b"1" + b"}" * _DEPTH),
    "nested YAML dashes": ("config.yaml", b"- " * _DEPTH + b"1\n"),
    "alias bomb": (
        "config.yaml",
        b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + b"".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n".encode()
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
    ),
    "number for a key": ("config.yaml", b"solver:\n  3: 4\n"),
    "list for a key": ("config.yaml", b"? [solver]\n: 3\n"),
    "key without quotes": ("config.json", b"{solver: 3}"),
    "undecodable bytes": ("config.json", b'{\n  "solver": "\xff\xfe"\n}\n'),
    "NUL": ("config.json", b'{"solver": 3}\x00'),
    "empty": ("config.json", b""),
    "blank": ("config.json", b" \n\t\n"),
    "empty YAML": ("config.yaml", b"# nothing yet\n"),
    "a list": ("config.json", b"[]\n"),
    "a bare word in YAML": ("config.yaml", b"solver\n"),
}
"""The name and content of the file, of each kind of bad input."""

FAULTS: dict[str, str] = {
    "not JSON": "config.json:1:1  $: not JSON: expecting value, got 'dataset'",
    "not YAML": "config.yaml:2:1  $: not YAML: expected ',' or ']', but got '<stream end>'",
    "two values": "config.json:2:1  $: not JSON: extra data, got '{'",
    "two YAML documents": "config.yaml:2:1  $: not YAML: found another document",
    "duplicate key": "config.json:3:3  $: not JSON: key 'solver' is there twice, first on line 2",
    "duplicate key in YAML": (
        "config.yaml:3:3  $: not YAML: key 'epochs' is there twice, first on line 2"
    ),
    "UTF-16": "config.json:1: not UTF-8 text; save it as UTF-8",
    "comment": (
        "config.json:2:17  $: not JSON: JSON has no comments; remove it, or write the "
        "config as YAML"
    ),
    "trailing comma": "config.json:2:25  $: not JSON: a trailing comma; remove it",
    "NaN": "config.json:1:44  $.solver.optimizer.learning_rate: expected a finite number, got nan",
    "NaN in YAML": (
        "config.yaml:1:37  $.solver.optimizer.learning_rate: expected a finite number, got nan"
    ),
    "50 MB": "config.json: larger than 5 MB, which no config is",
    "50 MB of YAML": "config.yaml: larger than 5 MB, which no config is",
    "nested lists": "config.json:1:1  $: not JSON: nested deeper than 100 levels",
    "nested objects": "config.json:1:1  $: not JSON: nested deeper than 100 levels",
    "nested YAML lists": "config.yaml  $: not YAML: nested deeper than 100 levels",
    "nested YAML mappings": "config.yaml  $: not YAML: nested deeper than 100 levels",
    "nested YAML dashes": "config.yaml  $: not YAML: nested deeper than 100 levels",
    "alias bomb": "config.yaml:1:1  $: more than 1,000,000 values; write fewer of them",
    "number for a key": "config.yaml:2:3  $.solver: keys must be strings, got 3; put it in quotes",
    "list for a key": "config.yaml:1:3  $: not YAML: found unhashable key",
    "key without quotes": (
        "config.json:1:2  $: not JSON: expecting property name enclosed in double quotes, "
        "got 'solver'"
    ),
    "undecodable bytes": "config.json:2: not UTF-8 text; save it as UTF-8",
    "NUL": r"config.json:1:14  $: not JSON: extra data, got '\x00'",
    "empty": "config.json:1:1  $: not JSON: the file is empty",
    "blank": "config.json:1:1  $: not JSON: the file is empty",
    "empty YAML": "config.yaml  $: not YAML: the file is empty",
    "a list": "config.json:1:1  $: expected an object, got a list",
    "a bare word in YAML": 'config.yaml:1:1  $: expected an object, got "solver"',
}
"""The one line that is said of each."""


def write_bad_input(kind: str, folder: Path) -> str:
    """Writes the file into a folder; its name."""
    name, content = CONTENTS[kind]
    (folder / name).write_bytes(content)
    if kind.startswith("50 MB"):
        os.truncate(folder / name, _LARGE)  # a hole fills the rest
    return name
