"""Finds the faults of a config; nothing heavy is loaded for that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config import (
    Document,
    apply_overrides,
    find_faults,
    find_warnings,
    read_config,
)
from barrage_mlflow.errors import ConfigError, Fault


@dataclass(frozen=True)
class CheckedConfig:
    """What was found out about a config without running any of it.

    Attributes:
        document: the config with its overrides; an empty one if it cannot be read.
        faults: every fault, in the order of the config.
        warnings: what is no fault, but hardly meant.
    """

    document: Document
    faults: list[Fault]
    warnings: list[Fault]


def check_config(
    config: str | os.PathLike[str] | Mapping[str, Any], overrides: Mapping[str, Any] | None = None
) -> CheckedConfig:
    """Find every fault of a config.

    Args:
        config: a JSON or YAML file, or a dict.
        overrides: values by dotted path.

    Example:
        >>> [str(fault) for fault in check_config({"model": 3}).faults]
        ["$: missing key 'dataset'", '$.model: expected an object, got 3']
    """
    try:
        document = apply_overrides(read_config(config), overrides or {})
        return CheckedConfig(document, find_faults(document), find_warnings(document))
    except ConfigError as error:
        return CheckedConfig(Document(None), error.faults, [])
