"""Shows how far a training or scoring is: a bar under a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import keras

_QUIET_SECONDS = 10.0
"""Least time between two lines where the output is not a terminal."""


_REFRESH_SECONDS = 0.1
"""Least time between two updates of the bar: a batch may take far less."""


def format_logs(logs: Mapping[str, float]) -> str:
    """Write metrics on one line, four digits each, with the validation's behind its own.

    Example:
        >>> format_logs({"accuracy": 1.0, "loss": 0.123456, "val_accuracy": 0.5, "val_loss": 2})
        'loss 0.1235 (val 2)  accuracy 1 (val 0.5)'
        >>> format_logs({"learning_rate": 1e-3, "y_loss": 0.5, "loss": 0.25})
        'loss 0.25  y_loss 0.5  learning_rate 0.001'
    """

    def rank(name: str) -> tuple[bool, ...]:
        return name == "learning_rate", name != "loss", not name.endswith("loss")

    names = [name for name in logs if name.removeprefix("val_") == name or name[4:] not in logs]
    texts = []
    for name in sorted(names, key=rank):
        validation = f" (val {logs[f'val_{name}']:.4g})" if f"val_{name}" in logs else ""
        texts.append(f"{name} {logs[name]:.4g}{validation}")
    return "  ".join(texts)


def format_seconds(seconds: float) -> str:
    """Write a duration as ``h:mm:ss``.

    Example:
        >>> format_seconds(3725.4)
        '1:02:05'
    """
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def show_seconds(seconds: float) -> str:
    """Write a duration in seconds if it is short, else as ``h:mm:ss``.

    Example:
        >>> show_seconds(3.14159), show_seconds(3725.4)
        ('3.1 s', '1:02:05')
    """
    return f"{seconds:.1f} s" if seconds < 60 else format_seconds(seconds)


class Display:
    """A bar with a text under a terminal, which goes away at the end; elsewhere plain lines.

    Args:
        stream: where to write, ``sys.stderr``; None for nowhere.

    Attributes:
        is_live: whether it is a terminal.

    Example:
        >>> display = Display(None)
        >>> display.start()
        >>> display.is_live, display.is_due
        (False, False)
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._shown = 0.0
        self._bar: Any = None
        self.is_live = stream is not None and stream.isatty()
        self._every = _REFRESH_SECONDS if self.is_live else _QUIET_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether what was shown last is old enough."""
        return time.monotonic() - self._shown >= self._every

    def start(self, wait: bool = True) -> None:
        """Begin to show.

        Args:
            wait: whether the first plain line is due after a while, or at once.
        """
        self._shown = time.monotonic() if wait else -self._every
        if self.is_live:
            self._bar = _make_bar(self._stream)
            self._task = self._bar.add_task("", total=None, text="")
            self._bar.start()

    def show(self, text: str, share: float | None = None) -> None:
        """Show how far it is.

        Args:
            text: behind the bar, or the line.
            share: of all, up to 1; None where that is not known.
        """
        if self._bar is not None:
            total = None if share is None else 1.0
            self._bar.update(self._task, completed=share or 0.0, total=total, text=text)
        elif self._stream is not None:
            print(text, file=self._stream, flush=True)
        self._shown = time.monotonic()

    def print_above(self, text: str) -> None:
        """Leave a line above the bar."""
        self._bar.console.print(text, highlight=False, markup=False)

    def stop(self) -> None:
        """Take the bar away, if there is one."""
        if self._bar is not None:
            self._bar.stop()


def _make_bar(stream: TextIO | None) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=Console(file=stream),
        transient=True,
    )


def progress_callback(stream: TextIO) -> keras.callbacks.Callback:
    """Make the callback that shows epochs, metrics and the time left.

    Under a terminal there is a bar within an epoch, and each epoch leaves its line. Elsewhere
    plain lines are written, the first and last epoch's and at most one every ten seconds between
    them.

    Args:
        stream: where to write, ``sys.stderr``.
    """
    import keras

    display = Display(stream)

    class TrainingProgress(keras.callbacks.Callback):  # type: ignore[misc]
        # It shows what it is given, and need not see the network between two batches.
        batch_period = None
        done, line = 0, ""

        def on_train_begin(self, logs: Any = None) -> None:
            self.began = time.monotonic()
            display.start(wait=False)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.done += 1
            epochs = self.params["epochs"]
            left = (time.monotonic() - self.began) / self.done * (epochs - epoch - 1)
            self.line = (
                f"epoch {epoch + 1}/{epochs}  {format_logs(logs)}  {format_seconds(left)} left"
            )
            if display.is_live:
                display.print_above(self.line)
            elif display.is_due:
                self.show_line()

        def on_train_end(self, logs: Any = None) -> None:
            if self.line and not display.is_live:
                self.show_line()
            display.stop()

        def show_line(self) -> None:
            display.show(self.line)
            self.line = ""

    class LiveProgress(TrainingProgress):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if display.is_due:
                epochs, steps = self.params["epochs"], self.params["steps"]
                place = f"epoch {self.epoch + 1}/{epochs}  {batch + 1}/{steps} batches"
                display.show(f"{place}  {format_logs(logs)}", (batch + 1) / steps)

    return LiveProgress() if display.is_live else TrainingProgress()


class ScoringProgress(AbstractContextManager["ScoringProgress"]):
    """Shows how many records of a file are scored.

    Args:
        stream: where to write, ``sys.stderr``; None for nowhere.

    Example:
        >>> with ScoringProgress(None) as progress:
        ...     progress.update(256, 0.5)
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._display = Display(stream)
        self._begin: tuple[float, int, float] | None = None

    def __enter__(self) -> ScoringProgress:
        self._display.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._display.stop()

    def update(self, records: int, share: float | None) -> None:
        """Show how far it is, if that is due.

        Args:
            records: scored so far, with those that an earlier process scored.
            share: of the file, up to 1; None where that is not known.
        """
        if self._begin is None:
            # Counted from here, the first call of a network, which takes long, is left out, and
            # so is what an earlier process did.
            self._begin = (time.monotonic(), records, share or 0.0)
        if self._display.is_due:
            self._display.show(self._text(records, share), share)

    def finish(self, text: str) -> None:
        """Show what is done once all records are scored."""
        if self._display.is_live:
            self._display.show(text, 1.0)

    def _text(self, records: int, share: float | None) -> str:
        assert self._begin is not None
        begun, before, done = self._begin
        seconds = time.monotonic() - begun
        parts = [f"{records:,} records"]
        if share is not None and not self._display.is_live:
            parts.append(f"{share:.0%}")
        if seconds > 0:
            parts.append(f"{(records - before) / seconds:,.0f}/s")
            if share is not None and share > done:
                left = seconds / (share - done) * (1 - share)
                parts.append(f"{format_seconds(left)} left")
        return "  ".join(parts)
