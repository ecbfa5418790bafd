"""Import blocks: what is wrong with them, and the loaders, networks, losses … that they make."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.annotations import annotation_schema
from barrage_mlflow.config.bygone import GONE, old_imports_of
from barrage_mlflow.config.component_kinds import KINDS, VALUES, paths_of
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.import_strings import base_classes, find_target, load_path
from barrage_mlflow.config.import_targets import Target
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.paths import Path, rebuilt, show_path, value_at, walk
from barrage_mlflow.config.placeholders import (
    placeholder_findings,
    placeholder_name,
    placeholder_names,
)
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.schema import with_placeholders
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.config.unknown_keys import LAYERS
from barrage_mlflow.errors import ComponentError, ImportPathError

AVERAGED = "'SwapEMAWeights' is done already: with use_ema, averages are validated and packaged"
_SWAP = "keras.callbacks.SwapEMAWeights"
_INPUT = "keras.layers.InputLayer"
_NETWORK = ("model", "network")
_TRANSFORMER = ("dataset", "transformer")


def import_findings(data: Any, reader: SourceReader | None = None) -> Iterator[Finding]:
    """Everything that is wrong with the import blocks of a config.

    Args:
        data: a config; any JSON value is taken.
        reader: as `find_target` takes it. Nothing in the project's modules is called.

    Example:
        >>> data = {"solver": {"optimizer": {"import": "Adan", "learning_rate": 0.1}}}
        >>> found = import_findings(data, SourceReader())
        >>> [(finding.message, finding.remedy) for finding in found]
        [("'Adan' names no optimizer in Keras", "did you mean 'Adam'?")]
    """
    learnt: Collection[str] | None = () if value_at(data, _TRANSFORMER) is None else None
    for path, block, kind in import_blocks(data):
        name, params = block.get("import"), block.get("params", {})
        is_placeholder = path[0] == "model" and placeholder_name(name) is not None
        if not isinstance(name, str) or not name or is_placeholder:
            continue
        try:
            target = find_target(name, kind, reader)
        except ImportPathError as error:
            yield Finding((*path, "import"), error.reason, error.remedy)
            continue
        if kind == "transformer":  # which comes before the network
            learnt = target.network_param_names
        if target.path == _SWAP:
            yield Finding((*path, "import"), AVERAGED, "remove it")
        if isinstance(params, dict):
            yield from _param_findings(path, params, kind, target, data, learnt)
            yield from _value_findings(path, params, target)
    if learnt is not None:  # else any name could be one that the transformer learns
        yield from placeholder_findings(data, learnt)


def build_import(block: Mapping[str, Any], kind: str, path: str, *args: Any) -> Any:
    """Builds the component of an import block.

    Args:
        block: an import block, its placeholders filled in.
        kind: as `find_target` takes it.
        path: the JSON path of the block, for messages.
        *args: what the engine passes besides (a loader's mode).

    Returns:
        What the class or function gives when it is called with ``*args`` and the block's
        params; blocks in the params of a layer are built first. For a loss alias (``"mse"``),
        the loss object; for an augmentor, the function itself, for a report, the function with
        its params; for an alias whose class depends
        on the shapes (``"accuracy"``), the alias.

    Raises:
        ImportPathError: the import leads nowhere or to the wrong kind of thing.
        ComponentError: the params do not fit, Keras turns them down, or what comes out is not
            of the kind. An exception that the user's own code raises keeps its type and gets
            the path and the import as a note.

    Example:
        >>> block = {"import": "mse", "params": {"reduction": "sum"}}
        >>> build_import(block, "loss", "$.model.outputs[0].loss").reduction
        'sum'
    """
    name = block["import"]
    params = dict(block.get("params") or {})
    try:
        target = find_target(name, kind)
    except ImportPathError as fault:
        raise ImportPathError(f"{path}.import: {fault}") from fault.__cause__
    row = KINDS[kind]
    by_position, by_name = target.accepts.passed(row)
    problems = target.accepts.problems(params, by_position, by_name)
    if problems:
        listed = "; ".join(str(problem) for problem in problems)
        message = f"{path}: {name}: {listed} (it accepts {target.accepts.shown()})"
        raise ComponentError(message)
    if target.form == "alias":
        return target.path
    component = load_path(target.path)
    if kind == "augmentor":
        return component
    if kind == "report":
        return functools.partial(component, **params)
    if kind in ("layer", *VALUES):
        params = {key: _built(item, f"{path}.params", (key,)) for key, item in params.items()}
    if target.path == _INPUT and isinstance(params.get("shape"), int):
        params["shape"] = [params["shape"]]
    if row.is_keras and isinstance(params.get("name"), str):
        params["name"] = keras_index.scope_name(params["name"])
    if by_name:
        params |= dict(zip(row.passed, args, strict=True))
        args = ()
    try:
        built = component(*args, **params)
    except Exception as error:
        if target.path.startswith("keras."):
            why = " ".join(str(error).split())
            message = f"{path}: {target.path} turned its params down: {why}"
            raise ComponentError(message) from error
        error.add_note(f"in {path}, import {name!r}")
        if remedy := old_imports_of(component):
            error.add_note(remedy)
        raise
    if not isinstance(built, base_classes(kind)):
        made, remedy = inspect.formatannotation(type(built)), old_imports_of(component)
        message = f"{path}: {name} gave a {made}, expected a {row.wanted}"
        raise ComponentError(f"{message}; {remedy}" if remedy else message)
    return built


def _built(value: Any, params: str, path: Path) -> Any:
    """A param of a layer, with what import blocks in it make in their place."""

    def part(here: Path, item: Any) -> Any:
        if isinstance(item, Mapping) and "import" in item:
            return build_import(item, _kind_of(here), params + show_path(here)[1:])
        return item

    return rebuilt(value, part, path)


def import_blocks(data: Any) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Every import block of a config with its path and kind.

    The layers of a Sequential are among them, and those in a layer's params at any depth.

    Example:
        >>> data = {"dataset": {"loader": {"import": "KeySelector"}}}
        >>> list(import_blocks(data))
        [(('dataset', 'loader'), {'import': 'KeySelector'}, 'loader')]
    """
    for kind in KINDS.values():
        if kind.name != "layer":
            yield from ((path, value_at(data, path), kind.name) for path in paths_of(kind, data))
        elif keras_index.means(value_at(data, (*_NETWORK, "import")), keras_index.SEQUENTIAL):
            for path, value in walk(value_at(data, LAYERS), LAYERS):
                if isinstance(value, dict) and "import" in value:
                    yield path, value, _kind_of(path)


def _kind_of(path: Path) -> str:
    """The kind of component that a block in the params of a layer is of, by the param's name."""
    last = [part for part in path if isinstance(part, str)][-1].rpartition("_")[2]
    return last if last in VALUES else "layer"


def _param_findings(
    path: Path,
    params: dict[str, Any],
    kind: str,
    target: Target,
    data: Any,
    learnt: Collection[str] | None,
) -> Iterator[Finding]:
    """Params that the signature does not know, and those that it requires."""
    names, accepts = list(params), target.accepts
    if kind == "network":
        # A param that a placeholder reads may be there for the placeholder alone.
        in_use = placeholder_names(data["model"])
        names = [name for name in names if name in accepts.names or name not in in_use]
        # One that is required may be learnt by the transformer, unless that declares others.
        may_be_learnt = accepts.required if learnt is None else learnt
        names += [name for name in may_be_learnt if target.takes_learnt and name in accepts.names]
    by_position, by_name = accepts.passed(KINDS[kind])
    for problem in accepts.problems(names, by_position, by_name + KINDS[kind].beside):
        name = str(problem.path[-1]) if problem.path else ""
        remedy = GONE.get((kind, name), problem.remedy)
        yield replace(problem, path=(*path, *problem.path), remedy=remedy)


def _value_findings(path: Path, params: dict[str, Any], target: Target) -> Iterator[Finding]:
    """Values that the annotations rule out, and names of Keras functions that there are not."""
    accepts = target.accepts
    for name, value in params.items():
        here = (*path, "params", name)
        # What is given is checked, true for 1 too; but "x: int = None" is common, and means it.
        is_default = repr(value) == repr(accepts.defaults.get(name, ...))
        if name in accepts.types and not is_default and here != LAYERS:
            node = annotation_schema(accepts.types[name])
            if path[0] == "model":
                node = with_placeholders(node)
            yield from value_findings(value, node, here)
        known = keras_index.value_names(name) if target.path.startswith("keras.") else ()
        # Code may register further names with Keras, "package>name".
        is_name = isinstance(value, str) and ">" not in value and placeholder_name(value) is None
        if known and is_name and value not in known:
            message = f"Keras has no {name.rpartition('_')[2]} {value!a}"
            own = f'give your own {_kind_of(here)} as {{"import": …}}'
            yield Finding(here, message, did_you_mean(value, known) or own)
