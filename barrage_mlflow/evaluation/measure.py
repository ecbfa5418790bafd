"""What a packaged model's own losses and metrics come to on records, as validation in training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barrage_mlflow.dataset import ArraySpec, Blocks, Pipeline, Records, ValidationBatches
from barrage_mlflow.scoring.saved_network import Arrays, Network

if TYPE_CHECKING:
    from barrage_mlflow.model import Objective

_BATCH = 256
"""Records in a batch, whatever the training's was: two models are to be measured alike."""


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


def evaluate(
    config: Mapping[str, Any],
    pipeline: Pipeline,
    network: Network,
    input_specs: Mapping[str, ArraySpec],
    records: Records,
) -> Evaluation:
    """Measure a network by the losses, loss weights, metrics and sample weights of its config.

    What layers themselves add to the loss in training (regularisation) or measure is left out.

    Args:
        config: the resolved config.
        pipeline: in validation mode, with the fitted transformer.
        network: the trained one.
        input_specs: of its inputs.
        records: with targets.

    Raises:
        RecordError: there are no records, or one cannot be fed to the network.
        ComponentError: a component broke its contract, or there are no targets that fit the losses.
        Exception: whatever loader and transformer raise, with the place as a note.

    Example:
        >>> from barrage_mlflow.dataset import IdentityTransformer, KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.VALIDATION, {"x": "a"}, {"y": "b"})
        >>> pipeline = Pipeline(loader, IdentityTransformer(RecordMode.VALIDATION, loader))
        >>> outputs = [{"name": "y", "loss": {"import": "mse"}, "metrics": [{"import": "mae"}]}]
        >>> evaluate(
        ...     {"model": {"network": {"import": "my.network"}, "outputs": outputs}},
        ...     pipeline,
        ...     lambda x, batch_size: {"y": 2 * x["x"]},
        ...     {"x": ArraySpec((1,), "float32")},
        ...     Records.read([{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 6.0}]),
        ... ).metrics
        {'loss': 2.0, 'mae': 1.0}
    """
    blocks = Blocks(iter(ValidationBatches(records, pipeline, input_specs, _BATCH)))
    judge: Any = None
    objective: Any = None
    seen: list[tuple[Arrays, Arrays]] = []
    while (block := blocks.take(_BATCH)) is not None:
        x, y = block[:2]
        w = block[2] if len(block) > 2 else None
        scores = network(x, _BATCH)
        if judge is None:
            judge = _judge(scores)
            objective = _compile(judge, config, pipeline.transformer.network_params, y, w)
        y, w = objective.conform(y, w)
        judge.test_step((scores, y) if w is None else (scores, y, w))
        seen.append((y, w or {}))
    metrics = {name: float(value) for name, value in judge.get_metrics_result().items()}
    targets, weights = (_in_a_row(arrays) for arrays in zip(*seen, strict=True))
    return Evaluation(metrics, objective.paths(), targets, weights)


def _judge(scores: Arrays) -> Any:
    """A network that gives what it is fed: the scores of the trained one, to be measured."""
    import keras

    from barrage_mlflow.model.dict_network import DictNetwork

    tensors = {
        name: keras.Input(
            # By the last axis, targets of one number are told from vectors; others may vary.
            (*[None] * (array.ndim - 2), *array.shape[1:][-1:]),
            dtype=str(array.dtype),
            name=f"output_{place}",
        )
        for place, (name, array) in enumerate(scores.items())
    }
    with warnings.catch_warnings():
        # Keras wants the keys of a dict to be the names of its tensors, which take less.
        warnings.filterwarnings("ignore", "When providing `inputs` as a dict")
        return DictNetwork(inputs=tensors, outputs=tensors)


def _compile(
    judge: Any, config: Mapping[str, Any], params: Mapping[str, Any], y: Any, w: Any
) -> Objective:
    import keras

    from barrage_mlflow.model import Objective

    objective = Objective(config, judge, params)
    objective.check_targets(y, w)
    objective.compile(judge, keras.optimizers.SGD())
    return objective


def _in_a_row(blocks: tuple[Arrays, ...]) -> Arrays:
    names = blocks[0]
    return {name: np.concatenate([block[name].ravel() for block in blocks]) for name in names}
