"""Import blocks: what is wrong with them, and the loaders, networks, losses … that they make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.annotations import annotation_schema
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.import_strings import (
    base_classes,
    find_target,
    is_sequential,
    load_target,
)
from barrage_mlflow.config.import_targets import NotImportableError, Target
from barrage_mlflow.config.kinds import KINDS, paths_of
from barrage_mlflow.config.names import did_you_mean
from barrage_mlflow.config.paths import Path, value_at
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

_INPUT = "keras.layers.InputLayer"
_NETWORK = ("model", "network")
_TRANSFORMER = ("dataset", "transformer")


def import_findings(
    data: Any, folders: Sequence[str] = (), *, run_code: bool = False
) -> Iterator[Finding]:
    """Everything that is wrong with the import blocks of a config.

    Args:
        data: a config; any JSON value is taken.
        folders: where the project's modules are looked for, besides the Python path.
        run_code: whether the project's modules are imported to look at what is in them; else
            their source is read. Nothing in them is called.

    Example:
        >>> data = {"solver": {"optimizer": {"import": "Adan", "learning_rate": 0.1}}}
        >>> [(finding.message, finding.remedy) for finding in import_findings(data)]
        [("'Adan' names no optimizer in Keras", "did you mean 'Adam'?")]
    """
    reader = None if run_code else SourceReader(folders)
    targets: dict[Path, Target] = {}
    for path, block, kind in import_blocks(data):
        name, params = block.get("import"), block.get("params", {})
        is_placeholder = path[0] == "model" and placeholder_name(name) is not None
        if not isinstance(name, str) or not name or is_placeholder:
            continue
        try:
            targets[path] = find_target(name, kind, reader)
        except NotImportableError as error:
            yield Finding((*path, "import"), error.message, error.remedy)
            continue
        if isinstance(params, dict):
            yield from _param_findings(path, params, kind, targets[path], data)
            yield from _value_findings(path, params, targets[path])
    transformer = targets.get(_TRANSFORMER)
    learnt = transformer.network_param_names if transformer else None
    if value_at(data, _TRANSFORMER) is None:
        learnt = ()
    if learnt is not None:  # else any name could be one that the transformer learns
        yield from placeholder_findings(data, learnt)


def build_import(block: Mapping[str, Any], kind: str, path: str, *args: Any) -> Any:
    """Builds the component of an import block.

    Args:
        block: an import block, its placeholders filled in.
        kind: as `find_target` takes it.
        path: the JSON path of the block, for messages.
        *args: what the engine passes by position (a loader's mode).

    Returns:
        What the class or function gives when it is called with ``*args`` and the block's
        params; for a loss alias (``"mse"``), the loss object. For an augmentor, the function
        itself; for an alias whose class depends on the shapes (``"accuracy"``), the alias.

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
    except NotImportableError as fault:
        raise ImportPathError(f"{path}.import: {fault}") from fault.__cause__
    row = KINDS[kind]
    problems = target.accepts.problems(params, row.passed, row.passed_by_name)
    if problems:
        listed = "; ".join(str(problem) for problem in problems)
        message = f"{path}: {name}: {listed} (it accepts {target.accepts.shown()})"
        raise ComponentError(message)
    component = load_target(target)
    if kind == "augmentor" or target.form == "alias":
        return component
    if target.path == _INPUT and isinstance(params.get("shape"), int):
        params["shape"] = [params["shape"]]
    if row.is_keras and isinstance(params.get("name"), str):
        params["name"] = keras_index.scope_name(params["name"])
    try:
        built = component(*args, **params)
    except Exception as error:
        if target.path.startswith("keras."):
            why = " ".join(str(error).split())
            message = f"{path}: {target.path} turned its params down: {why}"
            raise ComponentError(message) from error
        error.add_note(f"in {path}, import {name!r}")
        raise
    if not isinstance(built, base_classes(kind)):
        message = f"{path}: {name} gave a {type(built).__name__}, expected a {row.wanted}"
        raise ComponentError(message)
    return built


def import_blocks(data: Any) -> Iterator[tuple[Path, dict[str, Any], str]]:
    """Every import block of a config with its path and kind, the layers of a Sequential too.

    Example:
        >>> data = {"dataset": {"loader": {"import": "KeySelector"}}}
        >>> list(import_blocks(data))
        [(('dataset', 'loader'), {'import': 'KeySelector'}, 'loader')]
    """
    for kind in KINDS.values():
        if kind.name == "layer" and not is_sequential(value_at(data, (*_NETWORK, "import"))):
            continue
        for path in paths_of(kind, data):
            yield path, value_at(data, path), kind.name


def _param_findings(
    path: Path, params: dict[str, Any], kind: str, target: Target, data: Any
) -> Iterator[Finding]:
    """Params that the signature does not know, and those that it requires."""
    names = list(params)
    if kind == "network":
        # A param that a placeholder reads may be there for the placeholder alone.
        in_use = placeholder_names(data["model"])
        names = [name for name in names if name in target.accepts.names or name not in in_use]
    row = KINDS[kind]
    for problem in target.accepts.problems(names, row.passed, row.passed_by_name + row.beside):
        yield problem.below(path)


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
        if target.path.startswith("keras.") and isinstance(value, str):
            yield from _keras_name_findings(here, value)


def _keras_name_findings(path: Path, value: str) -> Iterator[Finding]:
    """``"activation": "rleu"`` and the like.

    Code may register further names with Keras (``"package>name"``), so only what is near to a
    known one is a fault.
    """
    kind = str(path[-1]).rpartition("_")[2]
    known = keras_index.value_names(kind)
    if ">" in value or placeholder_name(value) is not None:
        return
    remedy = did_you_mean(value, known)
    if value not in known and remedy:
        yield Finding(path, f"Keras has no {kind} {value!a}", remedy)
