"""Builds components: import blocks become loaders, networks, losses and optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from barrage_mlflow.config.imports import base_classes, find_target
from barrage_mlflow.config.kinds import KINDS
from barrage_mlflow.config.targets import NotImportableError
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
    row = KINDS[kind]
    problems = target.accepts.problems(params, row.passed, row.passed_by_name)
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
        message = f"{path}: {name} gave a {type(built).__name__}, expected a {row.wanted}"
        raise ComponentError(message)
    return built


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
