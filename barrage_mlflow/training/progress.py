"""Shows how far a training or scoring is: a live line under a terminal, plain lines elsewhere."""

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
"""Least time between two updates of the live line: a batch may take far less."""


def progress_callback(stream: TextIO) -> keras.callbacks.Callback:
    """Make the callback that shows epochs, metrics and the time left.

    Under a terminal one line is updated in place within an epoch, and each epoch leaves its
    line. Elsewhere plain lines are written, the first and last epoch's and at most one every
    ten seconds between them.

    Args:
        stream: where to write, ``sys.stderr``.
    """
    return _terminal_progress(stream) if stream.isatty() else _plain_progress(stream)


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


def told_seconds(seconds: float) -> str:
    """Write a duration as a person would tell it.

    Example:
        >>> told_seconds(3.14159), told_seconds(3725.4)
        ('3.1 s', '1:02:05')
    """
    return f"{seconds:.1f} s" if seconds < 60 else format_seconds(seconds)


class ScoringProgress(AbstractContextManager["ScoringProgress"]):
    """Shows how many records of a file are scored.

    Under a terminal it is a bar, which goes away at the end. Elsewhere it is plain lines, at most
    one every ten seconds.

    Args:
        stream: where to write, ``sys.stderr``; None for nowhere.

    Example:
        >>> with ScoringProgress(None) as progress:
        ...     progress.update(256, 0.5)
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._begin: tuple[float, int, float] | None = None
        self._shown = time.monotonic()
        self._bar: Any = None
        if stream is not None and stream.isatty():
            self._bar = _scoring_bar(stream)
            self._task = self._bar.add_task("", total=None, told="")

    def __enter__(self) -> ScoringProgress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, records: int, share: float | None) -> None:
        """Take note of how far it is.

        Args:
            records: scored so far, with those that an earlier process scored.
            share: of the file, up to 1; None where that is not known.
        """
        now = time.monotonic()
        if self._begin is None:
            # Counted from here, the first call of a network, which takes long, is left out, and
            # so is what an earlier process did.
            self._begin = (now, records, share or 0.0)
        if self._stream is None:
            return
        if self._bar is not None and now - self._shown >= _REFRESH_SECONDS:
            total = None if share is None else 1.0
            told = self._told(now, records, share)
            self._bar.update(self._task, completed=share or 0.0, total=total, told=told)
            self._shown = now
        elif self._bar is None and now - self._shown >= _QUIET_SECONDS:
            print(self._told(now, records, share), file=self._stream, flush=True)
            self._shown = now

    def say(self, what: str) -> None:
        """Show what is done once all records are scored."""
        if self._bar is not None:
            self._bar.update(self._task, completed=1.0, total=1.0, told=what)

    def _told(self, now: float, records: int, share: float | None) -> str:
        assert self._begin is not None
        begun, before, done = self._begin
        parts = [f"{records:,} records"]
        if share is not None and self._bar is None:
            parts.append(f"{share:.0%}")
        if now > begun:
            parts.append(f"{(records - before) / (now - begun):,.0f}/s")
            if share is not None and share > done:
                left = (now - begun) / (share - done) * (1 - share)
                parts.append(f"{format_seconds(left)} left")
        return "  ".join(parts)


def _scoring_bar(stream: TextIO) -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[told]}"),
        console=Console(file=stream),
        transient=True,
    )


class _Clock:
    """Measures epochs, to tell the time that the ones to come will take."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._done = 0

    def tick(self) -> None:
        self._done += 1

    def left(self, epochs: int) -> str:
        elapsed = time.monotonic() - self._start
        return format_seconds(elapsed / max(self._done, 1) * epochs)


def _plain_progress(stream: TextIO) -> keras.callbacks.Callback:
    import keras

    class PlainProgress(keras.callbacks.Callback):  # type: ignore[misc]
        shown, line = float("-inf"), ""

        def on_train_begin(self, logs: Any = None) -> None:
            self.clock = _Clock()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.clock.tick()
            epochs = self.params["epochs"]
            left = self.clock.left(epochs - epoch - 1)
            self.line = f"epoch {epoch + 1}/{epochs}  {format_logs(logs)}  {left} left"
            if time.monotonic() - self.shown >= _QUIET_SECONDS:
                self.show()

        def on_train_end(self, logs: Any = None) -> None:
            self.show()

        def show(self) -> None:
            if self.line:
                print(self.line, file=stream, flush=True)
            self.shown, self.line = time.monotonic(), ""

    return PlainProgress()


def _terminal_progress(stream: TextIO) -> keras.callbacks.Callback:
    import keras
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    class TerminalProgress(keras.callbacks.Callback):  # type: ignore[misc]
        # It shows what it is given, and need not see the network between two batches.
        batch_period = None
        progress: Any = None

        def on_train_begin(self, logs: Any = None) -> None:
            self.clock, self.shown = _Clock(), 0.0
            self.progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("batches  {task.fields[metrics]}"),
                console=Console(file=stream),
                transient=True,
            )
            self.task = self.progress.add_task("", total=self.params["steps"], metrics="")
            self.progress.start()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            description = f"epoch {epoch + 1}/{self.params['epochs']}"
            self.progress.reset(self.task, description=description)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if time.monotonic() - self.shown >= _REFRESH_SECONDS:
                self.progress.update(
                    self.task, completed=batch + 1, metrics=format_logs(logs or {})
                )
                self.shown = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.clock.tick()
            epochs = self.params["epochs"]
            left = self.clock.left(epochs - epoch - 1)
            self.progress.console.print(
                f"[bold]epoch {epoch + 1}/{epochs}[/]  {format_logs(logs)}  [dim]{left} left[/]",
                highlight=False,
            )

        def on_train_end(self, logs: Any = None) -> None:
            if self.progress:  # training may break off before it begins
                self.progress.stop()

    return TerminalProgress()
