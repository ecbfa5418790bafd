"""Keeps the weights of the best epoch."""

from __future__ import annotations

import math
import operator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.errors import TrainingError
from barrage_mlflow.files import written_whole
from barrage_mlflow.solver import averages


class BestCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the weights that were validated whenever a metric is better than ever before.

    Those are the averages where the optimizer keeps some (``use_ema``), and what callbacks made of
    the weights before the validation. They are kept in memory, and with it in every resume
    checkpoint. A file of them, without the optimizer's state, is written when the training ends,
    however it does. A NaN or infinite value is never the best.

    Args:
        path: the file; ends in ``.weights.h5``.
        monitor: name of the metric, ``"val_…"``.
        mode: ``"min"`` or ``"max"``: which way is better.

    Attributes:
        best: value of the metric at the best epoch; ``None`` before there is one.
        best_epoch: that epoch, counted from 1; ``None`` before there is one.
        best_weights: the network's variables as they were validated in it.

    Example:
        >>> checkpoint = BestCheckpoint(Path("best.weights.h5"), "val_loss", "min")
        >>> checkpoint.best_epoch is None
        True
        >>> checkpoint.on_test_end({"loss": float("nan")})
        >>> checkpoint.best_epoch is None
        True
    """

    def __init__(self, path: Path, monitor: str, mode: str) -> None:
        super().__init__()
        self.path = Path(path)
        self.monitor = monitor
        self.mode = mode
        self.on_train_begin()

    def set_model(self, model: keras.Model) -> None:
        """Take the network to save."""
        super().set_model(model)
        # Keras writes a compiled model's optimizer too, which is two thirds of the file
        # with Adam. An uncompiled model over the same layers has none.
        self._network = keras.Model(model.input, model.output)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        self._epoch = 0
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: list[np.ndarray] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the number of the epoch."""
        self._epoch = epoch + 1

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Keep the weights if the metric is the best so far.

        Callbacks that undo in ``on_test_end`` what they did before come after this one in the list.
        """
        # There is none where the validation broke off.
        value = float((logs or {}).get(self.monitor.removeprefix("val_"), math.nan))
        is_better = operator.lt if self.mode == "min" else operator.gt
        if math.isfinite(value) and (self.best is None or is_better(value, self.best)):
            self.best, self.best_epoch = value, self._epoch
            averaged = {id(weight): average for weight, average in averages(self.model.optimizer)}
            validated = (averaged.get(id(each), each) for each in self._network.variables)
            self.best_weights = [variable.numpy() for variable in validated]

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Write the file; the network keeps the weights that it has."""
        if self.best_weights is None:
            return
        values = zip(self._network.variables, self.best_weights, strict=True)
        with written_whole(self.path) as partial, keras.StatelessScope(values):
            self._network.save_weights(partial)

    def restore(self) -> tuple[int, keras.Model]:
        """Set the network's weights to those of the best epoch.

        Returns:
            The best epoch, counted from 1, and the network without its optimizer.

        Raises:
            TrainingError: there was no best epoch.
        """
        if self.best_epoch is None or self.best_weights is None:
            raise TrainingError(
                f"no best checkpoint: {self.monitor} was a finite number at no epoch; check the "
                "validation records and the network for what makes NaN. The resume checkpoint is "
                "kept"
            )
        for variable, array in zip(self._network.variables, self.best_weights, strict=True):
            variable.assign(array)
        return self.best_epoch, self._network
