"""What tests do to a training, and what MLflow then has of its run."""

from __future__ import annotations

import signal
from typing import Any

import keras
import mlflow


class Terminate(keras.callbacks.Callback):
    """Sends this process a SIGTERM at one batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        super().__init__()
        self._place = epoch, batch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if (self._epoch, batch) == self._place:
            signal.raise_signal(signal.SIGTERM)


def only_run() -> mlflow.entities.Run:
    (run,) = mlflow.search_runs(search_all_experiments=True, output_format="list")
    return run


def history(run_id: str) -> list[tuple[str, int, float]]:
    client = mlflow.MlflowClient()
    names = client.get_run(run_id).data.metrics
    points = [point for name in names for point in client.get_metric_history(run_id, name)]
    return sorted((point.key, point.step, point.value) for point in points)
