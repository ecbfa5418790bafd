"""The metric names that a config's outputs produce, as far as the config alone tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.imports import NotImportableError, find_target, is_from_keras
from barrage_mlflow.config.paths import value_at
from barrage_mlflow.config.placeholders import placeholder_names


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
    if not is_from_keras(path):
        return None
    try:
        entry = keras_index.at(find_target(path, "metric").path.removeprefix("keras."))
    except NotImportableError:
        return None
    return entry.name if entry else None


def monitor_names(data: Any) -> set[str] | None:
    """Every name that the training logs can hold, without the ``val_`` of validation.

    A metric of a single output is known by its own name and by ``<output>_<metric>``, since the
    network decides which of the two it is.

    Args:
        data: a config; any JSON value is taken.

    Returns:
        None where the config alone does not tell.

    Example:
        >>> output = {"name": "y", "metrics": [{"import": "mae"}]}
        >>> sorted(monitor_names({"model": {"outputs": [output]}}))
        ['learning_rate', 'loss', 'mae', 'y_loss', 'y_mae']
    """
    outputs = value_at(data, ("model", "outputs"))
    if not isinstance(outputs, list) or not outputs:
        return None
    known = {"loss", "learning_rate"}
    for output in outputs:
        if not isinstance(output, dict) or not isinstance(output.get("name"), str):
            return None
        if placeholder_names(output["name"]) or not isinstance(output.get("metrics", []), list):
            return None
        metrics = metric_names(output)
        if metrics is None:
            return None
        known |= {f"{output['name']}_{name}" for name in ("loss", *metrics)}
        if len(outputs) == 1:
            known |= set(metrics)
    return known
