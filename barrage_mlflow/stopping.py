"""SIGTERM and Ctrl-C: they end a training between two batches, not within one."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
INTERRUPTED = 130
"""Exit status of a command that was: what a shell gives one that Ctrl-C ended."""
_SHELLS = {"bash", "dash", "sh"}
_LOOK = 0.5
"""Seconds between two looks at whether the parent is still there."""


class StopSignals(AbstractContextManager["StopSignals"]):
    """While it is entered, the first SIGTERM or SIGINT raises KeyboardInterrupt, as soon as it may.

    Within :meth:`held` it waits for the next :meth:`let_in`, or for the end of the block: Keras
    and TensorFlow are not to be interrupted anywhere, and an exception that comes up in a
    destructor of theirs would be lost. Further SIGTERMs are passed over, since what ends a training
    sends more than one; a second Ctrl-C is raised at once.

    A block within a block takes over from it, with the signal that came to it.

    Where a signal is ignored, or has a handler other than Python's own, it is left alone; so are
    all in threads other than the main one, where Python allows no handlers.

    Example:
        >>> import signal
        >>> try:
        ...     with StopSignals() as signals, signals.held():
        ...         signal.raise_signal(signal.SIGTERM)
        ...         print("not yet")
        ...         with signals.let_in():
        ...             print("never")
        ... except KeyboardInterrupt as interrupt:
        ...     print(interrupt)
        not yet
        SIGTERM
    """

    def __init__(self) -> None:
        self._received: str | None = None
        self._holding = False
        self._told: int | None = None
        self._replaced: dict[signal.Signals, Any] = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a signal back until the end of the block."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        self._raise_received()

    @contextmanager
    def let_in(self) -> Iterator[None]:
        """Raise what was held back, and let signals in until the end of the block."""
        self._holding = False
        try:
            self._raise_received()
            yield
        finally:
            self._holding = True

    @contextmanager
    def ending_the_process(self) -> Iterator[None]:
        """Have a signal end the process at once, with what the command line says of it.

        It is for what cannot be interrupted, takes long and leaves nothing behind.
        """
        # Where errors go now: within the block it may lead elsewhere.
        self._told = os.dup(2)
        try:
            yield
        finally:
            told, self._told = self._told, None
            os.close(told)

    def _raise_received(self) -> None:
        # Also if it was raised before: then it was lost.
        if self._received:
            raise KeyboardInterrupt(self._received)

    def __enter__(self) -> StopSignals:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            around = getattr(handler, "__self__", None)
            if isinstance(around, StopSignals):
                self._received = around._received
            elif handler not in _DEFAULTS:
                continue
            try:
                self._replaced[number] = signal.signal(number, self._receive)
            except ValueError:  # not the main thread
                break
        return self

    def __exit__(self, *raised: object) -> None:
        while self._replaced:
            signal.signal(*self._replaced.popitem())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, name = self._received is None, signal.Signals(number).name
        if first:
            self._received = name
        if self._told is not None:
            os.write(self._told, b"interrupted\n")
            os._exit(INTERRUPTED)
        if (first and not self._holding) or (not first and number == signal.SIGINT):
            raise KeyboardInterrupt(name)


def stop_with_mlflow() -> None:
    """Take the death of the ``mlflow run`` that started this process for a SIGTERM.

    MLflow does not hand on the SIGTERM that ends it. Where something else started this process,
    nothing is done.

    Example:
        >>> stop_with_mlflow()
    """
    if not os.environ.get("MLFLOW_RUN_ID"):
        return
    parents = [os.getppid()]
    # It calls a shell, which may stay between the two.
    while _name(parents[-1]) in _SHELLS and (above := _parent(parents[-1])) is not None:
        parents.append(above)
    if "mlflow" in _command(parents[-1]):
        threading.Thread(target=_watch, args=(parents,), name="parent", daemon=True).start()


def _watch(parents: list[int]) -> None:
    while os.getppid() == parents[0] and all(
        _parent(child) == parent for child, parent in itertools.pairwise(parents)
    ):
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)


def _parent(process: int) -> int | None:
    # What stands behind the name, which is in brackets and may hold anything: state, parent …
    told = _read(process, "stat").rpartition(")")[2].split()
    return int(told[1]) if told else None


def _name(process: int) -> str:
    return _read(process, "comm").strip()


def _command(process: int) -> str:
    return _read(process, "cmdline")


def _read(process: int, what: str) -> str:
    try:
        return Path("/proc", str(process), what).read_text("utf-8", "replace")
    except OSError:  # it is gone, or this is not Linux
        return ""
