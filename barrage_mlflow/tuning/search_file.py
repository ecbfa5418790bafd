"""The search file: what of a config is varied, and by what a trial is judged."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path as File
from typing import Any

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.config.names import suggest
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.paths import Path, one_line, read_path, show_value, value_at
from barrage_mlflow.config.read import read_config
from barrage_mlflow.config.resolve import check_config, find_shape_faults
from barrage_mlflow.config.schema import Node, filled, schema_at, types_of, with_defaults
from barrage_mlflow.errors import ConfigError

SEARCH_SCHEMA: Node = json.loads(File(__file__).with_name("search_schema.json").read_text("utf-8"))
"""The JSON Schema of a search file."""
_DIRECTIONS = {"min": "minimize", "max": "maximize"}


@dataclass(frozen=True)
class Range:
    """What one value of the config may be.

    Attributes:
        values: to choose from; none if there are ends.
        low: the least value.
        high: the largest one.
        step: between two of them, if there are steps.
        log: whether small ones are as likely as large ones.
        is_whole: whether all are whole numbers.
        when: by path, what the config must have one of elsewhere.
    """

    values: Sequence[Any] = ()
    low: float = 0
    high: float = 0
    step: float | None = None
    log: bool = False
    is_whole: bool = False
    when: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def holds(self, value: Any) -> bool:
        """Whether it has a value.

        Example:
            >>> Range(low=1, high=3).holds(1.5), Range(low=1, high=3, is_whole=True).holds(1.5)
            (True, False)
        """
        if self.values:
            return value in self.values
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.is_whole and value % 1:
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return self.low <= value <= self.high and math.isclose(steps, round(steps), abs_tol=1e-9)

    def corners(self) -> Sequence[Any]:
        """Its values, or its ends."""
        return self.values or (self.low, self.high)


@dataclass(frozen=True)
class Search:
    """A search without faults.

    Attributes:
        data: the search file's, with defaults.
        space: by dotted path, what its value may be; those that others depend on come first.
    """

    data: Mapping[str, Any]
    space: Mapping[str, Range]

    @property
    def metric(self) -> str:
        """What a trial is judged by."""
        return str(self.data["metric"])

    def is_asked(self, path: str, data: Any) -> bool:
        """Whether a value is varied, in a config that has the values before it.

        Args:
            path: of the value.
            data: the config.
        """
        conditions = self.space[path].when.items()
        return all(
            any(value in wanted for value in values_at(data, each)) for each, wanted in conditions
        )


def with_values(config: Document, values: Mapping[str, Any]) -> Document:
    """A config with other values, by dotted path; a text stays one, also if it reads as JSON.

    Example:
        >>> with_values(Document({"dataset": {}}), {"dataset.version": "1"}).data
        {'dataset': {'version': '1'}}
    """
    spelt = dict(values)
    for path, value in values.items():
        with suppress(TypeError, ValueError):
            json.loads(value)
            spelt[path] = one_line(value)
    return apply_overrides(config, spelt)


def values_at(data: Any, path: str) -> list[Any]:
    """What a config has at a dotted path: with the defaults within it, and as it is written.

    Example:
        >>> values_at(config.data, "model.outputs.0.loss")  # doctest: +SKIP
        [{'import': 'mse', 'params': {}}, {'import': 'mse'}]
    """
    config = filled(data)
    found = [value_at(each, path_in(each, path)) for each in (config, data)]
    return found if found[1] is not None else found[:1]


def read_search(
    source: str | os.PathLike[str] | Mapping[str, Any], config: Document, trials: int | None = None
) -> Search:
    """Read a search file, and find every fault of it, with a config that it is to vary.

    Args:
        source: a JSON or YAML file, or a dict.
        config: without faults.
        trials: in all, instead of what it says.

    Raises:
        ConfigError: with every fault, also a value that the config refuses.

    Example:
        >>> config = read_config("config.json")  # doctest: +SKIP
        >>> read_search({"space": {"solver.epochs": [1, 2]}}, config).metric  # doctest: +SKIP
        'val_loss'
    """
    given = {} if trials is None else {"trials": trials}
    document = apply_overrides(read_config(source), given)
    if faults := find_shape_faults(document, SEARCH_SCHEMA):
        raise ConfigError(faults)
    data = with_defaults(document.data, SEARCH_SCHEMA)
    found, space = list[Finding](), dict[str, Range]()
    for path, each in data["space"].items():
        asked = {"values": each} if isinstance(each, list) else each
        wrong = [*_range_findings(path, asked, config.data)]
        found += wrong
        if not wrong:
            space[_dotted(path)] = _range(path, asked, config.data)
    try:
        order = {
            path: {
                other
                for other in space
                if other != path and any(_is_within(each, other) for each in (path, *asked.when))
            }
            for path, asked in space.items()
        }
        space = {path: space[path] for path in TopologicalSorter(order).static_order()}
    except CycleError as error:
        around = ", ".join(error.args[1])
        found.append(Finding(("space",), f"these values wait for each other: {around}"))
    data |= _judged_by(data, config.data)
    found += [*_metric_findings(data, config.data), *_value_findings(space, config)]
    if faults := as_faults(found, document):
        raise ConfigError(faults)
    return Search(data, space)


def _dotted(path: str) -> str:
    """A path as overrides have it, also if it was copied from a message."""
    return path.removeprefix("$.")


def _is_within(path: str, other: str) -> bool:
    """Whether a path leads to what another one leads to, or into it."""
    inner, outer = ([*map(str, read_path(each))] for each in (path, other))
    return inner[: len(outer)] == outer


def path_in(config: Any, text: str) -> Path:
    """A dotted path in a config, in which a number is the index of a list if one is there.

    Example:
        >>> path_in({"layers": [{"units": 8}]}, "layers.0.units")
        ('layers', 0, 'units')
    """
    steps: list[str | int] = []
    for step in read_path(text):
        is_index = str(step).isdigit() and isinstance(value_at(config, tuple(steps)), list)
        steps.append(int(step) if is_index else step)
    return tuple(steps)


def _range_findings(path: str, asked: Mapping[str, Any], config: Any) -> Iterator[Finding]:
    """What is wrong with a range whose keys are right."""
    here, ends = ("space", path), {"low", "high"} & asked.keys()
    if ("values" in asked) == bool(ends) or (ends and len(ends) < 2):
        yield Finding(here, "expected low and high, or values", "write one of the two")
    elif ends and asked["low"] >= asked["high"]:
        low, high = show_value(asked["low"]), show_value(asked["high"])
        yield Finding(here, f"expected low to be less than high, got {low} and {high}")
    elif not ends and {"step", "log"} & asked.keys():
        yield Finding(here, "values take neither step nor log", "leave them out")
    elif asked.get("log") and (asked["low"] <= 0 or "step" in asked):
        yield Finding(here, "log takes a low above 0 and no step", "leave one of them out")
    elif asked.get("step", 1) % 1 and _is_whole(path, asked, config):
        step = show_value(asked["step"])
        yield Finding((*here, "step"), f"expected whole steps of whole numbers, got {step}")
    elif "step" in asked and not _range(path, asked, config).holds(asked["high"]):
        low, step, high = (show_value(asked[key]) for key in ("low", "step", "high"))
        yield Finding((*here, "step"), f"steps of {step} do not lead from {low} to {high}")


def _range(path: str, asked: Mapping[str, Any], config: Any) -> Range:
    conditions = asked.get("when", {}).items()
    when = {
        _dotted(each): wanted if isinstance(wanted, list) else [wanted]
        for each, wanted in conditions
    }
    is_whole = "low" in asked and _is_whole(path, asked, config)
    return Range(**{**asked, "when": when}, is_whole=is_whole)


def _is_whole(path: str, asked: Mapping[str, Any], config: Any) -> bool:
    """Whether a range is of whole numbers."""
    node = schema_at(path_in(config, path))
    types = {name for each in (node, *node.get("anyOf", ())) for name in types_of(each)}
    are_whole = isinstance(asked["low"], int) and isinstance(asked["high"], int)
    return "integer" in types or (are_whole and "number" not in types)


def _judged_by(data: Mapping[str, Any], config: Any) -> dict[str, str]:
    """Metric and direction, where the search does not name them."""
    best = filled(config)["services"]["best_checkpoint"]
    metric = data.get("metric", best["monitor"])
    ways, _ = known_monitors(config)
    way = best["mode"] if metric == best["monitor"] else ways.get(metric.removeprefix("val_"), "")
    direction = data.get("direction", _DIRECTIONS.get(way, ""))
    return {"metric": metric, "direction": direction}


def _metric_findings(data: Mapping[str, Any], config: Any) -> Iterator[Finding]:
    names, are_all = known_monitors(config)
    metric = data["metric"]
    if are_all and metric.removeprefix("val_") not in names:
        both = [*names, *(f"val_{name}" for name in names if name != "learning_rate")]
        remedy = suggest(metric, both, "metrics")
        yield Finding(("metric",), f"there is no metric {metric!r}", remedy)
    elif not data["direction"]:
        yield Finding((), "missing key 'direction'", 'write "minimize" or "maximize"')


def _value_findings(space: Mapping[str, Range], config: Document) -> Iterator[Finding]:
    """What the config refuses of each range and of its conditions."""
    for path, asked in space.items():
        here, needed = ("space", path), {}
        for other, values in asked.when.items():
            needed[other] = values[0] if values else None
            if other not in space:
                yield from _refused(config, {}, {}, other, values, (*here, "when", other))
            elif never := [value for value in values if not space[other].holds(value)]:
                message = f"the space of {other} has no {show_value(never[0])}"
                yield Finding((*here, "when", other), message)
        yield from _refused(config, space, needed, path, asked.corners(), here)


def _refused(
    config: Document,
    space: Mapping[str, Range],
    needed: Mapping[str, Any],
    path: str,
    values: Sequence[Any],
    here: Path,
) -> Iterator[Finding]:
    """The first value that a config refuses which has what is needed besides.

    It may also have no place beside what the config has elsewhere and the space does not vary.
    """
    for value in values:
        given = {**needed, path: value}
        _, faults, _ = check_config(with_values(config, given))
        found = [(fault, "") for fault in faults if fault.place == f"--{path}"]
        if space and not found:
            beside = _drawn_beside(config, space, given)
            _, faults, _ = check_config(with_values(config, beside))
            found = [(f, f"{f.path}: ") for f in faults if f.place.removeprefix("--") not in beside]
        for fault, where in found[:1]:
            message = f"the config refuses {show_value(value)}: {where}{fault.message}"
            yield Finding(here, message, fault.remedy)
            return


def _drawn_beside(
    config: Document, space: Mapping[str, Range], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Given values, with the first one of each range that is drawn beside them."""
    values = dict(given)
    for path, asked in space.items():
        data = with_values(config, values).data
        if path not in values and Search({}, space).is_asked(path, data):
            values[path] = asked.corners()[0]
    return values
