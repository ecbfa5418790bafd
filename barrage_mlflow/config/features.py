"""Checks the features and targets of a `FeatureLoader`, and what has to go with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.component_kinds import KINDS, paths_of
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.import_strings import find_target
from barrage_mlflow.config.names import did_you_mean, show_names, suggest
from barrage_mlflow.config.paths import Path, show_value, value_at
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.schema import SCHEMA
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.errors import ImportPathError

LOADER: Path = ("dataset", "loader")
NEXT = "next_"
"""Before the name of a column, that of what comes after a window (``dataset.windows``)."""
_TRANSFORMER: Path = ("dataset", "transformer")
_FEATURE_LOADER, _ENCODER = "dataset.FeatureLoader", "dataset.FeatureTransformer"


def feature_findings(data: Any, reader: SourceReader | None = None) -> Iterator[Finding]:
    """Unknown feature types and options, and components that features do not go with.

    Args:
        data: a config; any JSON value is taken.
        reader: as `find_target` takes it.

    Example:
        >>> params = {"features": {"carat": "nmber"}, "targets": {"price": {"type": "number"}}}
        >>> loader = {"import": "FeatureLoader", "params": params}
        >>> for finding in feature_findings({"dataset": {"loader": loader}}):
        ...     print(finding.path[-1], finding)
        transformer expected FeatureTransformer, which encodes what FeatureLoader loads, got \
none; write {"import": "FeatureTransformer"}
        carat expected a feature type, got "nmber"; did you mean 'number'?
    """
    has_loader = _is(data, LOADER, _FEATURE_LOADER)
    transformer = value_at(data, (*_TRANSFORMER, "import"))
    encodes_nothing = transformer is None or _is(data, _TRANSFORMER, "dataset.IdentityTransformer")
    if has_loader and encodes_nothing:
        message = "expected FeatureTransformer, which encodes what FeatureLoader loads, got "
        remedy = 'write {"import": "FeatureTransformer"}'
        yield Finding(_TRANSFORMER, message + (transformer or "none"), remedy)
    if _is(data, _TRANSFORMER, _ENCODER) and _is(data, LOADER, "dataset.KeySelector"):
        message = "expected FeatureLoader, which FeatureTransformer encodes, got KeySelector"
        yield Finding((*LOADER, "import"), message, 'write "FeatureLoader"')
    params = value_at(data, (*LOADER, "params"))
    has_windows = value_at(data, ("dataset", "windows")) is not None
    if has_features(data, reader) and isinstance(params, dict):
        checks = {"features": _spec_findings, "targets": _spec_findings, "all": _all_findings}
        for part in (each for each in checks if each in params):
            path: Path = (*LOADER, "params", part)
            types = ["object", "null"] if part == "features" else "object"
            yield from value_findings(params[part], {"type": types}, path)
            for name, value in params[part].items() if isinstance(params[part], dict) else ():
                yield from checks[part](value, (*path, name))
                if has_windows:
                    yield from _window_findings(part, name, value, (*path, name))
    if _is(data, ("model", "network"), "model.feature_network"):
        for loss in paths_of(KINDS["loss"], data):
            if value_at(data, where := (*loss, "params", "from_logits")) is True:
                message = "expected false, since feature_network gives probabilities, got true"
                yield Finding(where, message, "leave it out")


def _window_findings(part: str, name: str, spec: Any, path: Path) -> Iterator[Finding]:
    """What is wrong with a feature or target of windows of a long table."""
    if part == "features" and name.startswith(NEXT):
        remedy = f"leave it out, or write {name.removeprefix(NEXT)!a}"
        yield Finding(
            path, "comes after the window, so that no request has it", remedy, is_key=True
        )
    if part == "targets" and not name.startswith(NEXT):
        message = f"expected what comes after a window, got its history, {name!a}"
        yield Finding(path, message, f"write {NEXT + name!a}", is_key=True)
    elif part == "targets" and spec != "series" and value_at(spec, ("type",)) != "series":
        yield Finding(path, f"expected a series, the numbers to come, got {show_value(spec)}")


def lacks_features(data: Any, reader: SourceReader | None = None) -> bool:
    """Whether features are left out, to be found by looking at the train records.

    Example:
        >>> loader = {"import": "FeatureLoader", "params": {"targets": {"price": "number"}}}
        >>> lacks_features({"dataset": {"loader": loader}})
        True
    """
    params = value_at(data, (*LOADER, "params"))
    is_left_out = isinstance(params, dict) and params.get("features") is None
    return is_left_out and has_features(data, reader)


def has_features(data: Any, reader: SourceReader | None = None) -> bool:
    """Whether a config's loader is one of features: by its name, or by the params that it takes.

    Example:
        >>> has_features({"dataset": {"transformer": {"import": "FeatureTransformer"}}})
        True
    """
    if _is(data, _TRANSFORMER, _ENCODER) or _is(data, LOADER, _FEATURE_LOADER):
        return True
    path = value_at(data, (*LOADER, "import"))
    with suppress(ImportPathError):
        if isinstance(path, str) and path:
            names = find_target(path, "loader", reader).accepts.names
            return {"features", "targets", "all"} <= {*names}
    return False


def _is(data: Any, block: Path, name: str) -> bool:
    return keras_index.means(value_at(data, (*block, "import")), name)


def _spec_findings(spec: Any, path: Path) -> Iterator[Finding]:
    """What is wrong with a feature or target: its type's name, or an object of type and options."""
    part = str(path[-2])
    types, noun = SCHEMA["$defs"][part], part.removesuffix("s")
    known = f"known {noun} types: {show_names(types)}"
    is_object = isinstance(spec, dict)
    kind = spec.get("type") if is_object else spec
    if is_object and "type" not in spec:
        yield Finding(path, "missing key 'type'", known)
    elif isinstance(kind, str) and kind in types:
        yield from _option_findings(spec, types[kind]["properties"], path)
    else:
        remedy = did_you_mean(kind, types) if isinstance(kind, str) else ""
        where = (*path, "type") if is_object else path
        yield Finding(where, f"expected a {noun} type, got {show_value(kind)}", remedy or known)


def _all_findings(options: Any, path: Path) -> Iterator[Finding]:
    """What is wrong with the options of all features of a type."""
    types, kind = SCHEMA["$defs"]["features"], str(path[-1])
    if kind in types:
        yield from value_findings(options, {"type": "object"}, path)
        yield from _option_findings(options, types[kind]["properties"], path)
    else:
        remedy = suggest(kind, types, "feature types")
        yield Finding(path, f"expected a feature type, got {kind!a}", remedy, is_key=True)


def _option_findings(spec: Any, known: dict[str, Any], path: Path) -> Iterator[Finding]:
    options = spec if isinstance(spec, dict) else {}
    for name, value in options.items():
        if name in known:
            yield from value_findings(value, known[name], (*path, name))
        elif name != "type":
            remedy = suggest(name, known, "options", options) or "it has no options"
            yield Finding((*path, name), f"unknown option {name!a}", remedy, is_key=True)
