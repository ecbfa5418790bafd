"""The metric names that a config's outputs produce, as far as the config alone tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.imports import find_target, is_from_keras
from barrage_mlflow.config.output_names import mistyped_output_names
from barrage_mlflow.config.paths import nearest, value_at
from barrage_mlflow.config.placeholders import placeholder_names
from barrage_mlflow.config.targets import NotImportableError


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
    names: list[str] = []
    for block in output.get("metrics", ()):
        name = _metric_name(block)
        if name is None:
            return None
        names.append(name)
    return unique_names(names)


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
    path = block.get("import") if isinstance(block, dict) else None
    if not isinstance(path, str) or placeholder_names(block):
        return None
    given = value_at(block, ("params", "name"))
    if isinstance(given, str):
        return given
    if "." not in path:
        return path
    entry = _metric_entry(path)
    return entry.name if entry else None


def _metric_entry(path: str) -> keras_index.KerasEntry | None:
    """What the index tells of a metric of Keras's; None for any other."""
    if "." in path and not is_from_keras(path):
        return None
    try:
        target = find_target(path, "metric", run_code=False)
        return keras_index.at(target.path.removeprefix("keras."))
    except (NotImportableError, ImportError):
        return None


def monitor_names(data: Any) -> set[str] | None:
    """Every name that the training logs can hold, without the ``val_`` of validation.

    A metric of a single output is known by its own name and by ``<output>_<metric>``, since the
    network decides which of the two it is. A mistyped metric or output is known by the right
    name too: it is a fault of its own, and what reads it is none.

    Args:
        data: a config; any JSON value is taken.

    Returns:
        None where the config alone does not tell.

    Example:
        >>> output = {"name": "y", "metrics": [{"import": "mae"}]}
        >>> sorted(monitor_names({"model": {"outputs": [output]}}))
        ['learning_rate', 'loss', 'mae', 'y_loss', 'y_mae']
    """
    directions = monitor_directions(data)
    return None if directions is None else set(directions)


def monitor_directions(data: Any) -> dict[str, str] | None:
    """As `monitor_names`, each with whether it is better the higher (``"max"``) or lower it is.

    Returns:
        ``""`` for the direction of one that is neither, or of which only running code can tell;
        None where the config alone does not tell the names.

    Example:
        >>> metrics = [{"import": "accuracy"}, {"import": "mae"}]
        >>> output = {"name": "y", "metrics": metrics}
        >>> directions = monitor_directions({"model": {"outputs": [output]}})
        >>> directions["loss"], directions["accuracy"], directions["mae"]
        ('min', 'max', 'min')
    """
    outputs = value_at(data, ("model", "outputs"))
    if not isinstance(outputs, list) or not outputs:
        return None
    known = {"loss": "min", "learning_rate": ""}
    mistyped = mistyped_output_names(data)
    for output in outputs:
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            return None
        if placeholder_names(output["name"]) or not isinstance(output.get("metrics", []), list):
            return None
        names = metric_names(output)
        if names is None:
            return None
        metrics = {"loss": "min"}
        for name, block in zip(names, output.get("metrics", ()), strict=True):
            metrics |= _directions(name, block)
        for prefix in {output["name"], mistyped.get(output["name"], output["name"])}:
            known |= {f"{prefix}_{name}": direction for name, direction in metrics.items()}
        if len(outputs) == 1:
            known |= metrics
    return known


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
