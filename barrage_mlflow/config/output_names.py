"""Compares the names of outputs: the model's with the loader's and the network's.

The loader's are known where it is the built-in `KeySelector`, or `FeatureLoader` or another that
takes its params, the network's where it is the built-in `sequential_from_config`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.features import has_features
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.names import did_you_mean, is_slip, nearest, show_names
from barrage_mlflow.config.paths import Path, value_at
from barrage_mlflow.config.placeholders import placeholder_name
from barrage_mlflow.config.project_source import SourceReader
from barrage_mlflow.config.unknown_keys import LAYERS

_PARAMS: Path = ("dataset", "loader", "params")
_OUTPUTS = {"dataset.KeySelector": "outputs", "dataset.FeatureLoader": "targets"}
"""By the built-in loaders, the param that is by output."""


def output_name_findings(data: Any, reader: SourceReader | None = None) -> Iterator[Finding]:
    """Names of outputs that loader, model and network do not share; repeated names.

    The model's names count: another name is taken for a mistyped one of them.

    Args:
        data: a config; any JSON value is taken.
        reader: reads the source of a loader of the project's own; without one, none is known.

    Example:
        >>> params = {"inputs": {"x": "a"}, "outputs": {"speices": "b"}}
        >>> loader = {"import": "KeySelector", "params": params}
        >>> model = {"outputs": [{"name": "species", "loss": {"import": "mse"}}]}
        >>> for finding in output_name_findings({"dataset": {"loader": loader}, "model": model}):
        ...     print(finding.path[-1], finding)
        speices the model has no output 'speices'; did you mean 'species'?
    """
    yield from _repeated(data)
    names, loaded, network = output_names(data), loader_names(data, reader), _network_name(data)
    if len(names) == 1 and [network] == loaded != names:
        remedy = did_you_mean(names[0], loaded) or f"write {network!r}"
        message = f"neither the loader nor the network has an output {names[0]!a}"
        yield Finding(("model", "outputs", 0, "name"), message, remedy)
    elif names:
        yield from _loader_findings(data, names, reader)
        if len(names) == 1 and network is not None and network not in (*names, *loaded):
            remedy = did_you_mean(network, names) or f"write {names[0]!r}"
            where = (*LAYERS, len(value_at(data, LAYERS)) - 1, "params", "name")
            yield Finding(where, f"the model has no output {network!a}", remedy)


def outputs_of(data: Any) -> list[Any]:
    """The items of ``model.outputs``, whatever they are; none if that is no list.

    Example:
        >>> outputs_of({"model": {"outputs": [{"name": "y"}]}})
        [{'name': 'y'}]
    """
    outputs = value_at(data, ("model", "outputs"))
    return outputs if isinstance(outputs, list) else []


def output_names(data: Any) -> list[str]:
    """The names in ``model.outputs``; empty where one of them is not known.

    Example:
        >>> output_names({"model": {"outputs": [{"name": "y"}, {"name": "z"}]}})
        ['y', 'z']
    """
    names = [value_at(output, ("name",)) for output in outputs_of(data)]
    return [] if None in map(_plain, names) else list(dict.fromkeys(names))


def loader_names(data: Any, reader: SourceReader | None = None) -> list[str]:
    """The names of a loader's outputs; empty where they are not known.

    Args:
        data: a config; any JSON value is taken.
        reader: as `output_name_findings` takes it.

    Example:
        >>> loader = {"import": "KeySelector", "params": {"outputs": {"y": "column"}}}
        >>> loader_names({"dataset": {"loader": loader}})
        ['y']
    """
    return list(_selection(data, _outputs_param(data, reader)))


def named(block: Any) -> str | None:
    """The name that an import block gives what it builds, empty if it gives none.

    Returns:
        None where it is not known: a placeholder, or `name` is mistyped.

    Example:
        >>> named({"import": "AUC", "params": {"name": "area"}}), named({"import": "AUC"})
        ('area', '')
    """
    params = block.get("params", {}) if isinstance(block, dict) else None
    if isinstance(params, dict) and "name" in params:
        return _plain(params["name"])
    is_known = isinstance(params, dict) and not any(is_slip(key, "name") for key in params)
    return "" if is_known else None


def _plain(name: Any) -> str | None:
    """A name, None if it is a placeholder or no string."""
    return name if isinstance(name, str) and placeholder_name(name) is None else None


def _outputs_param(data: Any, reader: SourceReader | None) -> str:
    """The param of the loader that is by output; empty where it is not known."""
    path = value_at(data, (*_PARAMS[:-1], "import"))
    param = next((one for name, one in _OUTPUTS.items() if keras_index.means(path, name)), "")
    return param or ("targets" if reader is not None and has_features(data, reader) else "")


def _selection(data: Any, param: str) -> dict[str, Any]:
    found = value_at(data, (*_PARAMS, param)) if param else None
    return found if isinstance(found, dict) else {}


def _repeated(data: Any) -> Iterator[Finding]:
    seen: list[str] = []
    for i, output in enumerate(outputs_of(data)):
        name = _plain(value_at(output, ("name",)))
        if name in seen:
            message = f"expected a name of its own, got {name!a} again"
            yield Finding(("model", "outputs", i, "name"), message)
        seen += [name] if name else []


def _loader_findings(data: Any, names: list[str], reader: SourceReader | None) -> Iterator[Finding]:
    loaded, outputs = loader_names(data, reader), _outputs_param(data, reader)
    lacking = [name for name in names if name not in loaded]
    weights = "sample_weights" if outputs == "outputs" else ""
    for param, unused in ((outputs, lacking), (weights, [*names, *loaded])):
        path: Path = (*_PARAMS, param)
        for other in _selection(data, param):
            if other not in names and (param == outputs or other not in loaded):
                near = nearest(other, unused)
                remedy = f"did you mean {near!r}?" if near else f"it has {show_names(names)}"
                lacking = [name for name in lacking if name != near]
                message = f"the model has no output {other!a}"
                yield Finding((*path, other), message, remedy, is_key=True)
    # One of the project's own may load more than it is told to.
    for name in lacking if loader_names(data) else ():
        message = f"lacks {name!a}, which is an output of the model"
        yield Finding((*_PARAMS, outputs), message, f"give the column of {name!r}")


def _network_name(data: Any) -> str | None:
    """The name of the last layer of a Sequential, which is that of its output, if it is given one.

    One that Keras could have made, ``"dense_7"``, is none: the output then takes the config's name.
    """
    layers = value_at(data, LAYERS)
    is_known = keras_index.means(value_at(data, (*LAYERS[:2], "import")), keras_index.SEQUENTIAL)
    if not is_known or not isinstance(layers, list) or not layers:
        return None
    path, given = value_at(layers[-1], ("import",)), named(layers[-1])
    class_name = str(path).rpartition(".")[2]
    return given if given and not keras_index.is_made_up(given, class_name) else None
