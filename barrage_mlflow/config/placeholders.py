"""Placeholders: ``{{name}}`` in the model section, filled in once the transformer is fitted."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

from barrage_mlflow.config.paths import Path, did_you_mean, show_names, show_path
from barrage_mlflow.errors import ConfigError, Fault

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def placeholder_name(value: object) -> str | None:
    """The name in a string that is exactly a placeholder, else None.

    Example:
        >>> placeholder_name("{{ units }}"), placeholder_name("{{units}} wide")
        ('units', None)
    """
    match = _PLACEHOLDER.fullmatch(value) if isinstance(value, str) else None
    return match.group(1) if match else None


def placeholder_names(value: object) -> list[str]:
    """The names of every placeholder in a value, each once, in order.

    Example:
        >>> placeholder_names({"units": "{{ units }}", "layers": ["{{rate}}", "{{units}}"]})
        ['units', 'rate']
    """
    return list(dict.fromkeys(name for _, name in placeholders_in(value)))


def placeholders_in(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every placeholder in a value as path and name.

    Example:
        >>> list(placeholders_in({"layers": ["{{rate}}"]}))
        [(('layers', 0), 'rate')]
    """
    name = placeholder_name(value)
    if name is not None:
        yield path, name
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from placeholders_in(item, (*path, key))
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from placeholders_in(item, (*path, i))


def placeholder_values(
    params: Mapping[str, object], network_params: Mapping[str, object]
) -> dict[str, object]:
    """What placeholders stand for: the network's params and the transformer's together.

    Args:
        params: `model.network.params` of the config.
        network_params: the `network_params` of the fitted transformer.

    Raises:
        ConfigError: a name stands in both; every such name is listed.

    Example:
        >>> placeholder_values({"units": 8, "size": "{{size}}"}, {"size": 100})
        {'units': 8, 'size': 100}
    """
    own = given_values(params)
    path = ("model", "network", "params")
    faults = [
        Fault(show_path((*path, name)), *name_in_both(name))
        for name in own
        if name in network_params
    ]
    if faults:
        raise ConfigError(faults)
    return {**own, **network_params}


def name_in_both(name: str) -> tuple[str, str]:
    """Message and remedy for a name that the config and the transformer both give a value.

    Example:
        >>> name_in_both("size")[1]
        "rename it, or write '{{size}}' to hand the transformer's on"
    """
    remedy = f"rename it, or write '{{{{{name}}}}}' to hand the transformer's on"
    return f"the transformer's network_params hold {name!a} too", remedy


def given_values(params: Mapping[str, object]) -> dict[str, object]:
    """The params of a network that give placeholders a value.

    One that only hands a value on under its own name, ``"size": "{{size}}"``, gives none.

    Example:
        >>> given_values({"units": 8, "size": "{{size}}"})
        {'units': 8}
    """
    return {key: value for key, value in params.items() if placeholder_name(value) != key}


def fill_placeholders(value: Any, values: Mapping[str, object], path: str) -> Any:
    """A copy of a value with every placeholder in it replaced.

    Args:
        value: what holds the placeholders; it is not changed.
        values: what they stand for. The type is kept; values are filled in as they are, without
            a second look for placeholders in them.
        path: the JSON path of `value`, for messages.

    Raises:
        ConfigError: a placeholder has no value; every such one is listed.

    Example:
        >>> fill_placeholders({"units": "{{ units }}"}, {"units": 3}, "$.model.network.params")
        {'units': 3}
    """
    faults: list[Fault] = []

    def fill(value: Any, here: Path) -> Any:
        name = placeholder_name(value)
        if name is not None and name in values:
            return values[name]
        if name is not None:
            at = path + show_path(here)[1:]
            faults.append(Fault(at, *unknown_placeholder(name, values)))
            return value
        if isinstance(value, Mapping):
            return {key: fill(item, (*here, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [fill(item, (*here, i)) for i, item in enumerate(value)]
        return copy.deepcopy(value)

    full = fill(value, ())
    if faults:
        raise ConfigError(faults)
    return full


def unknown_placeholder(name: str, known: Mapping[str, object]) -> tuple[str, str]:
    """Message and remedy for a placeholder that has no value.

    Example:
        >>> unknown_placeholder("unit", {"units": 3})
        ("unknown placeholder 'unit', known: 'units'", "did you mean 'units'?")
    """
    listed = show_names(known) if known else "none"
    remedy = did_you_mean(name, known) or "define it in model.network.params"
    return f"unknown placeholder {name!r}, known: {listed}", remedy
