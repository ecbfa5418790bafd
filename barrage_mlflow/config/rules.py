"""Rules of the config that a schema cannot hold. Each takes any JSON value and never raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.config.output_names import output_name_findings
from barrage_mlflow.config.paths import Path, is_slip, nearest, show_names, show_value, value_at
from barrage_mlflow.config.repair import known_keys
from barrage_mlflow.config.schema import schema_at
from barrage_mlflow.config.shape import missing_keys, unknown_key

_CALLBACK_BLOCKS: tuple[Path, ...] = (
    ("solver", "learning_rate_reducer"),
    ("services", "tensorboard"),
    ("services", "train_early_stopping"),
    ("services", "validation_early_stopping"),
)
_VALIDATION_MONITORS = (
    ("services", "best_checkpoint", "monitor"),
    ("services", "validation_early_stopping", "monitor"),
)
_TRAIN_MONITORS = (("services", "train_early_stopping", "monitor"),)
_ANY_MONITORS = (("solver", "learning_rate_reducer", "monitor"),)


def rule_findings(data: Any) -> Iterator[Finding]:
    """Everything that the rules find in a config.

    Example:
        >>> data = {"services": {"best_checkpoint": {"monitor": "loss", "mode": "min"}}}
        >>> [(finding.message, finding.remedy) for finding in rule_findings(data)]
        [('expected a validation metric (val_…), got "loss"', 'write "val_loss"')]
    """
    for rule in _RULES:
        yield from rule(data)


def _loss_weights(data: Any) -> Iterator[Finding]:
    outputs = value_at(data, ("model", "outputs"))
    if isinstance(outputs, list) and len(outputs) > 1:
        for i, output in enumerate(outputs):
            if isinstance(output, dict) and "loss_weight" not in output:
                remedy = f"it is required on each of {len(outputs)} outputs"
                yield Finding(("model", "outputs", i), "missing key 'loss_weight'", remedy)


def _schedule_and_reducer(data: Any) -> Iterator[Finding]:
    rate = value_at(data, ("solver", "optimizer", "learning_rate"))
    path = ("solver", "learning_rate_reducer")
    if isinstance(rate, dict) and value_at(data, path) is not None:
        message = "cannot work together with a learning rate schedule"
        yield Finding(path, message, "remove it, or give learning_rate as a number")


def _callback_params(data: Any) -> Iterator[Finding]:
    for path in _CALLBACK_BLOCKS:
        block = value_at(data, path)
        node = schema_at(path)
        if not isinstance(block, dict) or node is None:
            continue
        known = list(known_keys(node)) if block.keys() - set(node.get("properties", ())) else ()
        for key in block:
            if path[-1] == "tensorboard" and key == "log_dir":
                message = "key 'log_dir' is set by Barrage"
                yield Finding((*path, key), message, "remove it", True)
            elif key not in known and key not in node.get("properties", ()):
                yield unknown_key((*path, key), known, block)
        yield from missing_keys(path, node, block)


def _monitors(data: Any) -> Iterator[Finding]:
    """A monitor of the wrong kind, or that nothing produces; of one monitor, the first of both."""
    known = known_monitors(data)
    for path in (*_VALIDATION_MONITORS, *_TRAIN_MONITORS, *_ANY_MONITORS):
        monitor = value_at(data, path)
        if not isinstance(monitor, str) or not monitor:
            continue
        # Validation has no learning rate.
        of_validation = [f"val_{name}" for name in known.directions if name != "learning_rate"]
        if path in _ANY_MONITORS:
            prefix = "val_" if monitor.startswith("val_") else ""
            names = [*of_validation, *known.directions]
        else:
            prefix = "val_" if path in _VALIDATION_MONITORS else ""
            names = of_validation if prefix else list(known.directions)
        if monitor in names:
            continue
        right = prefix + monitor.removeprefix("val_")
        right_kind = right == monitor
        if right not in names and (known.complete or not right_kind):
            right = nearest(monitor, names) or nearest(right, names) or ""
        elif right not in names:
            # Any name may be that of a metric which is not known, but for one next to a known.
            right = nearest(monitor, [name for name in names if is_slip(monitor, name)]) or ""
        if right_kind and (known.complete or right):
            remedy = f"did you mean {show_value(right)}?" if right else ""
            message = f"no output produces {monitor!a}; {_produced(names, prefix)}"
            yield Finding(path, message, remedy)
        elif not right_kind:
            wanted = "a validation metric (val_…)" if prefix else "a train metric"
            remedy = f"write {show_value(right)}" if right else _produced(names, prefix)
            yield Finding(path, f"expected {wanted}, got {show_value(monitor)}", remedy)


def _produced(names: list[str], prefix: str) -> str:
    of_kind = {name for name in names if name.startswith("val_") is bool(prefix)}
    return f"produced are {show_names(sorted(of_kind))}"


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
    directions = known_monitors(data).directions
    for path in (*_VALIDATION_MONITORS, *_TRAIN_MONITORS, *_ANY_MONITORS):
        block = value_at(data, path[:-1])
        monitor, mode = value_at(block, ("monitor",)), value_at(block, ("mode",))
        if not isinstance(monitor, str) or mode not in ("min", "max"):
            continue
        right = directions.get(monitor.removeprefix("val_"), "")
        if right and right != mode:
            better = "higher" if right == "max" else "lower"
            message = (
                f'{show_value(monitor)} is better the {better} it is, but the mode is "{mode}"'
            )
            yield Finding((*path[:-1], "mode"), message, f'write "{right}"')


_RULES: tuple[Callable[[Any], Iterator[Finding]], ...] = (
    output_name_findings,
    _loss_weights,
    _schedule_and_reducer,
    _callback_params,
    _monitors,
)
