"""Checks the import blocks of a config: where they lead, their params, their placeholders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from barrage_mlflow.config.components import build_import, param_problems
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.imports import NotImportableError, Target, current_path, find_target
from barrage_mlflow.config.paths import Path, show_path, show_value, value_at
from barrage_mlflow.config.placeholders import (
    given_values,
    name_in_both,
    placeholder_name,
    placeholder_names,
    placeholders_in,
    unknown_placeholder,
)
from barrage_mlflow.config.schema import schema_at
from barrage_mlflow.config.shape import missing_keys, unknown_key
from barrage_mlflow.errors import ComponentError

_NETWORK = ("model", "network")
_TRANSFORMER = ("dataset", "transformer")
_SEQUENTIAL = "barrage_mlflow.model.sequential_from_config"
_KEY_SELECTOR = "barrage_mlflow.dataset.KeySelector"
_IDENTITY = "barrage_mlflow.dataset.IdentityTransformer"


def import_findings(data: Any) -> Iterator[Finding]:
    """Everything that is wrong with the import blocks of a config.

    Project code is imported to look at its signatures; nothing of it is called.

    Example:
        >>> data = {"solver": {"optimizer": {"import": "Adan", "learning_rate": 0.1}}}
        >>> [str(finding.message) for finding in import_findings(data)]
        ["'Adan' is not the name of an optimizer in Keras"]
    """
    targets: dict[Path, Target] = {}
    for path, block, kind in _blocks(data):
        name = block.get("import")
        if not isinstance(name, str) or not name or _is_placeholder(name, path):
            continue
        try:
            targets[path] = find_target(name, kind)
        except NotImportableError as fault:
            yield Finding((*path, "import"), fault.message, fault.remedy)
    names = _network_param_names(data, targets.get(_TRANSFORMER))
    for path, block, kind in _blocks(data):
        params = block.get("params", {})
        if path in targets and isinstance(params, dict):
            found = list(_param_findings(path, params, kind, targets[path], data))
            yield from found
            if not found and targets[path].path == _KEY_SELECTOR:
                yield from _selector_findings(path, block)
    yield from _sequential_findings(data, targets.get(_NETWORK))
    yield from _placeholder_findings(data, names)


def _is_placeholder(name: str, path: Path) -> bool:
    return path[0] == "model" and placeholder_name(name) is not None


def _blocks(data: Any) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Every import block, with its path and kind."""
    places: list[tuple[Path, str]] = [
        (("dataset", "loader"), "loader"),
        (_TRANSFORMER, "transformer"),
        (_NETWORK, "network"),
        (("solver", "optimizer"), "optimizer"),
        (("solver", "optimizer", "learning_rate"), "schedule"),
    ]
    augmentor: Path = ("dataset", "augmentor")
    places += [((*augmentor, i), "augmentor") for i in _indices(data, augmentor)]
    if _is_sequential(data):
        layers: Path = (*_NETWORK, "params", "layers")
        places += [((*layers, i), "layer") for i in _indices(data, layers)]
    for i in _indices(data, ("model", "outputs")):
        output: Path = ("model", "outputs", i)
        places.append(((*output, "loss"), "loss"))
        metrics = (*output, "metrics")
        places += [((*metrics, j), "metric") for j in _indices(data, metrics)]
    for path, kind in places:
        block = value_at(data, path)
        if isinstance(block, dict):
            yield path, block, kind


def _indices(data: Any, path: Path) -> range:
    found = value_at(data, path)
    return range(len(found)) if isinstance(found, list) else range(0)


def _is_sequential(data: Any) -> bool:
    name = value_at(data, (*_NETWORK, "import"))
    if not isinstance(name, str):
        return False
    return name == _SEQUENTIAL.rpartition(".")[2] or current_path(name) == _SEQUENTIAL


def _network_param_names(data: Any, transformer: Target | None) -> tuple[str, ...] | None:
    """What the transformer says its network params will be called; None if it does not say."""
    if value_at(data, _TRANSFORMER) is None:
        return ()
    if transformer is None or transformer.form != "class":
        return None
    declared = getattr(transformer.load(), "network_param_names", None)
    if declared is None and transformer.path == _IDENTITY:
        return ()
    if isinstance(declared, list | tuple) and all(isinstance(name, str) for name in declared):
        return tuple(declared)
    return None


def _param_findings(
    path: Path,
    params: dict[str, Any],
    kind: str,
    target: Target,
    data: Any,
) -> Iterator[Finding]:
    also = ("learning_rate",) if kind == "optimizer" else ()
    names = list(params)
    if kind == "network":
        # A param that a placeholder reads may be there for the placeholder alone.
        read = placeholder_names(value_at(data, ("model",)))
        names = [name for name in names if name in target.accepts.names or name not in read]
    for problem in param_problems(target, kind, names, also=also):
        if problem.name is not None:
            key = (*path, "params", problem.name)
            yield Finding(key, problem.message, problem.remedy, True)
        else:
            yield Finding(path, problem.message, problem.remedy)


def _selector_findings(path: Path, block: dict[str, Any]) -> Iterator[Finding]:
    """What the built-in loader, which is cheap to build, says of the values of its params."""
    try:
        build_import(block, "loader", show_path(path), "train")
    except ComponentError as fault:
        yield Finding((*path, "params"), str(fault))


def _sequential_findings(data: Any, network: Target | None) -> Iterator[Finding]:
    """The layer blocks of `sequential_from_config`, which the schema sees as free params."""
    layers = value_at(data, (*_NETWORK, "params", "layers"))
    if not _is_sequential(data) or not isinstance(layers, list):
        return
    for i, layer in enumerate(layers):
        path: Path = (*_NETWORK, "params", "layers", i)
        if placeholder_name(layer) is not None:
            continue
        if not isinstance(layer, dict):
            message = f'expected an import block {{"import": …}}, got {show_value(layer)}'
            yield Finding(path, message)
            continue
        block = schema_at(("dataset", "loader")) or {}
        unknown = [
            unknown_key((*path, key), block["properties"], layer)
            for key in layer
            if key not in block["properties"]
        ]
        yield from unknown
        yield from missing_keys(path, block, layer, unknown)
        if not isinstance(layer.get("import", ""), str):
            message = f"expected a string, got {show_value(layer['import'])}"
            yield Finding((*path, "import"), message)
        if not isinstance(layer.get("params", {}), dict) and not placeholder_name(layer["params"]):
            message = f"expected an object, got {show_value(layer['params'])}"
            yield Finding((*path, "params"), message)


def _placeholder_findings(data: Any, network_params: tuple[str, ...] | None) -> Iterator[Finding]:
    params = value_at(data, (*_NETWORK, "params"))
    own = given_values(params) if isinstance(params, dict) else {}
    if network_params is None:
        return
    for name in own:
        if name in network_params:
            yield Finding((*_NETWORK, "params", name), *name_in_both(name))
    known = {**own, **dict.fromkeys(network_params)}
    for path, name in placeholders_in(value_at(data, ("model",)), ("model",)):
        if name not in known:
            yield Finding(path, *unknown_placeholder(name, known))
