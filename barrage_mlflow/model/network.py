"""Builds the network that a config names, and gives it dicts for inputs and outputs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.config.import_strings import find_target
from barrage_mlflow.config.keras_index import is_made_up, scope_name
from barrage_mlflow.config.names import show_names
from barrage_mlflow.config.placeholders import fill_model, placeholder_names
from barrage_mlflow.dataset import DataRecord
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.model.dict_network import DictNetwork

logger = logging.getLogger(__name__)

_PATH = "$.model.network"
_STEPS = ("train_step", "test_step", "compute_loss", "compute_metrics")


def build_network(
    config: Mapping[str, Any], network_params: Mapping[str, Any], example: DataRecord
) -> keras.Model:
    """Builds the config's network as one that takes and gives dicts.

    A functional or sequential network is rewired from its own tensors: layers and weights are
    the same, nothing is nested. A subclassed one is called once, on inputs of the example's
    names, shapes and dtypes, and becomes the single layer of the wrapping network.

    An output is called by its key in the returned dict, else by the layer that makes it; an
    input by its key, else by its ``Input``. The only input of a network, if nobody named it,
    takes the name that the loader gives, the only output that of the config. Of several, those
    that nobody named are called as Keras calls them (``dense_7``), which counts all that the
    process has built.

    Args:
        config: a resolved config.
        network_params: the fitted transformer's: for placeholders, and for the parameters of a
            function that the config leaves out, Keras's own functions excepted.
        example: some transformed records, ``(batch, ...)`` arrays by input and output.

    Raises:
        ConfigError: placeholders cannot be filled.
        ComponentError: what was built is no network that can be trained: its outputs have no
            names, it is not callable on the example, or it brings its own training step.

    Example:
        >>> layers = [{"import": "Dense", "params": {"units": "{{classes}}", "name": "species"}}]
        >>> config = {"model": {
        ...     "network": {
        ...         "import": "barrage_mlflow.model.sequential_from_config",
        ...         "params": {"layers": layers},
        ...     },
        ...     "outputs": [{"name": "species", "loss": {"import": "mse"}}],
        ... }}
        >>> x = {"flower": np.zeros((2, 4), "float32")}
        >>> network = build_network(config, {"classes": 3}, (x,))
        >>> list(network.input), network.output["species"].shape
        (['flower'], (None, 3))
    """
    model = fill_model(config, network_params)
    read = set(placeholder_names(config["model"]))
    wanted = [output["name"] for output in model["outputs"]]
    policy_before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(config.get("solver", {}).get("dtype_policy") or policy_before)
    try:
        block = _with_learnt(model["network"], read, network_params)
        network = build_import(block, "network", _PATH)
        _check_methods(network)
        return as_dict_network(network, example[0], wanted)
    finally:
        keras.config.set_dtype_policy(policy_before)


def _with_learnt(
    block: Mapping[str, Any], read: set[str], learnt: Mapping[str, Any]
) -> dict[str, Any]:
    """The network's block, its params those that it takes of the config and of the transformer."""
    target = find_target(block["import"], "network")
    names, params = target.accepts.names, block.get("params") or {}
    if not target.accepts.any_name:
        # Those that are there for placeholders alone are none of the builder's.
        params = {n: value for n, value in params.items() if n in names or n not in read}
    open_names = [n for n in names if target.takes_learnt and n not in params]
    passed = {n: learnt[n] for n in open_names if n in learnt}
    unused = [n for n in learnt if n not in passed and n not in read]
    if passed:
        logger.info("params of the network that come from the transformer: %s", show_names(passed))
    if unused:
        logger.warning("nothing takes these network_params: %s", show_names(unused))
    return {**block, "params": {**params, **passed}}


def array_specs(tensors: Mapping[str, keras.KerasTensor]) -> dict[str, ArraySpec]:
    """What arrays the inputs of a network take, or its outputs are, without the batch axis.

    Args:
        tensors: ``network.input`` or ``network.output`` of what :func:`build_network` gives.

    Example:
        >>> array_specs({"flower": keras.Input((4,), name="flower")})
        {'flower': ArraySpec(shape=(4,), dtype='float32')}
    """
    return {
        name: ArraySpec(tuple(tensor.shape[1:]), str(tensor.dtype))
        for name, tensor in tensors.items()
    }


def as_dict_network(
    network: keras.Model, x: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> DictNetwork:
    """Wraps a network as dict-in, dict-out.

    Args:
        network: functional, sequential or subclassed.
        x: arrays by input, ``(batch, ...)``.
        wanted: output names of the config.

    Raises:
        ComponentError: its outputs have no names, or it is not callable on ``x``.

    Example:
        >>> network = keras.Sequential([keras.layers.Dense(3, name="species")])
        >>> as_dict_network(network, {"flower": np.zeros((2, 4))}, ["species"]).output.keys()
        dict_keys(['species'])
    """
    for layer in network._flatten_layers():
        layer.name = scope_name(layer.name)
    if isinstance(network, keras.Sequential):
        _build_sequential(network, x)
    if isinstance(network, (keras.Sequential, keras.Function)):
        inputs, outputs = _own_tensors(network, x, wanted)
    else:
        inputs, outputs = _traced_tensors(network, x)
    outputs = {name: _as_float32(name, tensor) for name, tensor in outputs.items()}
    for name, tensor in inputs.items():
        tensor.name = name  # as Keras wants it of the tensors of a dict
    return DictNetwork(inputs=inputs, outputs=outputs, name=network.name)


Tensors = dict[str, keras.KerasTensor]


def _as_float32(name: str, tensor: keras.KerasTensor) -> keras.KerasTensor:
    """An output of mixed precision in what losses are computed in, and JSON can write."""
    if tensor.dtype not in ("float16", "bfloat16"):
        return tensor
    name = scope_name(f"{name}_as_float32")
    return keras.layers.Activation("linear", dtype="float32", name=name)(tensor)


def _build_sequential(network: keras.Sequential, x: Mapping[str, np.ndarray]) -> None:
    if network.layers and not network.built and len(x) == 1:
        ((name, array),) = x.items()
        try:
            network.build((None, *array.shape[1:]))
        except Exception as error:
            error.add_note(f"in {_PATH}, on an input of '{name}' {array.shape} {array.dtype}")
            raise
    if not network.built:
        raise ComponentError(
            f"{_PATH}: expected a network with one input and at least one layer, got a Sequential "
            f"of {len(network.layers)} layers and the loader's inputs {show_names(x)}; "
            "start it with an Input layer"
        )


def _own_tensors(
    network: keras.Model, x: Mapping[str, np.ndarray], wanted: Sequence[str]
) -> tuple[Tensors, Tensors]:
    """The tensors that a network begins and ends in, by name."""
    if isinstance(network, keras.Sequential):
        network = keras.Model(network.inputs, network.outputs)
    if isinstance(network.input, dict):
        inputs = _flat_dict(network.input, "inputs")
    else:
        names = [tensor._keras_history.operation.name for tensor in network.inputs]
        if len(names) == len(x) == 1 and is_made_up(names[0], "InputLayer"):
            names = list(x)
        inputs = _named(names, network.inputs, x, "inputs")
    if isinstance(network.output, dict):
        return inputs, _flat_dict(network.output, "outputs")
    names = list(network.output_names)
    kinds = {scope_name(each.name): type(each).__name__ for each in network.operations}
    if len(names) == len(wanted) == 1 and is_made_up(names[0], kinds[scope_name(names[0])]):
        names = list(wanted)
    return inputs, _named(names, network.outputs, wanted, "outputs")


def _traced_tensors(network: keras.Model, x: Mapping[str, np.ndarray]) -> tuple[Tensors, Tensors]:
    inputs = {
        name: keras.Input(array.shape[1:], dtype=_dtype(array), name=scope_name(name))
        for name, array in x.items()
    }
    return inputs, _flat_dict(_call(network, inputs), "outputs")


def _call(network: keras.Model, inputs: Tensors) -> Any:
    """Calls a subclassed network on its inputs; one with a single input may take it bare."""
    try:
        with warnings.catch_warnings():
            # Keras gives them when a call breaks; the call's own error is clearer.
            warnings.filterwarnings("ignore", ".*it has unbuilt state", UserWarning)
            try:
                return network(inputs)
            except Exception:
                if len(inputs) > 1:
                    raise
                return network(next(iter(inputs.values())))
    except Exception as error:
        error.add_note(
            f"in {_PATH}, call of {type(network).__name__} on inputs {show_names(inputs)}"
        )
        raise


def _check_methods(network: keras.Model) -> None:
    rewired = isinstance(network, (keras.Sequential, keras.Function))
    passed_over = (*_STEPS, "call") if rewired else _STEPS
    own = [name for name in passed_over if _is_overridden(type(network), name)]
    if own:
        raise ComponentError(
            f"{_PATH}: expected a network that leaves training to its config, "
            f"got {type(network).__name__}, whose own {', '.join(own)} would never be called; "
            "write it as a loss, a metric or a layer (which may call add_loss)"
        )


def _is_overridden(cls: type, method: str) -> bool:
    """Whether a method is a project's own, and neither Keras's nor this package's."""
    owner = next(base for base in cls.__mro__ if method in vars(base))
    return owner.__module__.partition(".")[0] != "keras" and owner is not DictNetwork


def _flat_dict(tensors: Any, what: str) -> Tensors:
    is_flat = isinstance(tensors, dict) and all(
        isinstance(name, str) and keras.utils.is_keras_tensor(tensor)
        for name, tensor in tensors.items()
    )
    if is_flat and tensors:
        return dict(tensors)
    got = type(tensors).__name__
    if isinstance(tensors, dict):
        got = str({name: type(tensor).__name__ for name, tensor in tensors.items()})
    raise ComponentError(
        f"{_PATH}: expected a dict of one tensor each as {what}, got {got}; return a dict by "
        'name, such as {"species": tensor}'
    )


def _named(
    names: Sequence[str], tensors: Sequence[keras.KerasTensor], known: Iterable[str], what: str
) -> Tensors:
    """Tensors by their names, or by the known ones whose scopes these are."""
    by_scope = {scope_name(name): name for name in known}
    names = [by_scope.get(scope_name(name), name) for name in names]
    named = dict(zip(names, tensors, strict=True))
    if len(named) < len(names):
        raise ComponentError(
            f"{_PATH}: expected {what} of different names, got {show_names(names)}; "
            f"give the {what} as a dict by name"
        )
    return named


def _dtype(array: np.ndarray) -> str:
    if array.dtype.kind in "OSUT":
        return "string"
    return "float32" if array.dtype == np.float64 else array.dtype.name
