"""How two configs differ, value by value."""

from __future__ import annotations

import difflib
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from barrage_mlflow.config.defaults import filled
from barrage_mlflow.config.paths import show_path
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.resolve import find_shape_faults
from barrage_mlflow.errors import ConfigError

ABSENT: Final = object()
"""In the place of the value of a side that has none."""

_SHOWN = 80
_SHARED = 20
"""Characters shown of a value, and of what two long ones begin with alike."""

_LONGEST = 500
"""Lists of which more items than this differ are compared place by place: aligning takes long."""

_OUTPUTS = "$.model.outputs"

_Pair = tuple[int | None, int | None]
"""Places in A and B of what belongs together; None where there is nothing."""


@dataclass(frozen=True)
class Difference:
    """One value that is not the same on both sides.

    Attributes:
        path: its JSON path; an item of a list that is elsewhere on the other side has both
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
        ConfigError: it cannot be read, or its keys and types have faults; it lists every one.

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
        align = _by_name if path == _OUTPUTS else _aligned
        for i, j in align(a, b):
            place = str(j if i is None else i) if i is None or j in (None, i) else f"{i} → {j}"
            inner_a = ABSENT if i is None else a[i]
            inner_b = ABSENT if j is None else b[j]
            yield from _compared(f"{path}[{place}]", inner_a, inner_b)
    elif isinstance(a, bool) or isinstance(b, bool):
        yield from [Difference(path, a, b)] if a is not b else []
    elif a != b:
        yield Difference(path, a, b)


def _by_name(a: Sequence[Any], b: Sequence[Any]) -> Iterator[_Pair]:
    """Pairs of places of outputs of one name; the others in their order if they are as many."""
    places = {_name(item): j for j, item in enumerate(b)}
    pairs = [(i, places.pop(_name(item), None)) for i, item in enumerate(a)]
    alone = list(places.values())
    renamed = alone if len(alone) == sum(j is None for _, j in pairs) else []
    for i, j in pairs:
        yield i, renamed.pop(0) if j is None and renamed else j
    if alone and not renamed:
        yield from ((None, j) for j in alone)


def _aligned(a: Sequence[Any], b: Sequence[Any]) -> Iterator[_Pair]:
    """Pairs of places whose items belong together and differ: those of one kind, in their order."""
    texts_a, texts_b = ([json.dumps(item, sort_keys=True) for item in items] for items in (a, b))
    kinds_a, kinds_b = ([_kind(item) for item in items] for items in (a, b))
    start = _alike(texts_a, texts_b)
    end = _alike(texts_a[start:][::-1], texts_b[start:][::-1])
    places_a, places_b = range(start, len(a) - end), range(start, len(b) - end)
    if max(len(places_a), len(places_b)) > _LONGEST:
        yield from itertools.zip_longest(places_a, places_b)
        return
    for is_same, some_a, some_b in _stretches(places_a, texts_a, places_b, texts_b):
        if is_same:
            continue
        for _, few_a, few_b in _stretches(some_a, kinds_a, some_b, kinds_b):
            # Something in the place of another shows as a change of it.
            if len(few_a) == len(few_b):
                yield from zip(few_a, few_b, strict=True)
            else:
                yield from ((i, None) for i in few_a)
                yield from ((None, j) for j in few_b)


def _stretches(
    a: range, keys_a: Sequence[str], b: range, keys_b: Sequence[str]
) -> Iterator[tuple[bool, range, range]]:
    """Places in A and B cut into stretches whose keys are the same or not."""
    matcher = difflib.SequenceMatcher(
        None, keys_a[a.start : a.stop], keys_b[b.start : b.stop], autojunk=False
    )
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        yield tag == "equal", a[i:i_end], b[j:j_end]


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """How many items two lists, or characters two texts, have in common at their beginning."""
    together = zip(a, b, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], together))


def _name(item: Any) -> str:
    return json.dumps(item.get("name") if isinstance(item, Mapping) else item)


def _kind(item: Any) -> str:
    """What differing items of a list have in common if they belong together: what they import."""
    if isinstance(item, Mapping):
        return f"import {item.get('import')}"
    return "list" if isinstance(item, list) else "value"


def _text(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def _cut(text: str, start: int) -> str:
    end = start + _SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
