"""Stops a training whose loss is no number any more."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import keras

from barrage_mlflow.errors import TrainingError

_FIRST = (
    "no update was made yet, so look at the inputs, targets and sample weights of that batch, "
    "and whether the network's last activation suits the loss"
)
_LATER = (
    "try a smaller solver.optimizer.learning_rate, or clipnorm in solver.optimizer.params, "
    "and look for extreme values in the records"
)


class LossGuard(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends the training with an error at the batch where the loss becomes NaN or infinite.

    Once a weight is NaN, all of them soon are: nothing that follows is worth its time.
    Keras gives each batch the mean over the epoch so far, in which one bad value shows at once.

    Raises:
        TrainingError: naming the epoch and the batch, both counted from 1.

    Example:
        >>> guard = LossGuard()
        >>> guard.on_epoch_begin(0)
        >>> guard.on_train_batch_end(0, {"loss": 0.5})
    """

    # It looks at the loss alone, which each batch has of its own.
    batch_period: ClassVar[int | None] = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Check the loss after one batch."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            first = self._epoch == batch == 0
            raise TrainingError(
                f"epoch {self._epoch + 1}, batch {batch + 1}: expected a finite loss, "
                f"got {loss}; {_FIRST if first else _LATER}"
            )
