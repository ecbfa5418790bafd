"""A callback of the case ``search``: how long a training's epochs took, and the memory after it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import keras
import psutil


class Marks(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds a line to ``marks.jsonl`` in the working folder at the end of each training."""

    batch_period = None  # it need not see the network between two batches
    began = ended = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Take the time of the first."""
        if epoch == 0:
            self.began = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take the time of the last."""
        self.ended = time.monotonic()

    def on_train_end(self, logs: Any = None) -> None:
        """Write both down, and the resident memory in bytes."""
        if not self.ended:  # it trained nothing: what was trained before is packaged
            return
        marks = {"seconds": self.ended - self.began, "rss": psutil.Process().memory_info().rss}
        with Path("marks.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(marks) + "\n")
