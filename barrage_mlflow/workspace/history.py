"""The metrics of every epoch: the one history that reports, pictures and MLflow are made from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from barrage_mlflow.files import written_whole
from barrage_mlflow.workspace.record import now


class Epoch(NamedTuple):
    """The metrics of one epoch.

    Attributes:
        step: the epoch, counted from 1.
        timestamp: milliseconds since 1970, when it was first trained.
        metrics: names and values.
    """

    step: int
    timestamp: int
    metrics: dict[str, float]

    def as_best(self) -> Epoch:
        """The same in the names that the figures of the packaged model have.

        Example:
            >>> Epoch(7, 0, {"val_loss": 0.5}).as_best().metrics
            {'best_val_loss': 0.5, 'best_epoch': 7.0}
        """
        figures = {f"best_{name}": value for name, value in self.metrics.items()}
        return self._replace(metrics={**figures, "best_epoch": float(self.step)})


class History:
    """A file with one line of JSON an epoch.

    An epoch that is trained a second time, after a kill, keeps its line if its metrics are the
    same: MLflow drops a value that it has with the same timestamp.

    Args:
        path: the file; made when the first epoch is added.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     history = History(Path(folder, "metrics.jsonl"))
        ...     history.add(1, {"loss": 0.5})
        ...     [(epoch.step, epoch.metrics) for epoch in history.epochs()]
        [(1, {'loss': 0.5})]
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        text = self._path.read_text("utf-8", "replace") if self._path.exists() else ""
        self._epochs = {epoch.step: epoch for epoch in _parse(text)}
        self._torn = bool(text) and not text.endswith("\n")

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write the metrics of an epoch, counted from 1.

        Raises:
            OSError: they cannot be written.
        """
        values = {name: float(value) for name, value in metrics.items()}
        known = self._epochs.get(step)
        if known is not None and _text(known.metrics) == _text(values):
            return
        epoch = Epoch(step, now(), values)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + _line(epoch))
        self._epochs[step], self._torn = epoch, False

    def epochs(self) -> list[Epoch]:
        """The epochs in their order."""
        known = self._epochs  # another thread may ask while one is cut
        return [known[step] for step in sorted(known)]

    def cut(self, epochs: int) -> None:
        """Forget every epoch after the first so many.

        Raises:
            OSError: the file cannot be written.
        """
        kept = {step: epoch for step, epoch in self._epochs.items() if step <= epochs}
        if kept == self._epochs:
            return
        self._epochs = kept
        with written_whole(self._path) as partial:
            partial.write_text("".join(map(_line, self.epochs())), "utf-8")
        self._torn = False


def _line(epoch: Epoch) -> str:
    return json.dumps(epoch._asdict()) + "\n"


def _text(metrics: Mapping[str, float]) -> str:
    """Metrics as text, in which NaN is equal to NaN."""
    return json.dumps(metrics, sort_keys=True)


def _parse(text: str) -> Iterator[Epoch]:
    for line in text.splitlines():
        try:
            yield Epoch(**json.loads(line))
        except (TypeError, ValueError):  # torn by a crash
            continue
