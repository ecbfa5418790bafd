"""Builds components: import blocks become loaders, networks, losses and optimizers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from barrage_mlflow.config.findings import Finding, Where
from barrage_mlflow.config.imports import base_classes, find_target
from barrage_mlflow.config.keras_index import snake_name
from barrage_mlflow.config.kinds import KINDS
from barrage_mlflow.config.targets import NotImportableError, Target
from barrage_mlflow.errors import ComponentError, ImportPathError

_INPUT = "keras.layers.InputLayer"


def build_import(block: Mapping[str, Any], kind: str, path: str, *args: Any) -> Any:
    """Builds the component of an import block.

    Args:
        block: an import block, its placeholders filled in.
        kind: as `load_import` takes it.
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
    passed = ("",) * len(args) if args else KINDS[kind].passed
    problems = param_problems(target, kind, params, passed)
    if problems:
        listed = "; ".join(str(problem) for problem in problems)
        message = f"{path}: {name}: {listed} (it accepts {target.accepts.shown()})"
        raise ComponentError(message)
    component = target.load()
    if kind == "augmentor" or target.form == "alias":
        return component
    if target.path == _INPUT and isinstance(params.get("shape"), int):
        params["shape"] = [params["shape"]]
    try:
        built = component(*args, **params)
    except Exception as error:
        if target.path.startswith("keras."):
            message = f"{path}: {target.path} turned its params down: {_one_line(error)}"
            raise ComponentError(message) from error
        error.add_note(f"in {path}, import {name!r}")
        raise
    if not isinstance(built, base_classes(kind)):
        message = f"{path}: {name} gave a {type(built).__name__}, expected a {KINDS[kind].wanted}"
        raise ComponentError(message)
    return built


def param_problems(
    target: Target,
    kind: str,
    params: Iterable[str],
    passed: tuple[str, ...] | None = None,
    also: tuple[str, ...] = (),
) -> list[Finding]:
    """What is wrong with the params of an import block, as far as its signature shows.

    Args:
        target: what the block imports.
        kind: as `load_import` takes it.
        params: the names of the params that the block gives.
        passed: what Barrage passes by position; left out, what it passes to this kind.
        also: what Barrage passes by keyword.

    Example:
        >>> target = find_target("mse", "loss")
        >>> [str(problem) for problem in param_problems(target, "loss", ["reducton"])]
        ["unknown param 'reducton'; did you mean 'reduction'?"]
    """
    params = list(params)
    if kind in ("loss", "metric") and target.form == "function" and _is_plain(target, params):
        bare = target.path.rpartition(".")[2]
        remedy = f"give a class derived from {KINDS[kind].wanted}"
        if target.path.startswith("keras."):
            remedy = f"write {bare!r}, or give a class"
        message = f"a plain function {snake_name(bare)!r} of (y_true, y_pred) is no {kind}"
        return [Finding(Where(()), message, remedy)]
    also += tuple(name for name in KINDS[kind].passed_by_name if name in target.accepts.names)
    if passed is None:
        passed = KINDS[kind].passed
    return target.accepts.problems(params, passed, also)


def _is_plain(target: Target, params: list[str]) -> bool:
    """Whether a function is a loss itself, and not a factory that makes one."""
    open_names = [name for name in target.accepts.required if name not in params]
    return len(open_names) == 2 or target.accepts.positional[:2] == ("y_true", "y_pred")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
