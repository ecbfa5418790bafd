"""Shows how far a training or scoring is: one line under a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    import keras

T = TypeVar("T")

_QUIET_SECONDS = 10.0
"""Least time between two lines where the output is not a terminal."""
_REFRESH_SECONDS = 0.1
"""Least time between two texts under a terminal: a batch may take far less."""
_CLEAR = "\r\x1b[K"
"""Goes to the beginning of a terminal's line, and takes away what is there."""


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

    names = [name for name in logs if not name.startswith("val_") or name[4:] not in logs]
    texts = []
    for name in sorted(names, key=rank):
        validation = f" (val {logs[f'val_{name}']:.4g})" if f"val_{name}" in logs else ""
        texts.append(f"{name} {logs[name]:.4g}{validation}")
    return "  ".join(texts)


def format_seconds(seconds: float) -> str:
    """Write a duration as ``h:mm:ss``, with days in front if it has any.

    Example:
        >>> format_seconds(3725.4)
        '1:02:05'
    """
    return str(timedelta(seconds=round(seconds)))


def show_seconds(seconds: float) -> str:
    """Write a duration in seconds if it is short, else as ``h:mm:ss``.

    Example:
        >>> show_seconds(3.14159), show_seconds(3725.4)
        ('3.1 s', '1:02:05')
    """
    return f"{seconds:.1f} s" if seconds < 60 else format_seconds(seconds)


class Display(AbstractContextManager["Display"]):
    """One line under a terminal, which each text is written over; elsewhere plain lines.

    Args:
        stream: where to write, ``sys.stderr``; None for nowhere.

    Attributes:
        is_live: whether it is a terminal.

    Example:
        >>> display = Display(None)
        >>> display.is_live, display.is_due
        (False, False)
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.is_live = stream is not None and stream.isatty()
        self._stream = stream
        self._every = _REFRESH_SECONDS if self.is_live else _QUIET_SECONDS
        self._shown = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether what was shown last is old enough."""
        return time.monotonic() - self._shown >= self._every

    def show(self, text: str, stays: bool = False) -> None:
        """Show how far it is.

        Args:
            text: the line.
            stays: whether it stays under a terminal too.
        """
        if self.is_live and not stays:
            text = text[: shutil.get_terminal_size().columns - 1]
        if self._stream is not None:
            start, end = _CLEAR if self.is_live else "", "" if self.is_live and not stays else "\n"
            print(f"{start}{text}", end=end, file=self._stream, flush=True)
        self._shown = time.monotonic()

    def clear(self) -> None:
        """Take away the line under a terminal."""
        if self.is_live:
            self.show("")

    def __exit__(self, *raised: object) -> None:
        self.clear()


def progress_callback(stream: TextIO) -> keras.callbacks.Callback:
    """Make the callback that shows epochs, metrics and the time left.

    Under a terminal a line shows the batches within an epoch, and each epoch leaves its line.
    Elsewhere plain lines are written, the first and last epoch's and at most one every ten seconds
    between them.

    Args:
        stream: where to write, ``sys.stderr``.
    """
    import keras

    display = Display(stream)

    class TrainingProgress(keras.callbacks.Callback):  # type: ignore[misc]
        # It shows what it is given, and need not see the network between two batches.
        batch_period = None
        began, done, line = 0.0, 0, ""

        def on_train_begin(self, logs: Any = None) -> None:
            self.began = time.monotonic()

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.place = f"epoch {epoch + 1}/{self.params['epochs']}"

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if display.is_live and display.is_due:
                batches = f"{batch + 1}/{self.params['steps']} batches"
                display.show(f"{self.place}  {batches}  {format_logs(logs)}")

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.done += 1
            each = (time.monotonic() - self.began) / self.done
            left = format_seconds(each * (self.params["epochs"] - epoch - 1))
            self.line = f"{self.place}  {format_logs(logs)}  {left} left"
            if display.is_live or display.is_due or self.done == 1:
                self.show_line()

        def on_train_end(self, logs: Any = None) -> None:
            if self.line:
                self.show_line()
            display.clear()

        def show_line(self) -> None:
            display.show(self.line, stays=True)
            self.line = ""

    return TrainingProgress()


def follow_scoring(
    pieces: Iterable[tuple[T, int, float | None]], display: Display
) -> Iterator[tuple[T, int]]:
    """Hand on scored pieces, and show how far it is whenever that is due.

    Args:
        pieces: each with how many records are scored with it, counting those that an earlier
            process scored, and with the share of the file, up to 1; None where it is not known.
        display: where to show it.

    Returns:
        The pieces, each with how many records are scored with it.

    Example:
        >>> list(follow_scoring([("scores", 256, 0.5)], Display(None)))
        [('scores', 256)]
    """
    began, before, done = 0.0, 0, 0.0
    for piece, records, share in pieces:
        yield piece, records
        now = time.monotonic()
        if not began:
            # Counted from here, the first call of a network, which takes long, is left out, and
            # so is what an earlier process did.
            began, before, done = now, records, share or 0.0
        if not display.is_due or now == began:
            continue
        parts = [f"{records:,} records", f"{(records - before) / (now - began):,.0f}/s"]
        if share is not None and share > done:
            left = (now - began) / (share - done) * (1 - share)
            parts += [f"{share:.0%}", f"{format_seconds(left)} left"]
        display.show("  ".join(parts))
