"""The metrics of a training in its artifact folder, for a server that has not got them yet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


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


class MetricJournal:
    """A file with one line of JSON an epoch.

    An epoch that is trained a second time, after a kill, keeps its line if its metrics are the
    same: MLflow drops a value that it holds with the same timestamp.

    Args:
        path: the file; made when the first epoch is added.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     journal = MetricJournal(Path(folder, "metrics.jsonl"))
        ...     timestamp = journal.add(1, {"loss": 0.5})
        ...     again = MetricJournal(Path(folder, "metrics.jsonl"))
        ...     again.add(1, {"loss": 0.5}) == timestamp
        ...     [(epoch.step, epoch.metrics) for epoch in again.epochs()]
        True
        [(1, {'loss': 0.5})]
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        text = self._path.read_text("utf-8", "replace") if self._path.exists() else ""
        self._epochs = {epoch.step: epoch for epoch in _parse(text)}
        self._torn = bool(text) and not text.endswith("\n")

    def add(self, step: int, metrics: Mapping[str, float]) -> int:
        """Write down the metrics of an epoch.

        Returns:
            When they were made, in milliseconds since 1970.

        Raises:
            OSError: they cannot be written.
        """
        values = {name: float(value) for name, value in metrics.items()}
        held = self._epochs.get(step)
        if held is not None and _text(held.metrics) == _text(values):
            return held.timestamp
        epoch = Epoch(step, time.time_ns() // 1_000_000, values)
        with self._path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._torn + json.dumps(epoch._asdict()) + "\n")
        self._epochs[step], self._torn = epoch, False
        return epoch.timestamp

    def epochs(self) -> list[Epoch]:
        """The epochs in their order."""
        return [self._epochs[step] for step in sorted(self._epochs)]


def _text(metrics: Mapping[str, float]) -> str:
    """Metrics as text, in which NaN is equal to NaN."""
    return json.dumps(metrics, sort_keys=True)


def _parse(text: str) -> Iterator[Epoch]:
    for line in text.splitlines():
        try:
            yield Epoch(**json.loads(line))
        except (TypeError, ValueError):  # torn by a crash
            continue
