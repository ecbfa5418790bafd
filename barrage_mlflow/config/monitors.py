"""The metric names that a config's outputs produce, as far as the config alone tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.imports import is_from_keras, known_target
from barrage_mlflow.config.output_names import given_name, mistyped_output_names
from barrage_mlflow.config.paths import nearest, value_at
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.config.targets import NotImportableError, Target


def metric_names(output: Mapping[str, Any]) -> list[str] | None:
    """The names of an output's metrics, in order.

    A name is the metric's `name` param, else the alias or short name as written, else the name
    that the Keras class gives itself; a repeat gets ``_1``, ``_2`` …

    Args:
        output: one block of `model.outputs`.

    Returns:
        None where only running code can tell: a metric of the project's own, or a placeholder.

    Example:
        >>> metrics = [{"import": "AUC"}, {"import": "keras.metrics.AUC"}, {"import": "AUC"}]
        >>> metric_names({"metrics": metrics})
        ['AUC', 'auc', 'AUC_1']
    """
    names = [_metric_name(block) for block in output.get("metrics", ())]
    known = [name for name in names if name is not None]
    return unique_names(known) if len(known) == len(names) else None


def unique_names(names: Sequence[str]) -> list[str]:
    """Tells repeated names apart by ``_1``, ``_2`` …; the first of each keeps its name.

    Example:
        >>> unique_names(["AUC", "mae", "AUC", "AUC_1", "AUC"])
        ['AUC', 'mae', 'AUC_2', 'AUC_1', 'AUC_3']
    """
    unique: list[str] = []
    for name in names:
        repeats, free = 0, name
        while free in unique or (repeats and free in names):
            repeats += 1
            free = f"{name}_{repeats}"
        unique.append(free)
    return unique


def _metric_name(block: Any) -> str | None:
    path = value_at(block, ("import",))
    if not isinstance(path, str) or placeholder_name(path) is not None:
        return None
    if not isinstance(block.get("params", {}), dict):
        return None
    given = given_name(block, "metric")
    if isinstance(given, str):
        return given if placeholder_name(given) is None else None
    if "." not in path:
        return path
    entry = _metric_entry(path)
    return entry.name if entry else None


def _is_known(block: Any) -> bool:
    path = block["import"]
    return (
        "." in path
        or keras_index.is_shape_alias("metric", path)
        or nearest(path, keras_index.names("metric")) is not None
    )


def _metric_entry(path: str) -> Target | None:
    """What the index tells of a metric of Keras's; None for any other."""
    if "." in path and not is_from_keras(path):
        return None
    try:
        return known_target(path, "metric")
    except NotImportableError:
        return None


def monitor_names(data: Any) -> set[str] | None:
    """Every name that the training logs can hold, without the ``val_`` of validation.

    As Keras has it: a metric of a single output is logged by its own name, one of several
    outputs as ``<output>_<metric>``. A mistyped metric or output is known by the right name too:
    it is a fault of its own, and what reads it is none.

    Args:
        data: a config; any JSON value is taken.

    Returns:
        None where the config alone does not tell.

    Example:
        >>> output = {"name": "y", "metrics": [{"import": "mae"}]}
        >>> sorted(monitor_names({"model": {"outputs": [output]}}))
        ['learning_rate', 'loss', 'mae']
    """
    known = known_monitors(data)
    return set(known.directions) if known.complete else None


@dataclass(frozen=True)
class Monitors:
    """What a config tells of the names that the training logs can hold.

    Attributes:
        directions: each name, without the ``val_`` of validation, with whether it is better the
            higher (``"max"``) or lower (``"min"``) it is; ``""`` if neither or not known.
        complete: whether there are no others.
    """

    directions: dict[str, str]
    complete: bool


def known_monitors(data: Any) -> Monitors:
    """As `monitor_names`, with directions, and also where only some of the names are known.

    Example:
        >>> metrics = [{"import": "accuracy"}, {"import": "my_project.Metric"}]
        >>> output = {"name": "y", "metrics": metrics}
        >>> known = known_monitors({"model": {"outputs": [output]}})
        >>> known.directions["loss"], known.directions["accuracy"], known.complete
        ('min', 'max', False)
    """
    outputs = value_at(data, ("model", "outputs"))
    outputs = outputs if isinstance(outputs, list) else []
    directions = {"loss": "min", "learning_rate": ""}
    complete = bool(outputs)
    mistyped = mistyped_output_names(data)
    for output in outputs:
        blocks = output.get("metrics", []) if isinstance(output, dict) else None
        blocks = blocks if isinstance(blocks, list) else [None]
        names = [_metric_name(block) for block in blocks]
        # What an unknown metric is meant to be is not known either, and so not its name.
        complete = complete and None not in names and all(map(_is_known, blocks))
        known = [(n, block) for n, block in zip(names, blocks, strict=True) if n is not None]
        unique = unique_names([name for name, _ in known])
        metrics = {"loss": "min"}
        for name, (_, block) in zip(unique, known, strict=True):
            metrics |= _directions(name, block)
        given = value_at(output, ("name",))
        if len(outputs) == 1:
            directions |= metrics
        elif isinstance(given, str) and placeholder_name(given) is None:
            for prefix in {given, mistyped.get(given, given)}:
                directions |= {f"{prefix}_{name}": way for name, way in metrics.items()}
        else:
            complete = False
    return Monitors(directions, complete)


def _directions(name: str, block: dict[str, Any]) -> dict[str, str]:
    """The direction of a metric under its name, and under the right one if it is mistyped."""
    path = block["import"]
    if "." in path:
        entry = _metric_entry(path)
        return {name: entry.direction if entry else ""}
    if keras_index.is_shape_alias("metric", path):
        return {name: "max"}
    entry = _metric_entry(path)
    if entry is not None:
        return {name: entry.direction}
    near = nearest(path, keras_index.names("metric"))
    return {name: ""} | ({near: ""} if near and name == path else {})
