"""Holds the names of outputs together: the model's, the loader's and the network's.

The loader's are known where it is the built-in `KeySelector`, the network's where it is the
built-in `sequential_from_config`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.imports import is_from_keras, is_sequential, known_target
from barrage_mlflow.config.paths import Path, did_you_mean, is_slip, nearest, show_names, value_at
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.config.repair import LAYERS
from barrage_mlflow.config.targets import NotImportableError

_OUTPUTS: Path = ("dataset", "loader", "params", "outputs")
_WEIGHTS: Path = ("dataset", "loader", "params", "sample_weights")
_SELECTORS = ("KeySelector", "barrage_mlflow.dataset.KeySelector")


def output_name_findings(data: Any) -> Iterator[Finding]:
    """Names of outputs that one of the three does not know; repeated names.

    Of two names that do not agree, the one that fewer other places hold is taken for mistyped.

    Example:
        >>> params = {"inputs": {"x": "a"}, "outputs": {"speices": "b"}}
        >>> loader = {"import": "KeySelector", "params": params}
        >>> model = {"outputs": [{"name": "species", "loss": {"import": "mse"}}]}
        >>> for finding in output_name_findings({"dataset": {"loader": loader}, "model": model}):
        ...     print(finding.path[-1], finding.message, finding.remedy)
        speices the model has no output 'speices' did you mean 'species'?
    """
    yield from _repeated(data)
    yield from _selected_nothing(data)
    names = output_names(data)
    loaded = _loaded(data)
    if not names or loaded is None:
        loaded_names = names
    else:
        pairs = _pairs(data, names, loaded)
        for name, other in pairs.items():
            yield _odd_one(data, name, other)
        for name in [name for name in names if name not in loaded and name not in pairs]:
            message = f"lacks {name!a}, which is an output of the model"
            yield Finding(_OUTPUTS, message, f"give the column of {name!r}")
        for other in loaded:
            if other not in names and other not in pairs.values():
                message = f"the model has no output {other!a}, its outputs: {show_names(names)}"
                yield Finding((*_OUTPUTS, other), message, "", True)
        loaded_names = loaded
        right = {
            other: name for name, other in pairs.items() if not _is_mistyped(data, name, other)
        }
        yield from _weighted(data, [right.get(other, other) for other in loaded])
    if len(names) == 1:
        yield from _networks(data, names[0], loaded_names)


def output_names(data: Any) -> list[str]:
    """The names in ``model.outputs``; empty where one of them is not known.

    Example:
        >>> output_names({"model": {"outputs": [{"name": "y"}, {"name": "z"}]}})
        ['y', 'z']
    """
    outputs = value_at(data, ("model", "outputs"))
    names: list[str] = []
    for output in outputs if isinstance(outputs, list) else ():
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or placeholder_name(name) is not None:
            return []
        names.append(name)
    return list(dict.fromkeys(names))


def mistyped_output_names(data: Any) -> dict[str, str]:
    """Of each mistyped name in ``model.outputs``, the right one.

    Example:
        >>> mistyped_output_names({"model": {"outputs": [{"name": "y"}]}})
        {}
    """
    names = output_names(data)
    pairs = _pairs(data, names, _loaded(data) or [])
    found = {name: other for name, other in pairs.items() if _is_mistyped(data, name, other)}
    network = _network_output(data)
    if len(names) == 1 and not pairs and network and not _votes(data)[names[0]]:
        near = nearest(names[0], [network[0]])
        found |= {names[0]: near} if near else {}
    return found


def _repeated(data: Any) -> Iterator[Finding]:
    first: dict[str, int] = {}
    outputs = value_at(data, ("model", "outputs"))
    for i, output in enumerate(outputs if isinstance(outputs, list) else ()):
        name = output.get("name") if isinstance(output, dict) else None
        if not isinstance(name, str) or placeholder_name(name) is not None:
            continue
        if name in first:
            message = f"output name {name!a} stands twice, first in outputs[{first[name]}]"
            yield Finding(("model", "outputs", i, "name"), message, "every output needs its own")
        first.setdefault(name, i)


def _selector(data: Any) -> Any:
    """The params of the loader, if it is the built-in one."""
    loader = value_at(data, ("dataset", "loader", "import"))
    if not isinstance(loader, str) or keras_index.current_path(loader) not in _SELECTORS:
        return None
    return value_at(data, ("dataset", "loader", "params"))


def _selected_nothing(data: Any) -> Iterator[Finding]:
    params = _selector(data)
    for part in ("inputs", "outputs") if isinstance(params, dict) else ():
        if params.get(part) == {}:
            remedy = f'give {{"NAME": "COLUMN"}} for each of the network\'s {part}'
            yield Finding((*_OUTPUTS[:-1], part), "expected at least one name, got none", remedy)
    for part, names in params.items() if isinstance(params, dict) else ():
        for name, keys in names.items() if isinstance(names, dict) else ():
            if keys == []:
                message = "expected a record key or a list of them, got an empty list"
                yield Finding((*_OUTPUTS[:-1], part, name), message)


def _loaded(data: Any) -> list[str] | None:
    outputs = value_at(_selector(data), ("outputs",))
    return list(outputs) if isinstance(outputs, dict) and outputs else None


def _pairs(data: Any, names: list[str], loaded: list[str]) -> dict[str, str]:
    """Names of the model with the loader's that are meant by them, where they are not the same."""
    lacking = [name for name in names if name not in loaded]
    extra = [name for name in loaded if name not in names]
    pairs: dict[str, str] = {}
    for name in lacking:
        near = nearest(name, [other for other in extra if other not in pairs.values()])
        if near is not None:
            pairs[name] = near
    return pairs


def _odd_one(data: Any, name: str, other: str) -> Finding:
    if _is_mistyped(data, name, other):
        place = output_names(data).index(name)
        message = f"the loader gives no output {name!a}"
        return Finding(("model", "outputs", place, "name"), message, f"did you mean {other!r}?")
    message = f"the model has no output {other!a}"
    return Finding((*_OUTPUTS, other), message, f"did you mean {name!r}?", True)


def _is_mistyped(data: Any, name: str, other: str) -> bool:
    votes = _votes(data)
    return votes[other] > votes[name]


def _votes(data: Any) -> Counter[str]:
    """How often each name stands elsewhere than in the model's and the loader's outputs."""
    votes: Counter[str] = Counter()
    network = _network_output(data)
    if network:
        votes[network[0]] += 1
    weights = value_at(_selector(data), ("sample_weights",))
    votes.update(list(weights) if isinstance(weights, dict) else ())
    for section in ("solver", "services"):
        blocks = value_at(data, (section,))
        for block in blocks.values() if isinstance(blocks, dict) else ():
            monitor = value_at(block, ("monitor",))
            if isinstance(monitor, str):
                votes[monitor.removeprefix("val_").rpartition("_")[0]] += 1
    return votes


def _weighted(data: Any, loaded: list[str]) -> Iterator[Finding]:
    weights = value_at(_selector(data), ("sample_weights",))
    for name in weights if isinstance(weights, dict) else ():
        if name not in loaded:
            near = did_you_mean(name, [other for other in loaded if other not in weights])
            remedy = near or f"the outputs are {show_names(loaded)}"
            yield Finding((*_WEIGHTS, name), f"{name!a} is not an output", remedy, True)


def _networks(data: Any, name: str, loaded: list[str]) -> Iterator[Finding]:
    """The name that the last layer gives its output, against the others'."""
    network = _network_output(data)
    if network is None or network[0] in (name, *loaded):
        return
    given, path = network
    if path is None:
        remedy = f'write "name": "{name}" in the params of its last layer'
        message = f"the network's output is called {given!a}"
        yield Finding(("model", "outputs", 0, "name"), message, remedy)
    elif name in loaded:
        remedy = did_you_mean(given, [name]) or f"write {name!r}"
        yield Finding(path, f"the model has no output {given!a}", remedy)
    else:
        remedy = did_you_mean(name, [given]) or f"write {given!r}"
        message = f"the network has no output {name!a}"
        yield Finding(("model", "outputs", 0, "name"), message, remedy)


def _network_output(data: Any) -> tuple[str, Path | None] | None:
    """The name of a Sequential's output, and where it stands if it was given one."""
    layers = value_at(data, LAYERS)
    if not isinstance(layers, list) or not layers:
        return None
    if not is_sequential(value_at(data, ("model", "network", "import"))):
        return None
    if not isinstance(layers[-1], dict) or not isinstance(layers[-1].get("params", {}), dict):
        return None
    given = given_name(layers[-1], "layer")
    if given is not None:
        usual = isinstance(given, str) and placeholder_name(given) is None
        # Names like Keras's own ("dense_7") are counted anew within the network.
        is_automatic = usual and _snake(layers[-1]) == given.rstrip("0123456789").rstrip("_")
        path = (*LAYERS, len(layers) - 1, "params", "name")
        return (given, path) if usual and not is_automatic else None
    name = _snake(layers[-1])
    alike = [layer for layer in layers[:-1] if _snake(layer) == name]
    if name is None or any(value_at(layer, ("params", "name")) for layer in alike):
        return None
    return (f"{name}_{len(alike)}" if alike else name), None


def given_name(block: Any, kind: str) -> Any:
    """The name that an import block gives what it builds, also where ``name`` is mistyped.

    Example:
        >>> given_name({"import": "AUC", "params": {"nmae": "area"}}, "metric")
        'area'
    """
    params, path = value_at(block, ("params",)), value_at(block, ("import",))
    if not isinstance(params, dict) or "name" in params or not isinstance(path, str):
        return value_at(params, ("name",))
    mistyped = [key for key in params if is_slip(key, "name")]
    if not mistyped:
        return None
    try:
        target = known_target(path, kind)
    except NotImportableError:
        return None
    if target is None:
        return None
    return next((params[key] for key in mistyped if key not in target.accepts.names), None)


def _snake(layer: Any) -> str | None:
    """The name that Keras gives a layer of its own that has none."""
    path = value_at(layer, ("import",))
    if not isinstance(path, str) or ("." in path and not is_from_keras(path)):
        return None
    try:
        target = known_target(path, "layer")
    except NotImportableError:
        return None
    return keras_index.snake_name(target.path.rpartition(".")[2]) if target else None
