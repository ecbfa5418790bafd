"""The trained network on disk, as a TensorFlow SavedModel.

It loads without the code that built it, without Keras's own file format, and is traced for
any number of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import ArraySpec
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.scoring.tensorflow_alone import import_tensorflow_alone

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]

_ENDPOINT = "serving_default"
"""Under another name a SavedModel holds the function twice: TensorFlow Serving asks for this."""

_FEW = 8
"""Up to so many batches are called one by one: one call for all is made ready when more come."""


def save_network(
    network: keras.Model, folder: Path, input_specs: Mapping[str, ArraySpec], outputs: Iterable[str]
) -> None:
    """Export a network as a SavedModel, which loads without the code that built it.

    Names of inputs and outputs are replaced by their positions, since a SavedModel alters
    names that hold blanks or slashes.
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


Network = Callable[[Arrays, int], Arrays]
"""Scores arrays ``(records, ...)`` by input, so many records at once, to arrays by output."""


def load_network(folder: Path, inputs: list[str], outputs: list[str]) -> Network:
    """Load what :func:`save_network` wrote, as one compiled function.

    The function is traced with an open batch size: it never retraces for another one.

    Args:
        folder: the SavedModel.
        inputs: names in the order in which they were saved.
        outputs: likewise.

    Returns:
        A function of arrays ``(records, ...)`` by input and the number of records that go through
        the network at once, to arrays ``(records, ...)`` by output.

    Raises:
        ArtifactError: the folder holds no SavedModel.
    """
    import_tensorflow_alone()
    import tensorflow as tf

    try:
        saved = tf.saved_model.load(str(folder))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: no network here that TensorFlow can load") from error
    serve = saved.signatures[_ENDPOINT]
    takes = [serve.structured_input_signature[1][f"input_{i}"] for i in range(len(inputs))]
    specs = [tf.TensorSpec(spec.shape, spec.dtype) for spec in takes]
    gives = [serve.structured_outputs[f"output_{i}"] for i in range(len(outputs))]

    def score(*tensors: Any) -> list[Any]:
        # `saved` is named here to keep its variables alive as long as the function.
        assert saved is not None
        scores = serve(**{f"input_{i}": tensor for i, tensor in enumerate(tensors)})
        return [scores[f"output_{i}"] for i in range(len(outputs))]

    traced = tf.function(score, specs, autograph=False).get_concrete_function()
    captured = traced.captured_inputs
    # The op that a call of the function ends in: what Python does before takes longer than a
    # small network. Shapes and types of the arrays are those of the input specs.
    score_batch = partial(
        tf.raw_ops.StatefulPartitionedCall, f=traced, Tout=[spec.dtype for spec in gives]
    )
    score_batches = _batched(score, specs, gives)

    def run(x: Arrays, batch_size: int) -> Arrays:
        arrays = [x[name] for name in inputs]
        if len(arrays[0]) > _FEW * batch_size:
            scores = [score_batches(tf.constant(batch_size), *map(tf.convert_to_tensor, arrays))]
        else:
            scores = [
                score_batch(args=[*(array[i : i + batch_size] for array in arrays), *captured])
                for i in range(0, len(arrays[0]), batch_size)
            ]
        return {
            name: np.concatenate([batch[place].numpy() for batch in scores])
            for place, name in enumerate(outputs)
        }

    return run


def _batched(
    score: Callable[..., list[Any]], takes: Sequence[Any], gives: Sequence[Any]
) -> Callable[..., list[Any]]:
    """The batches of many records in one call of TensorFlow, which costs as much as a batch.

    Args:
        score: scores a batch.
        takes: specs of its tensors.
        gives: specs of the scores.
    """
    import tensorflow as tf

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((), tf.int32), *takes], autograph=False
    )
    def score_batches(size: Any, *tensors: Any) -> list[Any]:
        steps = (tf.shape(tensors[0])[0] + size - 1) // size
        scores = [
            tf.TensorArray(spec.dtype, size=steps, infer_shape=False, element_shape=spec.shape)
            for spec in gives
        ]

        def body(index: Any, scores: list[Any]) -> tuple[Any, list[Any]]:
            batch = [tensor[index * size : (index + 1) * size] for tensor in tensors]
            parts = zip(scores, score(*batch), strict=True)
            return index + 1, [array.write(index, part) for array, part in parts]

        _, scores = tf.while_loop(lambda index, _: index < steps, body, [tf.constant(0), scores])
        return [array.concat() for array in scores]

    traced: Callable[..., list[Any]] = score_batches
    return traced
