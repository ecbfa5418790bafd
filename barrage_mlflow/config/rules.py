"""Rules of the config that a schema cannot hold. Each takes any JSON value and never raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.imports import NotImportableError
from barrage_mlflow.config.monitors import monitor_names
from barrage_mlflow.config.paths import Path, nearest, show_names, value_at
from barrage_mlflow.config.placeholders import placeholder_name
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


def _output_names(data: Any) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for i, output in _outputs(data):
        name = output.get("name")
        if not isinstance(name, str) or placeholder_name(name) is not None:
            continue
        if name in first:
            message = f"output name {name!a} stands twice, first in outputs[{first[name]}]"
            yield Finding(("model", "outputs", i, "name"), message, "every output needs its own")
        first.setdefault(name, i)


def _loss_weights(data: Any) -> Iterator[Finding]:
    outputs = value_at(data, ("model", "outputs"))
    if isinstance(outputs, list) and len(outputs) > 1:
        for i, output in _outputs(data):
            known = (schema_at(("model", "outputs", i)) or {})["properties"]
            mistyped = any(key not in known and nearest(key, ["loss_weight"]) for key in output)
            if "loss_weight" not in output and not mistyped:
                remedy = f"it is required on each of {len(outputs)} outputs"
                yield Finding(("model", "outputs", i), "missing key 'loss_weight'", remedy)


def _outputs(data: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    outputs = value_at(data, ("model", "outputs"))
    for i, output in enumerate(outputs if isinstance(outputs, list) else []):
        if isinstance(output, dict):
            yield i, output


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
        unknown: list[Finding] = []
        extra = [key for key in block if key not in node.get("required", ())]
        if path[-1] == "tensorboard" and "log_dir" in block:
            yield Finding((*path, "log_dir"), "key 'log_dir' is set by Barrage", "remove it", True)
            extra.remove("log_dir")
        known = _callback_names(node["x-callback"]) if extra else ()
        for key in extra:
            if key not in known:
                offered = [name for name in known if name != "log_dir"]
                unknown.append(unknown_key((*path, key), offered, block))
        yield from unknown
        yield from missing_keys(path, node, block, unknown)


def _callback_names(callback: str) -> tuple[str, ...]:
    try:
        entry = keras_index.short("callback", callback)
    except ImportError as error:
        raise NotImportableError(f"Keras cannot be imported: {error}") from error
    return entry.accepts.names if entry else ()


def _monitors(data: Any) -> Iterator[Finding]:
    """A monitor of the wrong kind, or that nothing produces; of one monitor, the first of both."""
    known = monitor_names(data)
    for path in (*_VALIDATION_MONITORS, *_TRAIN_MONITORS, *_ANY_MONITORS):
        monitor = value_at(data, path)
        if not isinstance(monitor, str) or not monitor:
            continue
        of_validation = monitor.startswith("val_")
        bare = monitor.removeprefix("val_")
        if path in _ANY_MONITORS:
            prefix = "val_" if of_validation else ""
        else:
            prefix = "val_" if path in _VALIDATION_MONITORS else ""
        # Validation has no learning rate.
        names = None if known is None else known - ({"learning_rate"} if prefix else set())
        right = bare if names is None or bare in names else nearest(bare, names)
        if of_validation is not bool(prefix):
            wanted = "a validation metric (val_…)" if prefix else "a train metric"
            remedy = f'write "{prefix}{right}"' if right else _produced(prefix, names)
            yield Finding(path, f'expected {wanted}, got "{monitor}"', remedy)
        elif right != bare:
            remedy = f'did you mean "{prefix}{right}"?' if right else ""
            message = f"no output produces {monitor!a}; {_produced(prefix, names)}"
            yield Finding(path, message, remedy)


def _produced(prefix: str, names: set[str] | None) -> str:
    return f"produced are {show_names(sorted(prefix + name for name in names or ()))}"


_RULES: tuple[Callable[[Any], Iterator[Finding]], ...] = (
    _output_names,
    _loss_weights,
    _schedule_and_reducer,
    _callback_params,
    _monitors,
)
