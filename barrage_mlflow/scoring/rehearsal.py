"""Scoring in small before an hour of training is spent: what would break at the end breaks now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.dataset import RecordMode, Records
from barrage_mlflow.dataset.components.build import load_pipeline
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.scoring.network import Arrays
from barrage_mlflow.scoring.scorer import load_inputs, output_names

if TYPE_CHECKING:
    import keras

_COUNT = 5


def rehearse(
    config: Mapping[str, Any],
    network: keras.Model,
    input_specs: Mapping[str, ArraySpec],
    transformer_folder: Path,
    records: Records,
) -> Arrays:
    """Score a few records with the untrained network, to find now what would break at the end.

    A loader that fails without targets or a ``postprocess`` that breaks is found here. The network
    is left as it is.

    Args:
        config: the resolved config.
        network: dict-in, dict-out.
        input_specs: of the network's inputs.
        transformer_folder: where the fitted transformer was saved.
        records: train records, of the columns that scoring reads.

    Returns:
        The scores after ``postprocess``, arrays ``(records, ...)`` by output.

    Raises:
        RecordError: a record cannot be loaded or fed to the network.
        ComponentError: a component broke its contract.
        Exception: whatever loader or transformer raise, with the place as a note.
    """
    import keras

    pipeline = load_pipeline(config, RecordMode.SCORE, transformer_folder)
    few = records[:_COUNT]
    inputs = load_inputs(pipeline, few, input_specs)
    with keras.StatelessScope():  # a state of the network, or of Keras, is changed in here alone
        made = network(inputs, training=False)
        scores = {name: keras.ops.convert_to_numpy(made[name]) for name in output_names(config)}
    # An untrained network may give what a trained one does not and postprocess rightly refuses.
    mild = {name: np.full_like(array, 0.5) for name, array in scores.items()}
    failures = []
    for attempt in (scores, mild):
        try:
            return pipeline.postprocess(attempt, few)
        except Exception as error:
            failures.append(error)
    failures[0].add_note("found before training, on scores of the untrained network")
    raise failures[0]
