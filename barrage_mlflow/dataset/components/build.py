"""From a resolved config's ``dataset`` section to components, fitted ones on disk included."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.dataset.components.augmentors import Augmentor
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.pipeline import Pipeline
from barrage_mlflow.dataset.components.places import component_name, placed
from barrage_mlflow.dataset.components.transformer import RecordTransformer, fit_transformer
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.types import RecordMode
from barrage_mlflow.errors import ComponentError

_KEPT = "network_params.kept.json"
"""In the folder of a transformer whose ``load`` does not restore its network_params."""


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


def fit_and_save(config: Mapping[str, Any], records: Records, folder: Path) -> None:
    """Fit the config's transformer, save it, and make sure that it comes back as it was.

    A transformer whose ``save`` or ``load`` breaks or loses something is found here, before
    an hour of training is spent, by comparing what both make of the first records.

    Args:
        config: a resolved config.
        records: the train records.
        folder: new folder to save it in.

    Raises:
        ComponentError: the reloaded transformer differs from the fitted one.
        Exception: whatever the transformer raises, with its place.

    Example:
        >>> import tempfile
        >>> params = {"inputs": {"x": "a"}, "outputs": {"y": "b"}}
        >>> config = {
        ...     "dataset": {
        ...         "loader": {"import": "KeySelector", "params": params},
        ...         "transformer": {"import": "IdentityTransformer", "params": {}},
        ...     },
        ...     "solver": {"batch_size": 2},
        ... }
        >>> folder = Path(tempfile.mkdtemp(), "transformer")
        >>> fit_and_save(config, Records.read([{"a": 1, "b": 0}]), folder)
        >>> load_pipeline(config, RecordMode.SCORE, folder).loader.columns_of("x")
        ['a']
    """
    loader = build_loader(config, RecordMode.TRAIN)
    fitted = build_transformer(config, RecordMode.TRAIN, loader)
    name = component_name(fitted)
    fit_transformer(fitted, records)
    folder.mkdir()
    with placed(str(folder), "save", name):
        fitted.save(str(folder))
    pipeline = load_pipeline(config, RecordMode.TRAIN, folder)
    before = fitted.network_params
    if before and not pipeline.transformer.network_params:
        with placed(str(folder), "save", name):
            (folder / _KEPT).write_text(json.dumps(before, default=_json_of), "utf-8")
        pipeline = load_pipeline(config, RecordMode.TRAIN, folder)
    after = pipeline.transformer.network_params
    if not _same(before, after):
        raise ComponentError(
            f"{name}: expected the same network_params after save and load, got {after} "
            f"for {before}; save must write all that fit learnt, and load must restore it"
        )
    sample = records[: config["solver"]["batch_size"]]
    loaded = pipeline.load_and_transform(sample)
    if not _same(Pipeline(loader, fitted).load_and_transform(sample), loaded):
        raise ComponentError(
            f"{name}: expected transform to give the same arrays after save and load, got others; "
            "save must write all that fit learnt, and load must restore it"
        )


def load_pipeline(config: Mapping[str, Any], mode: RecordMode, folder: Path) -> Pipeline:
    """Build the config's loader and load the fitted transformer over it.

    Args:
        config: a resolved config.
        mode: what records are to be loaded for; only in ``RecordMode.TRAIN`` are there augmentors.
        folder: where :func:`fit_and_save` saved it.

    Raises:
        ImportPathError: a component is not to be found.
        ComponentError: a component does not take its params.
        Exception: whatever the transformer's ``load`` raises, with its place.
    """
    loader = build_loader(config, mode)
    transformer = build_transformer(config, mode, loader)
    kept = folder / _KEPT
    with placed(str(folder), "load", component_name(transformer)):
        transformer.load(str(folder))
        if kept.exists():
            transformer.network_params = json.loads(kept.read_text("utf-8"), object_hook=_array_of)
    augmentors = build_augmentors(config) if mode is RecordMode.TRAIN else ()
    pipeline = Pipeline(loader, transformer, augmentors)
    # Absolute: another process may work in another folder.
    pipeline.rebuilt_by = load_pipeline, (config, mode, folder.resolve())
    return pipeline


def _json_of(array: Any) -> dict[str, Any]:
    """An array of network_params as JSON has it."""
    if not isinstance(array, np.ndarray | np.generic):
        got = type(array).__name__
        raise TypeError(f"network_params must be JSON values and arrays, got a {got}")
    return {"array": array.tolist(), "dtype": array.dtype.str}


def _array_of(value: dict[str, Any]) -> Any:
    """The array that an object of JSON stands for, or else the object."""
    is_array = value.keys() == {"array", "dtype"}
    return np.array(value["array"], value["dtype"])[()] if is_array else value


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, np.ndarray) or isinstance(right, np.ndarray):
        left, right = np.asarray(left), np.asarray(right)
        floats = left.dtype.kind in "fc" and right.dtype.kind in "fc"
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=floats)
    both_nan = left != left and right != right
    return bool(left == right or both_nan)
