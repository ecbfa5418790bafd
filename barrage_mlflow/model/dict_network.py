"""The form that every network trains in: a dict of tensors in, a dict of tensors out."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class DictNetwork(keras.Model):  # type: ignore[misc]
    """A functional network whose inputs and outputs are dicts, keyed by their names.

    It averages the loss of each of several outputs over records. Keras itself averages over
    batches where the batch size is open, so that a short last batch counts as much as a full
    one; then ``loss`` is not the weighted sum of ``species_loss`` and ``mass_loss``.

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
            loss: as there; in a dict of several outputs they must be ``keras.losses.Loss`` objects.
            loss_weights: as there.
            kwargs: as there.
        """
        super().compile(optimizer=optimizer, loss=loss, loss_weights=loss_weights, **kwargs)
        self.weigh: Any = None
        self._output_losses = loss if isinstance(loss, dict) and len(loss) > 1 else {}
        self._output_weights = loss_weights or {}
        self._output_means = {
            name: keras.metrics.Mean(name=f"{name}_loss") for name in self._output_losses
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
            y_pred: the network's outputs by name, ``(batch, ...)``.
            sample_weight: weights by output, ``(batch, ...)``, or None.
            training: whether the batch is one to learn from.
        """
        sample_weight = self.weigh(y, sample_weight) if training and self.weigh else sample_weight
        if not self._output_losses:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        floatx = keras.config.floatx()
        parts = []
        for name, loss in self._output_losses.items():
            weights = None if sample_weight is None else sample_weight.get(name)
            value = ops.cast(loss(y[name], y_pred[name], weights), floatx)
            self._output_means[name].update_state(value, ops.shape(y_pred[name])[0])
            parts.append(value * self._output_weights.get(name, 1.0))
        parts.extend(ops.cast(ops.sum(loss), floatx) for loss in self.losses)
        return sum(parts)
