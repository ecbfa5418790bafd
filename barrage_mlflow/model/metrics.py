"""Losses and metrics as a config names them, averaged over records and named without counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import keras
from keras import ops

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.config.keras_index import is_made_up, scope_name, snake_name
from barrage_mlflow.config.monitors import name_and_direction, unique_names


def build_loss(block: Mapping[str, Any], path: str) -> keras.losses.Loss:
    """Builds the loss of one output.

    Args:
        block: import block without placeholders.
        path: JSON path of the block, for messages.

    Example:
        >>> build_loss({"import": "mse"}, "$.model.outputs[0].loss").name
        'mean_squared_error'
    """
    built = build_import(block, "loss", path)
    # Keras has no class for "crossentropy" and "ce": they depend on the shapes.
    return Crossentropy(name=built) if isinstance(built, str) else built


def build_metrics(
    blocks: Sequence[Mapping[str, Any]], path: str
) -> dict[str, keras.metrics.Metric]:
    """Builds the metrics of one output, by the names that they are logged under.

    A metric's name is its ``name`` param, else the alias or short name as written, else Keras's
    name for it without a counter; a repeat gets ``_1``. A loss class becomes the average of the
    loss over records, weighted by their sample weights.

    Args:
        blocks: import blocks without placeholders.
        path: JSON path of the blocks, for messages.

    Example:
        >>> blocks = [{"import": "accuracy"}, {"import": "keras.metrics.AUC"}, {"import": "AUC"}]
        >>> list(build_metrics(blocks, "$.model.outputs[0].metrics"))
        ['accuracy', 'auc', 'AUC']
    """
    built = [build_import(block, "metric", f"{path}[{i}]") for i, block in enumerate(blocks)]
    names = unique_names([_name(block, one) for block, one in zip(blocks, built, strict=True)])
    return {name: _as_metric(one, name) for one, name in zip(built, names, strict=True)}


def unreduced(loss: keras.losses.Loss, y_true: Any, y_pred: Any) -> Any:
    """Returns a loss's values before they are averaged.

    They are float32: usually ``(batch,)`` or ``(batch, time)``; a loss that joins the records of a
    batch gives fewer.

    Args:
        loss: any loss.
        y_true: targets, ``(batch, ...)``.
        y_pred: outputs, ``(batch, ...)``.

    Example:
        >>> mse = keras.losses.MeanSquaredError()
        >>> unreduced(mse, [[1.0, 1.0], [2.0, 2.0]], [[1.0, 3.0], [2.0, 2.0]]).numpy().tolist()
        [2.0, 0.0]
    """
    y_true = ops.convert_to_tensor(y_true, dtype=loss.dtype)
    y_pred = ops.convert_to_tensor(y_pred, dtype=loss.dtype)
    return loss.call(y_true, y_pred)


def _of_each_record(loss: keras.losses.Loss, y_true: Any, y_pred: Any) -> Any:
    """Values whose mean over records is the loss; a joint value counts for each record."""
    values = unreduced(loss, y_true, y_pred)
    return values if len(values.shape) else ops.broadcast_to(values, ops.shape(y_pred)[:1])


def _name(block: Mapping[str, Any], built: Any) -> str:
    known = name_and_direction(block)
    if known is not None:
        return known[0]
    # A project's own metric: the name that its code gives it, unless Keras made it up.
    class_name = type(built).__name__
    return snake_name(class_name) if is_made_up(built.name, class_name) else str(built.name)


def _as_metric(built: Any, name: str) -> keras.metrics.Metric:
    name = scope_name(name)
    if isinstance(built, str):
        return keras.metrics.MeanMetricWrapper(_accuracy, name=name)
    if isinstance(built, keras.losses.Loss):
        return keras.metrics.MeanMetricWrapper(partial(_of_each_record, built), name=name)
    built.name = name
    return built


def _accuracy(y_true: Any, y_pred: Any) -> Any:
    """What Keras means by "accuracy"."""
    return getattr(keras.metrics, f"{form(y_true.shape, y_pred.shape)}_accuracy")(y_true, y_pred)


class Crossentropy(keras.losses.Loss):  # type: ignore[misc]
    """What Keras means by "crossentropy": the form is chosen as for "accuracy".

    Example:
        >>> loss = Crossentropy(name="ce")
        >>> round(float(loss(ops.ones((2, 1)), ops.ones((2, 1)) / 2)), 3)
        0.693
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Returns the loss's values, ``(batch, ...) float32``.

        Args:
            y_true: classes or their probabilities, ``(batch, ...)``.
            y_pred: probabilities, ``(batch, ..., classes)``.
        """
        return getattr(keras.losses, f"{form(y_true.shape, y_pred.shape)}_crossentropy")(
            y_true, y_pred
        )


def form(targets: Sequence[int | None], output: Sequence[int | None]) -> str:
    """The form of accuracy and crossentropy that Keras chooses by the shapes.

    Args:
        targets: their shape, with the batch axis.
        output: its shape, likewise.

    Example:
        >>> form((None,), (None, 3)), form((None, 3), (None, 3)), form((None,), (None, 1))
        ('sparse_categorical', 'categorical', 'binary')
    """
    if output[-1] == 1:
        return "binary"
    is_sparse = len(targets) < len(output) or targets[-1] == 1
    return "sparse_categorical" if is_sparse else "categorical"
