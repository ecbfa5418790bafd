"""Placeholders: ``{{name}}`` in the model section, filled in once the transformer is fitted."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from barrage_mlflow.config.findings import Finding, Where
from barrage_mlflow.config.import_targets import Target
from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.config.paths import Path, show_path, value_at
from barrage_mlflow.errors import ConfigError, Fault

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_MODEL: Path = ("model",)
_PARAMS: Path = ("model", "network", "params")


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


def fill_placeholders(value: Any, values: Mapping[str, object], path: str) -> Any:
    """A copy of a value with every placeholder in it replaced.

    Args:
        value: what has placeholders in it; it is not changed.
        values: what they are replaced by. The type is kept; values are filled in as they are,
            without a second look for placeholders in them.
        path: the JSON path of `value`, for messages.

    Raises:
        ConfigError: a placeholder has no value; every such one is listed.

    Example:
        >>> fill_placeholders({"units": "{{ units }}"}, {"units": 3}, "$.model.network.params")
        {'units': 3}
    """
    faults = [
        Fault(path + show_path(here)[1:], *_unknown(name, values))
        for here, name in placeholders_in(value)
        if name not in values
    ]
    if faults:
        raise ConfigError(faults)
    return _filled(value, values)


def _filled(value: Any, values: Mapping[str, object]) -> Any:
    name = placeholder_name(value)
    if name is not None:
        return values[name]
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(item, values) for item in value]
    return copy.deepcopy(value)


def _unknown(name: str, known: Iterable[str]) -> tuple[str, str]:
    """Message and remedy for a placeholder that has no value."""
    remedy = did_you_mean(name, known) or "define it in model.network.params"
    return f"unknown placeholder {name!r}, known: {show_names(known) or 'none'}", remedy


def placeholder_findings(data: Any, transformer: Target | None) -> Iterator[Finding]:
    """Placeholders that have no value, and names that have two, as far as that is known already.

    Args:
        data: a config; any JSON value is taken.
        transformer: what its transformer imports, None if that is not known.

    Example:
        >>> params = {"units": 3, "layers": ["{{unist}}"]}
        >>> data = {"model": {"network": {"params": params}}}
        >>> [finding.remedy for finding in placeholder_findings(data, None)]
        ["did you mean 'units'?"]
    """
    own = _own_names(data)
    learnt = _network_param_names(data, transformer)
    if learnt is None:
        return  # any name could be one that the transformer learns
    for name in own:
        if name in learnt:
            message = f"the transformer's network_params have {name!a} too"
            remedy = f"rename it, or write '{{{{{name}}}}}' to hand the transformer's on"
            yield Finding(Where((*_PARAMS, name)), message, remedy)
    known = list(dict.fromkeys([*own, *learnt]))
    for path, name in placeholders_in(value_at(data, _MODEL), _MODEL):
        if name not in known:
            yield Finding(Where(path), *_unknown(name, known))


def _own_names(data: Any) -> list[str]:
    """The params of the network that give placeholders a value.

    One that only hands a value on under its own name, ``"size": "{{size}}"``, gives none.
    """
    params = value_at(data, _PARAMS)
    if not isinstance(params, dict):
        return []
    return [name for name, value in params.items() if placeholder_name(value) != name]


def _network_param_names(data: Any, transformer: Target | None) -> tuple[str, ...] | None:
    """What the transformer's network params will be called; None if it does not declare them."""
    if value_at(data, ("dataset", "transformer")) is None:
        return ()
    return transformer.network_param_names if transformer else None
