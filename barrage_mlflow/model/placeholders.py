"""Fills the ``{{placeholders}}`` of a config's ``model`` section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from barrage_mlflow.config import fill_placeholders, placeholder_names
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.errors import ConfigError, Fault

_PARAMS = "$.model.network.params"


def fill_model(config: Mapping[str, Any], network_params: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ``model`` section with every placeholder replaced by its value.

    Values come from ``model.network.params``, which may use each other, and from the transformer's
    ``network_params``. A param that merely hands a value on, ``"units": "{{units}}"``, defines
    none itself.

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
    model = config["model"]
    params = dict(model["network"].get("params") or {})
    waiting = {name: value for name, value in params.items() if placeholder_name(value) != name}
    faults = [
        Fault(
            f"{_PARAMS}.{name}",
            f"the transformer's network_params have {name!a} too",
            f"rename it, or write '{{{{{name}}}}}' to hand the transformer's on",
        )
        for name in waiting
        if name in network_params
    ]
    if faults:
        raise ConfigError(faults)
    values = dict(network_params)
    while waiting:
        ready = [n for n, v in waiting.items() if waiting.keys().isdisjoint(placeholder_names(v))]
        if not ready:
            message = "expected a value that can be worked out, got placeholders in a circle"
            remedy = "give one of the params as a plain value"
            raise ConfigError([Fault(f"{_PARAMS}.{name}", message, remedy) for name in waiting])
        known = {**waiting, **values}
        for name in ready:
            values[name] = fill_placeholders(waiting.pop(name), known, f"{_PARAMS}.{name}")
    filled = {
        name: fill_placeholders(value, values, f"{_PARAMS}.{name}")
        for name, value in params.items()
    }
    return {
        **model,
        "network": {**model["network"], "params": filled},
        "outputs": fill_placeholders(model["outputs"], values, "$.model.outputs"),
    }
