"""From a config as given to the full config that training runs on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from barrage_mlflow.config.defaults import filled
from barrage_mlflow.config.document import Document, plain_faults
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.import_checks import import_findings
from barrage_mlflow.config.imports import NotImportableError
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.rules import rule_findings
from barrage_mlflow.config.shape import shape_findings
from barrage_mlflow.errors import ConfigError, Fault


def find_faults(document: Document) -> list[Fault]:
    """Finds every fault of a config in one pass.

    The schema, the rules between keys, import strings (project code is imported, not called),
    params against signatures, and placeholders as far as they are known before training.

    Args:
        document: a config; any JSON value is taken and nothing is raised.

    Returns:
        The faults in the order of the config's text; empty if there is none.

    Example:
        >>> document = read_config({"model": {"network": {"import": "my.net"}}, "solvr": {}})
        >>> for fault in find_faults(document):
        ...     print(fault)
        $: missing key 'dataset'
        $.model: missing key 'outputs'
        $.model.network.import: 'my.net' leads nowhere: no module 'my' on the Python path
        $: unknown key 'solvr'; did you mean 'solver'?
    """
    faults = plain_faults(document)
    if not faults:
        faults = as_faults(_findings(document.data), document)
    return [*faults, *document.faults]


def _findings(data: Any) -> Iterator[Finding]:
    checks: tuple[Callable[[Any], Iterator[Finding]], ...] = (
        shape_findings,
        rule_findings,
        import_findings,
    )
    for check in checks:
        try:
            yield from check(data)
        except NotImportableError as fault:
            # Keras, which the check had to ask, cannot be imported: a fault like any other.
            yield Finding((), fault.message, fault.remedy)


def resolve_config(
    config: str | os.PathLike[str] | Mapping[str, object] | Document,
    overrides: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """The full config: what was given, overridden, checked, with every default filled in.

    Pure: the same input gives the same result, the caller's dict is not changed, and the result
    is itself a valid config that resolves to itself. Import strings and placeholders stay as
    they are written.

    Args:
        config: a JSON or YAML file, or a dict.
        overrides: values by dotted key, as `apply_overrides` takes them.

    Raises:
        ConfigError: the config cannot be read, or has faults; it holds every one of them.

    Example:
        >>> selection = {"inputs": {"image": "pixels"}, "outputs": {"y": "y"}}
        >>> config = {
        ...     "dataset": {"loader": {"import": "KeySelector", "params": selection}},
        ...     "model": {
        ...         "network": {"import": "keras.applications.MobileNetV2"},
        ...         "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        ...     },
        ... }
        >>> resolve_config(config, {"solver.epochs": "3"})["solver"]["epochs"]
        3
    """
    document = apply_overrides(read_config(config), overrides or {})
    faults = find_faults(document)
    if faults:
        raise ConfigError(faults)
    return filled(document.data)
