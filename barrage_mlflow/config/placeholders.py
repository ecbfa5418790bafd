"""Placeholders: ``{{name}}`` in the model section, filled in once the transformer is fitted."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.names import did_you_mean, show_names
from barrage_mlflow.config.paths import Path, rebuilt, value_at, walk
from barrage_mlflow.errors import ConfigError

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
    for here, item in walk(value, path):
        if (name := placeholder_name(item)) is not None:
            yield here, name


def fill_model(config: Mapping[str, Any], network_params: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the ``model`` section with every placeholder replaced by its value.

    Values come from ``model.network.params``, which may use each other, and from the transformer's
    ``network_params``; their type is kept, and they are filled in as they are.

    Args:
        config: a resolved config; left as it is.
        network_params: what the fitted transformer measured, by name.

    Raises:
        ConfigError: a name is defined on both sides, a placeholder is unknown, or params refer
            to each other in a circle.

    Example:
        >>> network = {"import": "my.network", "params": {"size": "{{vocabulary}}"}}
        >>> config = {"model": {"network": network, "outputs": []}}
        >>> fill_model(config, {"vocabulary": 120})["network"]["params"]
        {'size': 120}
    """
    findings = list(placeholder_findings(config, network_params))
    values = dict(network_params)
    waiting = {} if findings else _own_params(config)
    while waiting:
        ready = [n for n, v in waiting.items() if waiting.keys().isdisjoint(placeholder_names(v))]
        if not ready:  # there may be several circles, which graphlib would not all name
            message = "expected a value that can be worked out, got placeholders in a circle"
            remedy = "give one of the params as a plain value"
            findings += [Finding((*_PARAMS, name), message, remedy) for name in waiting]
            break
        for name in ready:
            values[name] = _filled(waiting.pop(name), values)
    if findings:
        raise ConfigError(as_faults(findings, Document(config)))
    model: dict[str, Any] = _filled(config["model"], values)
    return model


def _filled(value: Any, values: Mapping[str, object]) -> Any:
    def part(_: Path, item: Any) -> Any:
        name = placeholder_name(item)
        return item if name is None else values[name]

    return rebuilt(value, part)


def placeholder_findings(data: Any, learnt: Collection[str]) -> Iterator[Finding]:
    """Placeholders that have no value, and names that have two.

    Args:
        data: a config; any JSON value is taken.
        learnt: the names of the transformer's ``network_params``.

    Example:
        >>> params = {"units": 3, "layers": ["{{unist}}"]}
        >>> data = {"model": {"network": {"params": params}}}
        >>> [finding.remedy for finding in placeholder_findings(data, ())]
        ["did you mean 'units'?"]
    """
    own = _own_params(data)
    for name in own:
        if name in learnt:
            message = f"the transformer's network_params have {name!a} too"
            remedy = "remove it, and the network gets the transformer's; or rename it"
            yield Finding((*_PARAMS, name), message, remedy)
    known = list(dict.fromkeys([*own, *learnt]))
    for path, name in placeholders_in(value_at(data, _MODEL), _MODEL):
        if name not in known:
            remedy = did_you_mean(name, known) or "define it in model.network.params"
            yield Finding(path, f"unknown placeholder {name!r}, known: {show_names(known)}", remedy)


def _own_params(data: Any) -> dict[str, Any]:
    """The params of the network that give placeholders a value.

    One that only hands a value on under its own name, ``"size": "{{size}}"``, gives none.
    """
    params = value_at(data, _PARAMS)
    if not isinstance(params, dict):
        return {}
    return {name: value for name, value in params.items() if placeholder_name(value) != name}
