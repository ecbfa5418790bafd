"""A network from the config alone: layers listed as import blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

import keras

from barrage_mlflow.config import build_import
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.model.names import is_made_up, listed, snake_case

_PATH = "$.model.network.params.layers"


def sequential_from_config(layers: Sequence[Mapping[str, Any]]) -> keras.Model:
    """Builds a network that passes its one input through a list of layers.

    Layers are found in ``keras.layers`` by their short names. An ``Input`` may come first; its
    ``shape`` is a list or, for one axis, an integer. Without one the shape is that of the first
    records. The ``name`` of the ``Input`` is the name of the network's input, that of the last
    layer the name of its output. A layer without a ``name`` is called after its class, with a
    count of this network's own: ``dense``, ``dense_1``.

    Args:
        layers: import blocks, ``{"import": "Dense", "params": {"units": 3}}``.

    Raises:
        ComponentError: there is no layer, a block is no import block, an ``Input`` is
            elsewhere than first, or two layers have one name.
        ImportPathError: a path names no layer.

    Example:
        >>> network = sequential_from_config([
        ...     {"import": "Input", "params": {"shape": 4, "name": "flower"}},
        ...     {"import": "Dense", "params": {"units": 8, "activation": "relu"}},
        ...     {"import": "Dense", "params": {"units": 3, "name": "species"}},
        ... ])
        >>> [layer.name for layer in network.layers]
        ['flower', 'dense', 'species']
    """
    if isinstance(layers, (str, Mapping)) or not isinstance(layers, Sequence):
        raise ComponentError(
            f"{_PATH}: expected a list of import blocks, got {type(layers).__name__}; "
            'write [{"import": "Dense", "params": {"units": 3}}]'
        )
    built = [_layer(block, f"{_PATH}[{place}]") for place, block in enumerate(layers)]
    _name_layers(built, layers)
    is_input = [isinstance(layer, keras.layers.InputLayer) for layer in built]
    if all(is_input):
        raise ComponentError(f"{_PATH}: expected at least one layer besides Input, got none")
    if any(is_input[1:]):
        raise ComponentError(
            f"{_PATH}[{is_input.index(True, 1)}]: expected a layer, got an Input, which may only "
            "come first"
        )
    repeated = {name for name, count in Counter(layer.name for layer in built).items() if count > 1}
    if repeated:
        raise ComponentError(
            f"{_PATH}: expected layers of different names, got {listed(repeated)} more than once; "
            'give each its own "name" param'
        )
    if not is_input[0]:
        return keras.Sequential(built)
    inputs = tensor = built[0].output
    for place, layer in enumerate(built[1:], start=1):
        try:
            tensor = layer(tensor)
        except Exception as error:
            error.add_note(f"in {_PATH}[{place}], layer {layers[place]['import']}")
            raise
    return keras.Model(inputs, tensor)


def _layer(block: Mapping[str, Any], path: str) -> keras.layers.Layer:
    if not isinstance(block, Mapping) or not isinstance(block.get("import"), str):
        raise ComponentError(
            f'{path}: expected an import block, got {block!r}; write {{"import": "Dense", …}}'
        )
    return build_import(block, "layer", path)


def _name_layers(built: Sequence[keras.layers.Layer], layers: Sequence[Mapping[str, Any]]) -> None:
    """Count the layers that nobody named anew, aside of the names that somebody chose."""
    unnamed = []
    taken = set()
    for layer, block in zip(built, layers, strict=True):
        chosen = (block.get("params") or {}).get("name")
        if chosen or not is_made_up(layer.name, type(layer).__name__):
            taken.add(layer.name)
        else:
            unnamed.append(layer)
    for layer in unnamed:
        stem = snake_case(type(layer).__name__)
        free = (f"{stem}_{number}" if number else stem for number in count())
        # Set now, not passed to the constructor: a project's own layer need not take a name.
        layer.name = next(name for name in free if name not in taken)
        taken.add(layer.name)
