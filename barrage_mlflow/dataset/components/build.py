"""Build the components that a resolved config's ``dataset`` section names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from barrage_mlflow.config import build_import
from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.transformer import RecordTransformer
from barrage_mlflow.dataset.types import RecordMode


def build_loader(config: Mapping[str, Any], mode: RecordMode) -> RecordLoader:
    """The config's loader, in the given mode.

    Args:
        config: a resolved config.
        mode: what records are to be loaded for.

    Raises:
        ImportPathError: ``dataset.loader.import`` leads nowhere.
        ComponentError: it is no RecordLoader, or does not take its params.

    Example:
        >>> params = {"inputs": {"x": "a"}, "outputs": {"y": "b"}}
        >>> config = {"dataset": {"loader": {"import": "KeySelector", "params": params}}}
        >>> build_loader(config, RecordMode.SCORE).columns_of("x")
        ['a']
    """
    block = config["dataset"]["loader"]
    return cast(RecordLoader, build_import(block, "loader", "$.dataset.loader", mode))


def build_transformer(
    config: Mapping[str, Any], mode: RecordMode, loader: RecordLoader
) -> RecordTransformer:
    """The config's transformer, in the given mode, over a loader of that mode.

    Args:
        config: a resolved config.
        mode: what records are to be transformed for.
        loader: the loader in the same mode.

    Raises:
        ImportPathError: ``dataset.transformer.import`` leads nowhere.
        ComponentError: it is no RecordTransformer, or does not take its params.

    Example:
        >>> config = {"dataset": {"transformer": {"import": "IdentityTransformer", "params": {}}}}
        >>> build_transformer(config, RecordMode.SCORE, None).network_params
        {}
    """
    block = config["dataset"]["transformer"]
    built = build_import(block, "transformer", "$.dataset.transformer", mode, loader)
    return cast(RecordTransformer, built)


def build_augmentors(config: Mapping[str, Any]) -> list[Augmentor]:
    """The config's augmentors, in order.

    Args:
        config: a resolved config.

    Raises:
        ImportPathError: an import path leads nowhere.
        ComponentError: one is no function, or does not take its params.

    Example:
        >>> build_augmentors({"dataset": {"augmentor": []}})
        []
    """
    return [
        Augmentor(
            build_import(block, "augmentor", f"$.dataset.augmentor[{index}]"),
            block.get("params"),
            block["import"],
        )
        for index, block in enumerate(config["dataset"].get("augmentor", []))
    ]
