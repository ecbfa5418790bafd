"""Checks the placeholders of a config, as far as their names are known before training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.paths import Path, is_slip, nearest, value_at
from barrage_mlflow.config.placeholders import (
    given_values,
    name_in_both,
    placeholder_names,
    placeholders_in,
    unknown_placeholder,
)
from barrage_mlflow.config.targets import Target

_PARAMS: Path = ("model", "network", "params")


def placeholder_findings(
    data: Any, transformer: Target | None, network: Target | None
) -> Iterator[Finding]:
    """Placeholders that have no value, and names that have two.

    Args:
        data: a config; any JSON value is taken.
        transformer: what its transformer imports, None if that is not known.
        network: what its network imports, None if that is not known.

    Example:
        >>> params = {"units": 3, "layers": ["{{unist}}"]}
        >>> data = {"model": {"network": {"params": params}}}
        >>> [finding.remedy for finding in placeholder_findings(data, None, None)]
        ["did you mean 'units'?"]
    """
    own = _own(data)
    learnt = _network_param_names(data, transformer)
    for name in own:
        if name in (learnt or ()):
            yield Finding((*_PARAMS, name), *name_in_both(name))
    known = {**own, **dict.fromkeys(learnt or ())}
    accepted = network.accepts.names if network else ()
    for path, name in placeholders_in(value_at(data, ("model",)), ("model",)):
        if name in known:
            continue
        # A param that is mistyped itself is a fault already, not also of what reads it.
        slips = [other for other in own if other not in accepted and is_slip(other, name)]
        meant = slips if name in accepted else []
        if meant or not (learnt is not None or _means_unread(name, data, own, network)):
            continue
        yield Finding(path, *unknown_placeholder(name, known))


def _means_unread(name: str, data: Any, own: dict[str, object], network: Target | None) -> bool:
    """Whether an unknown name is next to a param that nothing else reads.

    Where the transformer does not tell its names, any could be among them; but hardly that one.
    """
    if network is None:
        return False
    read = {*network.accepts.names, *_read(data)}
    return any(is_slip(name, other) for other in own if other not in read)


def names_in_use(data: Any) -> set[str]:
    """The names that placeholders read, mistyped ones as what they mean.

    Example:
        >>> params = {"units": 3, "layers": ["{{unist}}"]}
        >>> sorted(names_in_use({"model": {"network": {"params": params}}}))
        ['unist', 'units']
    """
    read = _read(data)
    own = _own(data)
    meant = {
        nearest(name, [other for other in own if is_slip(name, other)])
        for name in read
        if name not in own
    }
    return read | {name for name in meant if name is not None}


def _read(data: Any) -> set[str]:
    return set(placeholder_names(value_at(data, ("model",))))


def _own(data: Any) -> dict[str, object]:
    params = value_at(data, _PARAMS)
    return given_values(params) if isinstance(params, dict) else {}


def _network_param_names(data: Any, transformer: Target | None) -> tuple[str, ...] | None:
    """What the transformer says its network params will be called; None if it does not say."""
    if value_at(data, ("dataset", "transformer")) is None:
        return ()
    if transformer is None or transformer.form != "class":
        return None
    return transformer.network_param_names
