"""How two configs differ, value by value."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from barrage_mlflow.config.paths import one_line, show_path

_ABSENT = object()
"""In the place of the value of a side that has none."""

_SHOWN = 80
_SHARED = 20
"""Characters shown of a value, and of what two long ones begin with alike."""

_LONGEST = 500
"""A list of more items than this is compared as one value: aligning takes long."""


class Difference(NamedTuple):
    """A value that differs, which prints as one line.

    Attributes:
        path: where it is; an item of a list that is elsewhere on the other side has both places
            in its path, ``$.model.outputs[0 → 1].loss_weight``.
        values: the value on each side that has one, by ``A`` and ``B``.
    """

    path: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.path}: {_change(self.values)}"


def diff_configs(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Compares two resolved configs.

    The order of keys counts for nothing, nor does it whether a whole number is written as a
    float. Items of a list are aligned, so that one that is put in between shows alone.

    Args:
        a: one config.
        b: the other.

    Returns:
        The differences, in the order of A.

    Example:
        >>> layers = [{"import": "Dense"}, {"import": "Flatten"}]
        >>> more = [{"import": "Dense"}, {"import": "Dropout"}, {"import": "Flatten"}]
        >>> for difference in diff_configs({"seed": 1, "layers": layers}, {"layers": more}):
        ...     print(difference)
        $.seed: only in A: 1
        $.layers[1]: only in B: {"import": "Dropout"}
    """
    return list(_compared("$", a, b))


def _compared(path: str, a: Any, b: Any) -> Iterator[Difference]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in [*a, *(key for key in b if key not in a)]:
            inner = path + show_path((key,))[1:]
            yield from _compared(inner, a.get(key, _ABSENT), b.get(key, _ABSENT))
    elif isinstance(a, list) and isinstance(b, list) and max(len(a), len(b)) <= _LONGEST:
        for i, j in _aligned(a, b):
            places = dict.fromkeys(str(place) for place in (i, j) if place is not None)
            inner_a = _ABSENT if i is None else a[i]
            inner_b = _ABSENT if j is None else b[j]
            yield from _compared(f"{path}[{' → '.join(places)}]", inner_a, inner_b)
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        sides = {"A": a, "B": b}
        yield Difference(path, {name: each for name, each in sides.items() if each is not _ABSENT})


def _aligned(a: list[Any], b: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Places in A and B of items that belong together and differ; None for one that is alone.

    What is between items that are the same belongs together if it is of one kind, in its order.
    """
    texts_a, texts_b = ([json.dumps(_whole(i), sort_keys=True) for i in items] for items in (a, b))
    kinds_a, kinds_b = ([_kind(item) for item in items] for items in (a, b))
    for tag, i, i_end, j, j_end in _opcodes(texts_a, texts_b):
        if tag == "equal":
            continue
        for _, k, k_end, m, m_end in _opcodes(kinds_a[i:i_end], kinds_b[j:j_end]):
            places_a, places_b = range(i + k, i + k_end), range(j + m, j + m_end)
            # Something in the place of another shows as a change of it.
            if len(places_a) == len(places_b):
                yield from zip(places_a, places_b, strict=True)
            else:
                yield from ((place, None) for place in places_a)
                yield from ((None, place) for place in places_b)


def _opcodes(a: list[str], b: list[str]) -> Any:
    return difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()


def _kind(item: Any) -> str:
    """What differing items of a list have in common if they belong together."""
    if isinstance(item, Mapping):
        return str(item.get("import", item.get("name")))
    return "number" if type(item) in (int, float) else type(item).__name__


def _whole(value: Any) -> Any:
    """A value in which floats that are whole numbers are integers."""
    if isinstance(value, Mapping):
        return {key: _whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _change(values: Mapping[str, Any]) -> str:
    texts = [one_line(value) for value in values.values()]
    if len(texts) == 1:
        return f"only in {next(iter(values))}: {_cut(texts[0], 0)}"
    a, b = texts
    # Of long values that begin alike, show where they part.
    pairs = enumerate(zip(a, b, strict=False))
    alike = next((i for i, (one, other) in pairs if one != other), min(len(a), len(b)))
    start = alike - _SHARED if alike > _SHOWN - _SHARED else 0
    return f"{_cut(a, start)} → {_cut(b, start)}"


def _cut(text: str, start: int) -> str:
    end = start + _SHOWN
    return ("…" if start else "") + text[start:end] + ("…" if end < len(text) else "")
