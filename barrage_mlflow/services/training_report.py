"""The report of a training: every metric of every epoch, as a CSV file and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import keras
import pandas as pd

from barrage_mlflow.files import written_whole
from barrage_mlflow.services.curves import write_learning_curves
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.history import History


def report_callback(
    history: History, artifact_dir: Path, best: Mapping[str, str]
) -> keras.callbacks.Callback:
    """Make the callback that writes report and learning curves when a training ends or breaks off.

    Args:
        history: the metrics of every epoch.
        artifact_dir: the artifact folder.
        best: ``services.best_checkpoint``, by which the best epoch is marked.
    """

    def write(logs: object) -> None:
        with suppress(OSError):  # the disk is full, and may be what ended the training
            write_report(history, artifact_dir / artifacts.REPORT)
            write_learning_curves(history, artifact_dir / artifacts.LEARNING_CURVES, best)

    return keras.callbacks.LambdaCallback(on_train_end=write)


def write_report(history: History, path: Path) -> None:
    """Write one row an epoch: epoch (counted from 1), learning rate, metrics.

    The columns are those of the first epoch; without any nothing is written.

    Args:
        history: the metrics of every epoch.
        path: the CSV file.

    Raises:
        OSError: it cannot be written; it is then as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     history = History(Path(folder, "metrics.jsonl"))
        ...     history.add(1, {"loss": 0.5, "learning_rate": 0.1})
        ...     write_report(history, Path(folder, "report.csv"))
        ...     print(Path(folder, "report.csv").read_text())
        epoch,learning_rate,loss
        1,0.1,0.5
    """
    rows = [{"epoch": epoch.step, **epoch.metrics} for epoch in history.epochs()]
    if not rows:
        return
    first = ["epoch", "learning_rate"]
    columns = [*first, *sorted(rows[0].keys() - first)]
    with written_whole(path) as partial:
        pd.DataFrame(rows, columns=columns).to_csv(partial, index=False, na_rep="nan")
