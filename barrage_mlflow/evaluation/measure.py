"""What a packaged model's own losses and metrics come to on records, as validation in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barrage_mlflow.dataset import RecordMode
from barrage_mlflow.dataset.feeding.batches import Batches
from barrage_mlflow.dataset.feeding.blocks import Blocks
from barrage_mlflow.scoring.network import Arrays, Scored
from barrage_mlflow.scoring.scorer import ProcessScorer, Scorer

if TYPE_CHECKING:
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
    import keras

    pipeline, specs = scorer.load_pipeline(RecordMode.VALIDATION), scorer.input_specs
    first, *_ = next(iter(Batches(records[:1], pipeline, specs, 1)))
    scores, masks = scorer.network(first, 1)
    objective = _objective(scorer.config, pipeline.transformer.network_params, scores)
    # With a mask, the loss of a batch is the mean over what counts in it.
    size = scorer.config["solver"]["batch_size"] if masks else _BATCH
    blocks = Blocks(iter(Batches(records, pipeline, specs, size, ranges=objective.ranges)))
    losses = {name: keras.metrics.Mean() for name in scorer.outputs}
    seen: list[tuple[Arrays, Arrays]] = []
    while (block := blocks.take(size)) is not None:
        x, y, w = (*block, {})[:3]
        if not seen:
            objective.check_targets(y, w)
        y, fitted = objective.conform(y, w)
        seen.append((y, fitted or {}))
        _update(objective, losses, scorer.network(x, size), *seen[-1])
    targets, weights = (_in_a_row(arrays) for arrays in zip(*seen, strict=True))
    metrics = dict(zip(objective.paths, _values(objective, losses), strict=True))
    return Evaluation(metrics, objective.paths, targets, weights)


def _objective(config: Mapping[str, Any], params: Mapping[str, Any], scores: Arrays) -> Objective:
    """The objective of a network that gives such scores."""
    import keras

    from barrage_mlflow.model.objective import Objective

    tensors = {
        # By the last axis, targets of one number differ from vectors; others may vary.
        name: keras.KerasTensor(
            (None, *[None] * (array.ndim - 2), *array.shape[1:][-1:]), array.dtype
        )
        for name, array in scores.items()
    }
    return Objective(config, SimpleNamespace(output=tensors, metrics=[]), params)


def _update(
    objective: Objective, losses: Mapping[str, Any], scored: Scored, y: Arrays, w: Arrays
) -> None:
    """Count a batch in; metrics of outputs that have no weights get none, as in training."""
    import keras

    scores, masks = scored
    for name, output in objective.outputs.items():
        predicted = keras.ops.convert_to_tensor(scores[name])
        predicted._keras_mask = masks.get(name)  # where losses and metrics look for it
        value = output.loss(y[name], predicted, w.get(name))
        losses[name].update_state(value, sample_weight=len(y[name]))
        given = w.get(name) if name in objective.weighted else None
        for metric in output.metrics.values():
            metric.update_state(y[name], predicted, given)


def _values(objective: Objective, losses: Mapping[str, Any]) -> Iterator[float]:
    """What each of the objective's paths came to, in their order."""
    outputs = objective.outputs
    found = {name: float(losses[name].result()) for name in outputs}
    yield sum(outputs[name].loss_weight * loss for name, loss in found.items())
    for name, output in outputs.items():
        if len(outputs) > 1:
            yield found[name]
        for metric in output.metrics.values():
            yield float(metric.result())


def _in_a_row(blocks: tuple[Arrays, ...]) -> Arrays:
    names = blocks[0]
    return {name: np.concatenate([block[name].ravel() for block in blocks]) for name in names}
