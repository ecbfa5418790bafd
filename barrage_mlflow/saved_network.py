"""The trained network on disk, as a TensorFlow SavedModel.

It loads without the code that built it, without Keras's own file format, and is traced for
any number of records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import ArraySpec
from barrage_mlflow.errors import ArtifactError

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]


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
    archive.track(network)
    archive.add_endpoint(
        "serve",
        serve,
        input_signature=[
            tf.TensorSpec((None, *spec.shape), spec.dtype, name=f"input_{i}")
            for i, spec in enumerate(input_specs.values())
        ],
    )
    archive.write_out(str(folder), verbose=False)


def load_network(folder: Path, inputs: list[str], outputs: list[str]) -> Callable[[Arrays], Arrays]:
    """Load what :func:`save_network` wrote, as one compiled function.

    The function is traced with an open batch size: it never retraces for another one.

    Args:
        folder: the SavedModel.
        inputs: names in the order in which they were saved.
        outputs: likewise.

    Returns:
        A function from arrays ``(batch, ...)`` by input to arrays ``(batch, ...)`` by output.

    Raises:
        ArtifactError: the folder holds no SavedModel.
    """
    import tensorflow as tf

    try:
        saved = tf.saved_model.load(str(folder))
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{folder}: no network here that TensorFlow can load") from error
    serve = saved.signatures["serving_default"]

    def run(x: Arrays) -> Arrays:
        # `saved` is named here to keep its variables alive as long as the function.
        assert saved is not None
        tensors = {f"input_{i}": tf.convert_to_tensor(x[name]) for i, name in enumerate(inputs)}
        scores = serve(**tensors)
        return {name: scores[f"output_{i}"].numpy() for i, name in enumerate(outputs)}

    return run
