"""The form that every network trains in: a dict of tensors in, a dict of tensors out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class DictNetwork(keras.Model):  # type: ignore[misc]
    """A functional network whose inputs and outputs are dicts, keyed by their names.

    It averages the loss of each of several outputs over records. Keras itself averages over
    batches where the batch size is open, so that a short last batch counts as much as a full
    one; with its averages ``loss`` would not be the weighted sum of ``species_loss`` and
    ``mass_loss``.

    An output may have members: in training it then has an axis more after that of the batch than
    the network says. Its loss is the mean of the losses of its members, each compared with the
    same targets, and its metrics see the mean of their scores.

    Attributes:
        weigh: makes of targets and sample weights those that the loss of a train batch takes; set
            it after ``compile``.

    Example:
        >>> x = keras.Input((4,), name="flower")
        >>> outputs = {"species": keras.layers.Dense(3)(x)}
        >>> network = DictNetwork(inputs={"flower": x}, outputs=outputs)
        >>> network({"flower": ops.zeros((2, 4))})["species"].shape
        TensorShape([2, 3])
    """

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configures training as ``keras.Model.compile`` does.

        Args:
            optimizer: as there.
            loss: as there; in a dict of several outputs, or of one that has members, they must be
                ``keras.losses.Loss`` objects.
            loss_weights: as there.
            kwargs: as there.
        """
        super().compile(optimizer=optimizer, loss=loss, loss_weights=loss_weights, **kwargs)
        self.weigh: Any = None
        self._output_losses = loss if isinstance(loss, dict) else {}
        self._output_weights = loss_weights or {}
        self._output_means = {
            name: keras.metrics.Mean(name=f"{name}_loss")
            for name in self._output_losses
            if len(self._output_losses) > 1
        }

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss of a batch, a float32 scalar, and counts that of each output.

        Args:
            x: inputs by name, ``(batch, ...)``.
            y: targets by output, ``(batch, ...)``.
            y_pred: the network's outputs by name, ``(batch, ...)`` or ``(batch, members, ...)``.
            sample_weight: weights by output, ``(batch, ...)``, or None.
            training: whether the batch is one to learn from.
        """
        sample_weight = self.weigh(y, sample_weight) if training and self.weigh else sample_weight
        if not self._output_means and not any(map(self._has_members, y_pred, y_pred.values())):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        floatx = keras.config.floatx()
        parts = []
        for name, loss in self._output_losses.items():
            weights = None if sample_weight is None else sample_weight.get(name)
            scores = y_pred[name]
            if self._has_members(name, scores):
                value = _mean_loss(loss, y[name], scores, weights)
            else:
                value = loss(y[name], scores, weights)
            value = ops.cast(value, floatx)
            if name in self._output_means:
                self._output_means[name].update_state(value, ops.shape(scores)[0])
            parts.append(value * self._output_weights.get(name, 1.0))
        parts.extend(ops.cast(ops.sum(loss), floatx) for loss in self.losses)
        return sum(parts)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Counts a batch in every metric, and returns those of the epoch so far.

        Args:
            x: inputs by name, ``(batch, ...)``.
            y: targets by output, ``(batch, ...)``.
            y_pred: the network's outputs by name, ``(batch, ...)`` or ``(batch, members, ...)``.
            sample_weight: weights by output, ``(batch, ...)``, or None.
        """
        scores = {
            name: ops.mean(each, axis=1) if self._has_members(name, each) else each
            for name, each in y_pred.items()
        }
        results: dict[str, Any] = super().compute_metrics(x, y, scores, sample_weight)
        return results

    def _has_members(self, name: str, scores: Any) -> bool:
        return len(scores.shape) > len(self.output[name].shape)


def _mean_loss(loss: keras.losses.Loss, y: Any, scores: Any, weights: Any) -> Any:
    """The mean of the losses of all members, ``(batch, members, ...)``."""
    # What Keras computes crossentropy of where it can, since it is exact near 0 and 1.
    logits = getattr(scores, "_keras_logits", scores)

    def of_member(parts: Any) -> Any:
        score, logit = parts
        if logits is not scores:
            score._keras_logits = logit
        return loss(y, score, weights)

    parts = ops.moveaxis(scores, 1, 0), ops.moveaxis(logits, 1, 0)
    return ops.mean(ops.vectorized_map(of_member, parts))
