"""SIGTERM and Ctrl-C: they end a training between two batches, not within one."""

from __future__ import annotations

import _thread
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
INTERRUPTED = 130
"""Exit status of a command that was: what a shell gives one that Ctrl-C ended."""
_SHELLS = {"bash", "dash", "sh"}
_PUT_OFF = 5.0
"""Seconds for which a signal is put off at most: what it ends is to end within 10."""
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
        self._putting_off = False
        self._put_off: str | None = None
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

    @contextmanager
    def putting_off(self) -> Iterator[None]:
        """Raise nothing within the block but at its end, or after seconds if it takes so long."""
        if self._putting_off:
            yield
            return
        self._putting_off = True
        try:
            yield
        finally:
            self._putting_off = False
            self._raise_put_off()

    def _raise_put_off(self) -> None:
        name, self._put_off = self._put_off, None
        if name:
            raise KeyboardInterrupt(name)

    def _insist(self, number: int, thread: int) -> None:
        time.sleep(_PUT_OFF)
        if self._put_off:
            self._putting_off = False
            # The thread may be waiting for something that only a signal ends.
            signal.pthread_kill(thread, number)

    def _raise_received(self) -> None:
        # Also if it was raised before: then it was lost.
        if self._received:
            raise KeyboardInterrupt(self._received)

    def __enter__(self) -> StopSignals:
        for number in _SIGNALS:
            if around := _entered(number):
                self._received = around._received
            elif signal.getsignal(number) not in _DEFAULTS:
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
        if self._put_off and not self._putting_off:
            self._raise_put_off()
        if (first and not self._holding) or (not first and number == signal.SIGINT):
            if not self._putting_off:
                raise KeyboardInterrupt(name)
            if not self._put_off:
                self._put_off = name
                # A threading.Thread takes a lock that the interrupted code may hold.
                _thread.start_new_thread(self._insist, (number, threading.get_ident()))


def put_off_signals() -> AbstractContextManager[None]:
    """Have the StopSignals that are entered, if any, raise nothing before the end of the block.

    It is for what must not be interrupted anywhere and takes no time, as a rule. After 5 seconds a
    signal is raised all the same.

    Example:
        >>> import signal
        >>> try:
        ...     with StopSignals(), put_off_signals():
        ...         signal.raise_signal(signal.SIGTERM)
        ...         print("not yet")
        ... except KeyboardInterrupt as interrupt:
        ...     print(interrupt)
        not yet
        SIGTERM
    """
    entered = None
    if threading.current_thread() is threading.main_thread():
        entered = next(filter(None, map(_entered, _SIGNALS)), None)
    return entered.putting_off() if entered else nullcontext()


def _entered(number: signal.Signals) -> StopSignals | None:
    handler = signal.getsignal(number)
    around = getattr(handler, "__self__", None)
    return around if isinstance(around, StopSignals) else None


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
