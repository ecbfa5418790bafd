"""Keeps the weights of the best epoch."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from barrage_mlflow.errors import TrainingError
from barrage_mlflow.files import written_whole
from barrage_mlflow.services.writer import BackgroundWriter


class BestCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Keeps the network's weights whenever a metric is better than ever before.

    They are kept in memory, and with it in every resume checkpoint; a file of them, without the
    optimizer's state, is replaced as a whole while the next epoch is trained. A NaN or infinite
    value is never the best.

    Args:
        path: the file; ends in ``.weights.h5``.
        monitor: name of the metric.
        mode: ``"min"`` or ``"max"``: which way is better.
        writer: writes it; one of its own if left out.

    Attributes:
        best: value of the metric at the best epoch; ``None`` before there is one.
        best_epoch: that epoch, counted from 1; ``None`` before there is one.
        best_weights: the network's variables as they were validated in it.

    Raises:
        TrainingError: the training gives no metric of that name.

    Example:
        >>> checkpoint = BestCheckpoint(Path("best.weights.h5"), "val_loss", "min")
        >>> checkpoint.best_epoch is None
        True
        >>> checkpoint.on_epoch_end(0, {"val_loss": float("nan")})
        >>> checkpoint.best_epoch is None
        True
    """

    def __init__(
        self, path: Path, monitor: str, mode: str, writer: BackgroundWriter | None = None
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.monitor = monitor
        self.mode = mode
        self._writer = writer or BackgroundWriter()
        self.on_train_begin()

    def set_model(self, model: keras.Model) -> None:
        """Take the network to save."""
        super().set_model(model)
        # Keras writes a compiled model's optimizer too, which is two thirds of the file
        # with Adam. An uncompiled model over the same layers has none.
        with warnings.catch_warnings():
            # Keras wants the keys to be the names of the tensors; it is the keys that count.
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict")
            self._network = keras.Model(model.input, model.output)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.best_weights: list[np.ndarray] | None = None
        self._written: list[np.ndarray] | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Keep the weights if the metric is the best so far."""
        logs = logs or {}
        if self.monitor not in logs:
            raise TrainingError(
                f"best checkpoint: expected a metric {self.monitor!r}, got {', '.join(logs)}"
            )
        value = float(logs[self.monitor])
        if self._improves(value):
            self.best, self.best_epoch = value, epoch + 1
            self.best_weights = [variable.numpy() for variable in self._network.variables]
            self._write()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wait until the file is written; a resumed training writes it anew."""
        if self._written is not self.best_weights:
            self._write()
        self._writer.flush()

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

    def _improves(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return value < self.best if self.mode == "min" else value > self.best

    def _write(self) -> None:
        network, weights = self._network, self.best_weights
        self._written = weights

        def write() -> None:
            # On this thread alone the variables have these values, while training goes on.
            values = zip(network.variables, weights or (), strict=True)
            with (
                keras.device("cpu:0"),
                written_whole(self.path) as partial,
                keras.StatelessScope(values),
            ):
                network.save_weights(partial)

        self._writer.submit(write)
