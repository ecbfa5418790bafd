"""The trained network, in memory and on disk, where it is a TensorFlow SavedModel.

That loads without the code that built it, without Keras's own file format, and is traced for
any number of records.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.scoring.tensorflow_alone import load_tensorflow
from barrage_mlflow.workspace import layout as artifacts

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]

Scored = tuple[Arrays, Arrays]
"""Arrays ``(records, ...)`` by output; and of those outputs of which some timesteps do not count,
masks ``(records, time) bool``."""

Network = Callable[[Arrays, int], Scored]
"""Scores arrays ``(records, ...)`` by input, so many records at once."""

_ENDPOINT = "serving_default"
"""Under another name a SavedModel contains the function twice: TensorFlow Serving asks for this."""


def save_network(
    network: keras.Model, folder: Path, input_specs: Mapping[str, ArraySpec], outputs: Sequence[str]
) -> Network:
    """Export a network as a SavedModel, which loads without the code that built it.

    Names of inputs, outputs and variables are replaced by their positions, since a SavedModel
    alters or refuses names with blanks or slashes.

    Args:
        network: dict-in, dict-out.
        folder: new folder to write to.
        input_specs: of its inputs, in the order in which they are to be loaded.
        outputs: names of its outputs, likewise.

    Returns:
        What was saved, as it scores in this process.
    """
    import keras
    import tensorflow as tf

    def serve(*arrays: Any) -> dict[str, Any]:
        scores = network(dict(zip(input_specs, arrays, strict=True)), training=False)
        masks = [getattr(scores[name], "_keras_mask", None) for name in outputs]
        return {
            **{f"output_{i}": scores[name] for i, name in enumerate(outputs)},
            **{f"mask_{i}": mask for i, mask in enumerate(masks) if mask is not None},
        }

    archive = keras.export.ExportArchive()
    function = archive.add_endpoint(
        _ENDPOINT,
        serve,
        input_signature=[
            tf.TensorSpec((None, *spec.shape), spec.dtype, name=f"input_{i}")
            for i, spec in enumerate(input_specs.values())
        ],
    )
    # The archive finds the variables by itself. Other resources, the tables of lookup layers, it
    # finds by tracing each layer alone, which takes longer than all the rest.
    traced = function.get_concrete_function()
    for i, variable in enumerate(traced.variables):
        variable._handle_name = f"variable_{i}:0"
    variables = {id(variable.handle) for variable in traced.variables}
    resources = {id(each) for each in traced.captured_inputs if each.dtype == tf.resource}
    if resources - variables:
        archive.track(network)
    archive.write_out(str(folder), verbose=False)

    def run(x: Arrays, batch_size: int) -> Scored:
        arrays = [x[name] for name in input_specs]
        return _scored(lambda batch: function(*batch), arrays, batch_size, outputs)

    return run


def load_network(folder: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Network:
    """Load what :func:`save_network` wrote, as one compiled function.

    The function is traced with an open batch size: it never retraces for another one.

    Args:
        folder: the SavedModel.
        inputs: names in the order in which they were saved.
        outputs: likewise.

    Raises:
        ArtifactError: the folder is no SavedModel, or is damaged.
    """
    load_tensorflow()
    import tensorflow as tf

    with artifacts.undamaged(folder):
        saved = tf.saved_model.load(str(folder))
        serve = saved.signatures[_ENDPOINT]
    # In a flat call, inputs and outputs are in the order of their keys: 0, 1, 10, 11, 2 ...
    order = [inputs[place] for place in sorted(range(len(inputs)), key=str)]
    keys, captured = sorted(serve.structured_outputs), serve.captured_inputs
    dtypes = [serve.structured_outputs[key].dtype for key in keys]
    # The op that a call of the function ends in, but run in this thread: one record takes a
    # fraction of the time. Shapes and types of the arrays are those of the input specs.
    score_batch = partial(tf.raw_ops.StatefulPartitionedCall, f=serve, Tout=dtypes)

    def score(batch: Sequence[np.ndarray]) -> Mapping[str, Any]:
        return dict(zip(keys, score_batch(args=[*batch, *captured]), strict=True))

    def run(x: Arrays, batch_size: int) -> Scored:
        assert saved is not None  # named here, which keeps its variables alive
        arrays = [x[name] for name in order]
        return _scored(score, arrays, batch_size, outputs)

    return run


def _scored(
    score: Callable[[Sequence[np.ndarray]], Mapping[str, Any]],
    arrays: Sequence[np.ndarray],
    batch_size: int,
    outputs: Sequence[str],
) -> Scored:
    """Score arrays, so many records at once, by a function that answers by position."""
    records, batch_size = len(arrays[0]), max(batch_size, 2)
    # One alone is rounded otherwise than among others, so a batch of one is made one of two.
    if records % batch_size == 1:
        arrays = [np.concatenate([array, array[-1:]]) for array in arrays]
    batches = [
        score([array[i : i + batch_size] for array in arrays])
        for i in range(0, records, batch_size)
    ]
    scored = {
        key: np.concatenate([batch[key].numpy() for batch in batches])[:records]
        for key in batches[0]
    }
    scores = {name: scored[f"output_{i}"] for i, name in enumerate(outputs)}
    masks = {name: scored.get(f"mask_{i}") for i, name in enumerate(outputs)}
    return scores, {name: mask for name, mask in masks.items() if mask is not None}
