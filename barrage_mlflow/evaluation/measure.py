"""What a packaged model's own losses and metrics come to on records, as validation in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barrage_mlflow.dataset import RecordMode
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.dataset.types import length
from barrage_mlflow.scoring.network import Arrays, Scored
from barrage_mlflow.scoring.scorer import ProcessScorer, Scorer

if TYPE_CHECKING:
    import keras

    from barrage_mlflow.model.objective import Objective

_BATCH = 256
"""Records in a batch, whatever the training's was: fewer calls for the same figures."""


class Evaluation(NamedTuple):
    """What :func:`evaluate` found.

    Attributes:
        metrics: every loss and metric, by its name in training without ``val_``.
        paths: where the config defines each, by the same names: a JSON path.
        targets: what was measured against, by output: ``(values,)``, those of all records in a row.
        weights: likewise the sample weights; empty if there are none.
    """

    metrics: dict[str, float]
    paths: dict[str, str]
    targets: Arrays
    weights: Arrays


def evaluate(scorer: Scorer, records: Any) -> Evaluation:
    """Measure a model by the losses, loss weights, metrics and sample weights of its config.

    What layers themselves add to the loss in training (regularisation) or measure is left out.

    Args:
        scorer: the model.
        records: whatever :meth:`Records.read` takes, with targets.

    Raises:
        RecordError: there are no records, or one cannot be loaded or fed to the network.
        ComponentError: a component broke its contract, or there are no targets that fit the losses.
        Exception: whatever loader and transformer raise, with the place as a note.

    Example:
        >>> evaluate(Scorer.load(folder), "test.csv").metrics  # doctest: +SKIP
        {'loss': 0.0813, 'accuracy': 0.9667}
    """
    records = scorer.read(records)
    if isinstance(scorer, ProcessScorer):
        return Evaluation(*scorer.call("evaluate", records))
    pipeline, specs = scorer.load_pipeline(RecordMode.VALIDATION), scorer.input_specs
    first, *_ = next(iter(Batches(records[:1], pipeline, specs, 1)))
    scores, masks = scorer.network(first, 1)
    network, objective = _measuring(scorer.config, pipeline.transformer.network_params, scores)
    # With a mask, the loss of a batch is the mean over what counts in it.
    size = scorer.config["solver"]["batch_size"] if masks else _BATCH
    blocks = Blocks(iter(Batches(records, pipeline, specs, size, ranges=objective.ranges)))
    seen: list[tuple[Arrays, Arrays]] = []
    while (block := blocks.take(size)) is not None:
        x, y, w = (*block, {})[:3]
        if not seen:
            objective.check_targets(y, w)
            objective.compile(network, "sgd")
        y, fitted = objective.conform(y, w)
        seen.append((y, fitted or {}))
        predicted = _tensors(scorer.network(x, size))
        loss = network.compute_loss(None, y, predicted, fitted, training=False)
        network.metrics[0].update_state(loss, sample_weight=length(block))
        values = network.compute_metrics(None, y, predicted, fitted)
    metrics = {name: float(values[name]) for name in objective.paths}
    targets, weights = (_in_a_row(arrays) for arrays in zip(*seen, strict=True))
    return Evaluation(metrics, objective.paths, targets, weights)


def _measuring(
    config: Mapping[str, Any], params: Mapping[str, Any], scores: Arrays
) -> tuple[keras.Model, Objective]:
    """A network that gives such scores back, and its objective."""
    import keras

    from barrage_mlflow.model.dict_network import DictNetwork
    from barrage_mlflow.model.objective import Objective

    tensors = {
        # By the last axis, targets of one number differ from vectors; others may vary.
        name: keras.Input([*[None] * (array.ndim - 2), *array.shape[1:][-1:]], dtype=array.dtype)
        for name, array in scores.items()
    }
    network = DictNetwork(inputs=[*tensors.values()], outputs=tensors)
    return network, Objective(config, network, params)


def _tensors(scored: Scored) -> dict[str, Any]:
    """Scores as tensors, with their masks where losses and metrics look for them."""
    import keras

    scores, masks = scored
    tensors = {name: keras.ops.convert_to_tensor(array) for name, array in scores.items()}
    for name, mask in masks.items():
        tensors[name]._keras_mask = mask
    return tensors


def _in_a_row(blocks: tuple[Arrays, ...]) -> Arrays:
    names = blocks[0]
    return {name: np.concatenate([block[name].ravel() for block in blocks]) for name in names}
