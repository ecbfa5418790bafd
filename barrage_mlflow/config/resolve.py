"""From a config as given to the full config that training runs on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.features import feature_findings
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.import_blocks import import_findings
from barrage_mlflow.config.monitors import mode_warnings, monitor_findings
from barrage_mlflow.config.output_names import output_name_findings
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.schema import SCHEMA, Node, filled
from barrage_mlflow.config.shape import shape_findings, value_findings
from barrage_mlflow.config.unknown_keys import repair_keys
from barrage_mlflow.errors import ConfigError, Fault


def find_faults(document: Document, *, run_code: bool = False) -> list[Fault]:
    """Finds every fault of a config in one pass.

    The schema, the rules between keys, import strings, params against signatures, and
    placeholders as far as they are known before training. Keras is asked through its index,
    and the project's modules are read, not run, as far as their source shows.

    Args:
        document: a config; any JSON value is taken and nothing is raised.
        run_code: whether the project's modules are imported besides, once the rest is well.
            Nothing in them is called.

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
    reader = SourceReader(document.folders)
    checks = (output_name_findings, feature_findings, import_findings)
    read = [functools.partial(check, reader=reader) for check in checks]
    faults = _faults(document, shape_findings, monitor_findings, *read)
    if not faults and run_code:
        faults = _faults(document, import_findings)
    return [*faults, *document.faults]


def find_shape_faults(document: Document, schema: Node = SCHEMA) -> list[Fault]:
    """Finds the faults that the schema alone shows, wherever the project's code may be.

    Args:
        document: a config; any JSON value is taken and nothing is raised.
        schema: of a config, or of what else the document is.

    Example:
        >>> model = {"network": {"import": "my.net"}, "outputs": []}
        >>> for fault in find_shape_faults(read_config({"dataset": {}, "model": model})):
        ...     print(fault)
        $.dataset: missing key 'loader'
        $.model.outputs: expected a list with at least 1 item, got 0
    """
    find = functools.partial(value_findings, node=schema, path=())
    return _faults(document, find, schema=schema)


def find_warnings(document: Document) -> list[Fault]:
    """Finds what is no fault of a config, but hardly meant: a mode against its monitor's sense.

    Args:
        document: a config; any JSON value is taken and nothing is raised.

    Example:
        >>> stopping = {"monitor": "loss", "mode": "max", "patience": 3, "min_delta": 0}
        >>> outputs = [{"name": "y", "loss": {"import": "mse"}}]
        >>> services = {"train_early_stopping": stopping}
        >>> for warning in find_warnings(
        ...     read_config({"model": {"outputs": outputs}, "services": services})
        ... ):
        ...     print(warning)
        $.services.train_early_stopping.mode: warning: "loss" is better the lower it is, but the \
mode is "max"; write "min"
    """
    found = as_faults(mode_warnings(document.data), document)
    return [replace(warning, message=f"warning: {warning.message}") for warning in found]


def check_config(
    config: str | os.PathLike[str] | Mapping[str, object] | Document,
    overrides: Mapping[str, object] | None = None,
    *,
    run_code: bool = False,
) -> tuple[Document, list[Fault], list[Fault]]:
    """Finds every fault of a config, also that it cannot be read.

    Args:
        config: a JSON or YAML file, or a dict.
        overrides: values by dotted key, as `apply_overrides` takes them.
        run_code: as `find_faults` takes it.

    Returns:
        The config with its overrides, an empty one if it cannot be read; every fault, in the
        order of the config; and what is no fault, but hardly meant.

    Example:
        >>> _, faults, _ = check_config({"model": 3})
        >>> [str(fault) for fault in faults]
        ["$: missing key 'dataset'", '$.model: expected an object, got 3']
    """
    try:
        document = apply_overrides(read_config(config), overrides or {})
    except ConfigError as error:
        return Document(None), error.faults, []
    return document, find_faults(document, run_code=run_code), find_warnings(document)


def _faults(
    document: Document, *checks: Callable[[Any], Iterable[Finding]], schema: Node = SCHEMA
) -> list[Fault]:
    """The unknown keys, and what checks find in a config with the right ones in their place."""
    repaired = repair_keys(document.data, schema)
    found = [repaired.as_given(finding) for check in checks for finding in check(repaired.data)]
    return as_faults([*repaired.findings, *found], document)


def resolve_config(
    config: str | os.PathLike[str] | Mapping[str, object] | Document,
    overrides: Mapping[str, object] | None = None,
    *,
    run_code: bool = False,
) -> dict[str, Any]:
    """The full config: what was given, overridden, checked, with every default filled in.

    Pure: the same input gives the same result, the caller's dict is not changed, and the result
    is itself a valid config that resolves to itself. Import strings and placeholders stay as
    they are written.

    Args:
        config: a JSON or YAML file, or a dict.
        overrides: values by dotted key, as `apply_overrides` takes them.
        run_code: as `find_faults` takes it.

    Raises:
        ConfigError: the config cannot be read, or has faults; it lists every one of them.

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
    document, faults, _ = check_config(config, overrides, run_code=run_code)
    if faults:
        raise ConfigError(faults)
    return filled(document.data)
