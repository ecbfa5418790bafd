"""Finds the faults of a config; nothing heavy is loaded for that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from barrage_mlflow.config import (
    Document,
    apply_overrides,
    find_faults,
    find_warnings,
    read_config,
)
from barrage_mlflow.errors import ConfigError, Fault


def check_config(
    config: str | os.PathLike[str] | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> tuple[Document, list[Fault], list[Fault]]:
    """Find every fault of a config without running any of it.

    Args:
        config: a JSON or YAML file, or a dict.
        overrides: values by dotted path.

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
    return document, find_faults(document), find_warnings(document)
