"""The training report: every metric of every epoch, as a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from barrage_mlflow.files import written_whole

_EPOCH = "epoch"
_LEARNING_RATE = "learning_rate"


class TrainingReport(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes one row after each epoch: epoch (counted from 1), learning rate, metrics.

    Each row is on disk before the next epoch starts. A training that resumes keeps the rows
    of the epochs that it does not train again.

    Args:
        path: the CSV file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "report.csv")
        ...     report = TrainingReport(path)
        ...     report.on_train_begin()
        ...     report.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.25, "learning_rate": 0.1})
        ...     report.on_train_end()
        ...     print(path.read_text())
        epoch,learning_rate,loss,val_loss
        1,0.1,0.5,0.25
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._columns: list[str] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Forget an earlier training."""
        self._columns = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the epoch's row."""
        row = {_EPOCH: epoch + 1, **(logs or {})}
        if self._columns is None:
            self._columns = self._begin(epoch, row)
        # Opened for each row: a training that is killed leaves no file open and no row unwritten.
        with self.path.open("a", encoding="utf-8", newline="") as file:
            _writer(file, self._columns).writerow(row)

    def _begin(self, epoch: int, row: dict[str, Any]) -> list[str]:
        rows = read_report(self.path) if epoch and self.path.exists() else []
        kept = [old for old in rows if old[_EPOCH] <= epoch]
        return _write(self.path, kept or [row], kept)


def rewrite_report(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the report of the epochs that a training has had, which a crash may have cut short.

    Args:
        path: the CSV file.
        history: the metrics of each epoch from the first on; the file is left alone without any.

    Raises:
        OSError: it cannot be written; it is then as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "report.csv")
        ...     rewrite_report(path, [{"loss": 0.5, "learning_rate": 0.1}])
        ...     print(path.read_text())
        epoch,learning_rate,loss
        1,0.1,0.5
    """
    # In the order in which Keras hands them to a callback.
    rows = [
        {_EPOCH: epoch, **dict(sorted(metrics.items()))} for epoch, metrics in enumerate(history, 1)
    ]
    if rows:
        _write(path, rows, rows)


def read_report(path: Path) -> list[dict[str, float]]:
    r"""Read a training report.

    A last row that was torn by a crash is left out.

    Returns:
        One dict an epoch, from column to number; ``epoch`` is an ``int``.

    Raises:
        OSError: the file cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "report.csv")
        ...     written = path.write_text("epoch,loss\n1,0.5\n2,0.")
        ...     read_report(path)
        [{'epoch': 1, 'loss': 0.5}]
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = file.read().splitlines(keepends=True)
    whole = [line for line in lines if line.endswith("\n")]
    return [
        {
            name: int(value) if name == _EPOCH else float(value)
            for name, value in row.items()
            if value is not None
        }
        for row in csv.DictReader(whole)
    ]


def _write(
    path: Path, like: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Write a report of some rows, whose columns are those of the first that it is like."""
    first = (_EPOCH, _LEARNING_RATE)
    columns = [*first, *(name for name in like[0] if name not in first)]
    with written_whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = _writer(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return columns


def _writer(file: Any, columns: list[str]) -> csv.DictWriter[str]:
    return csv.DictWriter(
        file, columns, restval=math.nan, extrasaction="ignore", lineterminator="\n"
    )
