"""A network from the config alone: layers listed as import blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from barrage_mlflow.config.import_blocks import build_import

_PATH = "$.model.network.params.layers"


def sequential_from_config(layers: Sequence[Mapping[str, Any]]) -> keras.Sequential:
    """Builds a network that passes its one input through a list of layers.

    Layers are found in ``keras.layers`` by their short names. An ``Input`` may come first; its
    ``shape`` is a list or, for one axis, an integer. Without one the shape is that of the first
    records. The ``name`` of the ``Input`` is the name of the network's input, that of the last
    layer the name of its output. A layer without a ``name`` gets the one that Keras gives it.

    Args:
        layers: import blocks, ``{"import": "Dense", "params": {"units": 3}}``.

    Raises:
        ImportPathError: a path names no layer.
        ComponentError: a layer does not take its params.
        Exception: what Keras or a layer raises: two layers have one name, or one does not take
            what the layer before it gives.

    Example:
        >>> network = sequential_from_config([
        ...     {"import": "Input", "params": {"shape": 4, "name": "flower"}},
        ...     {"import": "Dense", "params": {"units": 8, "name": "hidden"}},
        ...     {"import": "Dense", "params": {"units": 3, "name": "species"}},
        ... ])
        >>> [layer.name for layer in network.layers]
        ['hidden', 'species']
    """
    built = [build_import(block, "layer", f"{_PATH}[{i}]") for i, block in enumerate(layers)]
    try:
        return keras.Sequential(built)
    except Exception as error:
        error.add_note(f"in {_PATH}")
        raise
