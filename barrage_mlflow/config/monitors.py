"""The metrics that a config's outputs produce, as far as it shows, and what watches them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.import_strings import known_target
from barrage_mlflow.config.names import is_slip, nearest, show_names
from barrage_mlflow.config.output_names import loader_names, named, output_names, outputs_of
from barrage_mlflow.config.paths import Path, show_value, value_at
from barrage_mlflow.errors import ConfigError, ImportPathError

_WATCHERS: dict[Path, str | None] = {
    ("services", "best_checkpoint"): "val_",
    ("services", "validation_early_stopping"): "val_",
    ("services", "train_early_stopping"): "",
    ("solver", "learning_rate_reducer"): None,
}
"""The blocks that have a monitor, each with what the monitor begins with; None for any."""


def known_monitors(data: Any) -> tuple[dict[str, str], bool]:
    """The names that the training logs can have, as far as the config shows them.

    As Keras has it: a metric of a single output is logged by its own name, one of several
    outputs as ``<output>_<metric>``.

    Args:
        data: a config; any JSON value is taken.

    Returns:
        Each name, without the ``val_`` of validation, with whether it is better the higher
        (``"max"``) or lower (``"min"``) it is, ``""`` if neither or not known; and whether there
        are no others.

    Example:
        >>> metrics = [{"import": "accuracy"}, {"import": "my_project.Metric"}]
        >>> known_monitors({"model": {"outputs": [{"name": "y", "metrics": metrics}]}})
        ({'loss': 'min', 'learning_rate': '', 'accuracy': 'max'}, False)
    """
    outputs, names = outputs_of(data), output_names(data)
    directions = {"loss": "min", "learning_rate": ""}
    complete = bool(outputs) and (len(outputs) == 1 or bool(names))
    unmatched = [name for name in loader_names(data) if name not in names]
    for output in outputs:
        blocks = output.get("metrics", []) if isinstance(output, dict) else None
        found = list(map(name_and_direction, blocks)) if isinstance(blocks, list) else [None]
        complete = complete and None not in found
        known = [metric for metric in found if metric is not None]
        unique = unique_names([name for name, _ in known])
        metrics = {"loss": "min", **dict(zip(unique, (way for _, way in known), strict=True))}
        if len(outputs) == 1:
            directions |= metrics
            continue
        name = str(value_at(output, ("name",)))
        # Where model and loader differ in a name, that is a fault, and what reads it is none.
        for spelling in {name, nearest(name, unmatched) or name}:
            directions |= {f"{spelling}_{metric}": way for metric, way in metrics.items()}
    return directions, complete


def unique_names(names: Sequence[str]) -> list[str]:
    """Makes repeated names differ by ``_1``, ``_2`` …; the first of each keeps its name.

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


def name_and_direction(block: Any) -> tuple[str, str] | None:
    """Name and direction of a metric; None where only running code shows the name.

    A name is the metric's `name` param, else the alias or short name as written, else the name
    that the Keras class gives itself.
    """
    path, given = value_at(block, ("import",)), named(block)
    if not isinstance(path, str) or given is None:
        return None
    try:
        target = known_target(path, "metric")
    except ImportPathError:
        return None
    if target is None:
        return (given, "") if given else None
    return given or (target.name if "." in path else path), target.direction


def check_monitors(config: Mapping[str, Any], logged: Collection[str]) -> None:
    """Check that every monitor is a metric of the training, now that all of them are known.

    Args:
        config: a resolved config.
        logged: every name that the logs of an epoch will have.

    Raises:
        ConfigError: a monitor that no output produces; each with the nearest name that does.

    Example:
        >>> best = {"monitor": "val_acuracy", "mode": "max"}
        >>> names = ["loss", "val_loss", "accuracy", "val_accuracy"]
        >>> check_monitors({"services": {"best_checkpoint": best}}, names)
        Traceback (most recent call last):
        barrage_mlflow.errors.ConfigError: $.services.best_checkpoint.monitor: no output produces
        'val_acuracy'; did you mean "val_accuracy"?
    """
    findings = list(monitor_findings(config, logged))
    if findings:
        raise ConfigError(as_faults(findings, Document(config)))


def monitor_findings(data: Any, logged: Collection[str] | None = None) -> Iterator[Finding]:
    """Monitors of the wrong kind, and those that nothing produces.

    Args:
        data: a config.
        logged: every name that the logs of an epoch will have; without them, what the config
            shows of them.

    Example:
        >>> data = {"services": {"best_checkpoint": {"monitor": "loss", "mode": "min"}}}
        >>> [str(finding) for finding in monitor_findings(data)]
        ['expected a validation metric (val_…), got "loss"; did you mean "val_loss"?']
    """
    complete = True
    if logged is None:
        directions, complete = known_monitors(data)
        # Validation has no learning rate.
        of_validation = [f"val_{name}" for name in directions if name != "learning_rate"]
        logged = [*of_validation, *directions]
    for block, prefix in _WATCHERS.items():
        monitor, names = value_at(data, (*block, "monitor")), list(logged)
        if prefix is not None:
            names = [name for name in names if name.startswith("val_") == bool(prefix)]
        if not isinstance(monitor, str) or not monitor or monitor in names:
            continue
        is_swapped = prefix is not None and monitor.startswith("val_") != bool(prefix)
        meant = f"{prefix}{monitor.removeprefix('val_')}" if is_swapped else monitor
        near = meant if meant in names else nearest(monitor, names) or nearest(meant, names)
        if not complete and (near is None or not is_slip(monitor, near)):
            # It may be meant for a metric that is not known.
            near = meant if is_swapped else None
        message = f"no output produces {monitor!a}"
        if is_swapped:
            wanted = "a validation metric (val_…)" if prefix else "a train metric"
            message = f"expected {wanted}, got {show_value(monitor)}"
        if complete or near:
            remedy = f"produced are {show_names(sorted(names))}"
            remedy = f"did you mean {show_value(near)}?" if near else remedy
            yield Finding((*block, "monitor"), message, remedy)


def mode_warnings(data: Any) -> Iterator[Finding]:
    """Modes that contradict what is known of their monitor.

    Example:
        >>> outputs = [{"name": "y", "metrics": [{"import": "accuracy"}]}]
        >>> best = {"monitor": "val_accuracy", "mode": "min"}
        >>> data = {"model": {"outputs": outputs}, "services": {"best_checkpoint": best}}
        >>> for warning in mode_warnings(data):
        ...     print(warning.message)
        "val_accuracy" is better the higher it is, but the mode is "min"
    """
    directions, _ = known_monitors(data)
    for block in _WATCHERS:
        monitor, mode = (value_at(data, (*block, key)) for key in ("monitor", "mode"))
        if isinstance(monitor, str) and mode in ("min", "max"):
            right = directions.get(monitor.removeprefix("val_"), "")
            if right and right != mode:
                better = "higher" if right == "max" else "lower"
                shown = show_value(monitor)
                message = f'{shown} is better the {better} it is, but the mode is "{mode}"'
                yield Finding((*block, "mode"), message, f'write "{right}"')
