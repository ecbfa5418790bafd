"""The trained network, in memory and on disk, where it is a TensorFlow SavedModel.

That loads without the code that built it, without Keras's own file format, and is traced for
any number of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

Network = Callable[[Arrays, int], Arrays]
"""Scores arrays ``(records, ...)`` by input, so many records at once, to arrays by output."""

_ENDPOINT = "serving_default"
"""Under another name a SavedModel contains the function twice: TensorFlow Serving asks for this."""


def network_in_memory(network: keras.Model, outputs: Sequence[str]) -> Network:
    """Make a scoring function of a Keras network, which runs all records at once.

    Args:
        network: dict-in, dict-out.
        outputs: names of its outputs.
    """
    import keras

    def run(x: Arrays, batch_size: int) -> Arrays:
        scores = network(x, training=False)
        return {name: keras.ops.convert_to_numpy(scores[name]) for name in outputs}

    return run


def save_network(
    network: keras.Model, folder: Path, input_specs: Mapping[str, ArraySpec], outputs: Iterable[str]
) -> None:
    """Export a network as a SavedModel, which loads without the code that built it.

    Names of inputs and outputs are replaced by their positions, since a SavedModel alters
    names with blanks or slashes.

    Args:
        network: dict-in, dict-out.
        folder: new folder to write to.
        input_specs: of its inputs, in the order in which they are to be loaded.
        outputs: names of its outputs, likewise.
    """
    import keras
    import tensorflow as tf

    inputs, outputs = list(input_specs), list(outputs)

    def serve(*arrays: Any) -> dict[str, Any]:
        scores = network(dict(zip(inputs, arrays, strict=True)), training=False)
        return {f"output_{i}": scores[name] for i, name in enumerate(outputs)}

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
    variables = {id(variable.handle) for variable in traced.variables}
    resources = {id(each) for each in traced.captured_inputs if each.dtype == tf.resource}
    if resources - variables:
        archive.track(network)
    archive.write_out(str(folder), verbose=False)


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
    given = [serve.structured_input_signature[1][f"input_{i}"] for i in range(len(inputs))]
    dtypes = [serve.structured_outputs[f"output_{i}"].dtype for i in range(len(outputs))]

    def score(*tensors: Any) -> list[Any]:
        # `saved` is named here to keep its variables alive as long as the function.
        assert saved is not None
        scores = serve(**{f"input_{i}": tensor for i, tensor in enumerate(tensors)})
        return [scores[f"output_{i}"] for i in range(len(outputs))]

    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in given]
    traced = tf.function(score, specs, autograph=False).get_concrete_function()
    captured = traced.captured_inputs
    # The op that a call of the function ends in, but run in this thread: one record takes a
    # fraction of the time. Shapes and types of the arrays are those of the input specs.
    score_batch = partial(tf.raw_ops.StatefulPartitionedCall, f=traced, Tout=dtypes)

    def run(x: Arrays, batch_size: int) -> Arrays:
        arrays = [x[name] for name in inputs]
        batches = [
            score_batch(args=[*(array[i : i + batch_size] for array in arrays), *captured])
            for i in range(0, len(arrays[0]), batch_size)
        ]
        return {
            name: np.concatenate([batch[place].numpy() for batch in batches])
            for place, name in enumerate(outputs)
        }

    return run
