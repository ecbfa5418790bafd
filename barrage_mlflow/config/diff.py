"""How two configs differ, value by value."""

from __future__ import annotations

import difflib
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from barrage_mlflow.config.defaults import filled
from barrage_mlflow.config.paths import show_path
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.resolve import find_shape_faults
from barrage_mlflow.errors import ConfigError

ABSENT: Final = object()
"""Stands for the value of a side that has none."""

_SHOWN = 80
_SHARED = 20
"""Characters shown of a value, and of what two long ones begin with alike."""

_MOST_WORK = 20_000_000
"""Lists whose alignment could take more steps than this are compared place by place."""

_OUTPUTS = "$.model.outputs"

_Pair = tuple[int | None, int | None]
"""Places in A and B of what belongs together; None where there is nothing."""

_Block = tuple[bool, tuple[int, int], tuple[int, int]]
"""Whether two stretches are equal, and where they begin and end in A and B."""


@dataclass(frozen=True)
class Difference:
    """One value that is not the same on both sides.

    Attributes:
        path: its JSON path; an item of a list that stands elsewhere on the other side has both
            places, ``"$.model.outputs[0 → 1].loss_weight"``.
        a: the value in A, `ABSENT` if there is none.
        b: the value in B, `ABSENT` if there is none.

    Example:
        >>> str(Difference("$.solver.epochs", 10, 20))
        '$.solver.epochs: 10 → 20'
        >>> str(Difference("$.solver.steps", b=5))
        '$.solver.steps: only in B: 5'
    """

    path: str
    a: Any = ABSENT
    b: Any = ABSENT

    def __str__(self) -> str:
        if self.a is ABSENT or self.b is ABSENT:
            side, value = ("B", self.b) if self.a is ABSENT else ("A", self.a)
            return f"{self.path}: only in {side}: {_cut(_text(value), 0)}"
        a, b = _text(self.a), _text(self.b)
        # Of long values that begin alike, show where they part.
        alike = _alike(a, b)
        start = alike - _SHARED if alike > _SHOWN - _SHARED else 0
        return f"{self.path}: {_cut(a, start)} → {_cut(b, start)}"


def diff_configs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Compares two resolved configs.

    The order of keys counts for nothing, nor does it whether a whole number is written as a
    float. Items of a list are aligned, so that one that is put in between shows alone; outputs
    are aligned by their names.

    Args:
        a: one config.
        b: the other.

    Returns:
        The differences in the order of A, empty if there is none.

    Example:
        >>> layers = [{"import": "Dense"}, {"import": "Flatten"}]
        >>> more = [{"import": "Dense"}, {"import": "Dropout"}, {"import": "Flatten"}]
        >>> for difference in diff_configs({"seed": 1, "layers": layers}, {"layers": more}):
        ...     print(difference)
        $.seed: only in A: 1
        $.layers[1]: only in B: {"import": "Dropout"}
    """
    return list(_compared("$", a, b))


def read_for_diff(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a config file and fills its defaults in, without asking what its imports lead to.

    The project's code, which only training needs, may be elsewhere.

    Args:
        source: a JSON or YAML file.

    Raises:
        ConfigError: it cannot be read, or its keys and types have faults; it holds every one.

    Example:
        >>> read_for_diff("config.json")["solver"]["epochs"]  # doctest: +SKIP
        10
    """
    document = read_config(source)
    faults = find_shape_faults(document)
    if faults:
        raise ConfigError(faults)
    return filled(document.data)


def _compared(path: str, a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            inner = path + show_path((key,))[1:]
            yield from _compared(inner, a.get(key, ABSENT), b.get(key, ABSENT))
    elif isinstance(a, list) and isinstance(b, list):
        align = _aligned_outputs if path == _OUTPUTS else _aligned
        for i, j in align(a, b):
            place = str(j if i is None else i) if i is None or j in (None, i) else f"{i} → {j}"
            inner_a = ABSENT if i is None else a[i]
            inner_b = ABSENT if j is None else b[j]
            yield from _compared(f"{path}[{place}]", inner_a, inner_b)
    elif not _is_same(a, b):
        yield Difference(path, a, b)


def _is_same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return bool(a == b)


def _aligned(a: Sequence[Any], b: Sequence[Any]) -> Iterator[_Pair]:
    """Pairs of places whose items belong together: equal ones, then those of one kind."""
    whole = [[_canonical(item) for item in items] for items in (a, b)]
    for same, (i, i_end), (j, j_end) in _blocks(whole[0], whole[1]):
        if same:
            yield from zip(range(i, i_end), range(j, j_end), strict=True)
            continue
        kinds = [[_kind(item) for item in items] for items in (a[i:i_end], b[j:j_end])]
        for alike, (k, k_end), (m, m_end) in _blocks(kinds[0], kinds[1]):
            places_a, places_b = range(i + k, i + k_end), range(j + m, j + m_end)
            yield from _by_place(places_a, places_b, alike)


def _blocks(a: Sequence[str], b: Sequence[str]) -> Iterator[_Block]:
    """Two lists cut into stretches that are equal or not."""
    start = _alike(a, b)
    end = _alike(a[start:][::-1], b[start:][::-1])
    i_end, j_end = len(a) - end, len(b) - end
    yield True, (0, start), (0, start)
    yield from _middle_blocks(a[start:i_end], b[start:j_end], start)
    yield True, (i_end, len(a)), (j_end, len(b))


def _middle_blocks(a: Sequence[str], b: Sequence[str], start: int) -> Iterator[_Block]:
    counts = Counter(b)
    shorter = min(len(a), len(b))
    if sum(counts[item] for item in a) * shorter > _MOST_WORK:
        cut = start + shorter
        yield False, (start, cut), (start, cut)
        yield False, (cut, start + len(a)), (cut, start + len(b))
        return
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        yield tag == "equal", (start + i, start + i_end), (start + j, start + j_end)


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """How many items two lists, or characters two texts, have in common at their beginning."""
    together = zip(a, b, strict=False)
    return next((i for i, (one, other) in enumerate(together) if one != other), min(len(a), len(b)))


def _aligned_outputs(a: Sequence[Any], b: Sequence[Any]) -> Iterator[_Pair]:
    left = {_output_name(item): j for j, item in reversed(list(enumerate(b)))}
    pairs: list[tuple[int, int | None]] = [
        (i, left.pop(_output_name(item), None)) for i, item in enumerate(a)
    ]
    paired = {j for _, j in pairs}
    alone_a = [i for i, j in pairs if j is None]
    alone_b = [j for j in range(len(b)) if j not in paired]
    renamed = dict(zip(alone_a, alone_b, strict=True)) if len(alone_a) == len(alone_b) else {}
    for i, j in pairs:
        yield i, renamed.get(i) if j is None else j
    if not renamed:
        yield from ((None, j) for j in alone_b)


def _output_name(item: Any) -> str:
    return _canonical(item.get("name") if isinstance(item, Mapping) else item)


def _by_place(a: range, b: range, alike: bool) -> Iterator[_Pair]:
    """Places of two stretches in pairs, or each alone if they are neither alike nor equally long.

    Something that was put in the place of another shows as a change of it.
    """
    if alike or len(a) == len(b):
        yield from zip(a, b, strict=True)
    else:
        yield from ((i, None) for i in a)
        yield from ((None, j) for j in b)


def _kind(item: Any) -> str:
    """What tells items of a list apart that are not the same: what they import."""
    if isinstance(item, Mapping):
        return f"import {item.get('import')}"
    return "list" if isinstance(item, list) else "value"


def _canonical(value: Any) -> str:
    return json.dumps(_whole_numbers(value), sort_keys=True)


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _whole_numbers(item) for key, item in value.items()}
    return [_whole_numbers(item) for item in value] if isinstance(value, list) else value


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _cut(text: str, start: int) -> str:
    end = start + _SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
