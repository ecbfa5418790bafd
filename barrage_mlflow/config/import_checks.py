"""Checks the import blocks of a config: where they lead, and their params."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.annotations import annotation_schema
from barrage_mlflow.config.findings import Finding, Where
from barrage_mlflow.config.imports import find_target, is_sequential
from barrage_mlflow.config.kinds import KINDS, paths_of
from barrage_mlflow.config.names import nearest
from barrage_mlflow.config.paths import Path, value_at
from barrage_mlflow.config.placeholders import names_in_use, placeholder_findings, placeholder_name
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.schema import with_placeholders
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.config.targets import NotImportableError, Target
from barrage_mlflow.config.unknown_keys import LAYERS

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
        [("'Adan' is not the name of an optimizer in Keras", "did you mean 'Adam'?")]
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
            yield Finding(Where((*path, "import")), error.message, error.remedy)
            continue
        if isinstance(params, dict):
            yield from _param_findings(path, params, kind, targets[path], data)
            yield from _value_findings(path, params, targets[path])
    yield from placeholder_findings(data, targets.get(_TRANSFORMER), targets.get(_NETWORK))


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
        in_use = names_in_use(data)
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
    near = nearest(value, known)
    if value not in known and near is not None:
        article = "an" if kind[0] in "ai" else "a"
        message = f"{value!a} is not the name of {article} {kind} in Keras"
        yield Finding(Where(path), message, f"did you mean {near!r}?")
