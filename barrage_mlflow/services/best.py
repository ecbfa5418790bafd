"""Keeps the weights of the best epoch."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.errors import TrainingError
from barrage_mlflow.files import written_whole
from barrage_mlflow.services.writer import BackgroundWriter


class BestCheckpoint(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the network's weights whenever a metric is better than ever before.

    The file holds the weights alone, without the optimizer's state, and is replaced as a
    whole, while the next epoch is trained. A NaN or infinite value is never the best.
    :meth:`restore` puts the weights back.

    Args:
        path: where to write; ends in ``.weights.h5``.
        monitor: name of the metric.
        mode: ``"min"`` or ``"max"``: which way is better.
        writer: writes it; one of its own if left out.

    Attributes:
        best: value of the metric at the best epoch; ``None`` before there is one.
        best_epoch: that epoch, counted from 1; ``None`` before there is one.

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
        self.best: float | None = None
        self.best_epoch: int | None = None

    def set_model(self, model: keras.Model) -> None:
        """Take the network to save."""
        super().set_model(model)
        # Keras writes a compiled model's optimizer too, which is two thirds of the file
        # with Adam. An uncompiled model over the same layers has none.
        with warnings.catch_warnings():
            # Keras wants the keys to be the names of the tensors; it is the keys that count.
            warnings.filterwarnings("ignore", "When providing `inputs` as a dict")
            self._weights = keras.Model(model.input, model.output)
            self._copy = _copied(self._weights)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        self.best = self.best_epoch = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Save the weights if the metric is the best so far."""
        logs = logs or {}
        if self.monitor not in logs:
            raise TrainingError(
                f"best checkpoint: expected a metric {self.monitor!r}, got {', '.join(logs)}"
            )
        value = float(logs[self.monitor])
        if not self._improves(value):
            return
        if self._copy is None:
            self._write(self._weights)
        else:
            self._writer.flush()  # what it still writes is what is about to be overwritten
            for kept, variable in zip(self._copy.variables, self._weights.variables, strict=True):
                kept.assign(variable)
            self._writer.submit(lambda: self._write(self._copy))
        self.best, self.best_epoch = value, epoch + 1

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Wait until the file is written."""
        self._writer.flush()

    def _write(self, network: keras.Model) -> None:
        with written_whole(self.path) as partial:
            network.save_weights(partial)

    def restore(self) -> tuple[int, keras.Model]:
        """Set the network's weights to those of the best epoch.

        Returns:
            The best epoch, counted from 1, and the network without its optimizer.

        Raises:
            TrainingError: there was no best epoch.
        """
        if self.best_epoch is None:
            raise TrainingError(
                f"no best checkpoint: {self.monitor} was a finite number at no epoch; check the "
                "validation records and the network for what makes NaN. The resume checkpoint is "
                "kept"
            )
        self._writer.flush()
        self._weights.load_weights(self.path)
        return self.best_epoch, self._weights

    def get_state(self) -> dict[str, Any]:
        """Return what a resumed training must know."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`get_state` returned."""
        self.best, self.best_epoch = state["best"], state["best_epoch"]

    def _improves(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return value < self.best if self.mode == "min" else value > self.best


def _copied(network: keras.Model) -> keras.Model | None:
    """A second network to write from while the first trains on; None where it cannot be copied."""
    try:
        copy = keras.models.clone_model(network)
    except Exception:  # whatever a layer raises that does not come back from its own config
        return None
    kept = [(tuple(variable.shape), variable.dtype) for variable in copy.variables]
    held = [(tuple(variable.shape), variable.dtype) for variable in network.variables]
    return copy if kept == held else None
