"""SIGTERM and Ctrl-C: the first one ends a training between two batches, not within one."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from barrage_mlflow.distribution.cluster import LAUNCHER

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)
_SHELLS = {"bash", "dash", "sh"}
_INTERVAL = 0.5
"""Seconds between two looks at whether what started this process is still there."""


class StopRequest(AbstractContextManager["StopRequest"]):
    """Remembers the first SIGTERM or SIGINT for whoever asks; a second SIGINT interrupts.

    Keras, TensorFlow and MLflow are not to be interrupted anywhere: an exception that comes up in
    a destructor of theirs is lost, and a database stays locked. So a signal only sets
    :attr:`requested`, unless :meth:`at_once` is entered. Further SIGTERMs are passed over, since
    what ends a training sends more than one.

    Entered within another, it gives that one back. A signal that is ignored, or has a handler
    other than Python's own, is left alone; so are all in threads other than the main one, where
    Python allows no handlers.

    Attributes:
        requested: name of the first signal that came, ``"SIGTERM"``; None if none did.

    Example:
        >>> import signal
        >>> try:
        ...     with StopRequest() as stop:
        ...         signal.raise_signal(signal.SIGTERM)
        ...         print("not yet")
        ...         stop.check()
        ... except KeyboardInterrupt as interrupt:
        ...     print(interrupt)
        not yet
        SIGTERM
    """

    def __init__(self) -> None:
        self.requested: str | None = None
        self._at_once = False
        self._replaced: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Interrupt if a signal came.

        Raises:
            KeyboardInterrupt: with the name of the signal.
        """
        if self.requested:
            raise KeyboardInterrupt(self.requested)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Let a signal interrupt the block wherever it is; one that came before does so at once.

        It is for what takes long and leaves nothing behind.

        Raises:
            KeyboardInterrupt: with the name of the signal, also where the block swallowed it or
                made another exception of it.
        """
        self.check()
        self._at_once = True
        try:
            yield
        except Exception:
            self.check()
            raise
        finally:
            self._at_once = False
        self.check()

    def __enter__(self) -> StopRequest:
        for number in _SIGNALS:
            handler = signal.getsignal(number)
            outer = getattr(handler, "__self__", None)
            if isinstance(outer, StopRequest):
                return outer
            if handler in _DEFAULTS and threading.current_thread() is threading.main_thread():
                self._replaced[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *raised: object) -> None:
        while self._replaced:
            signal.signal(*self._replaced.popitem())

    def _receive(self, number: int, frame: FrameType | None) -> None:
        first, name = self.requested is None, signal.Signals(number).name
        self.requested = self.requested or name
        if self._at_once if first else number == signal.SIGINT:
            raise KeyboardInterrupt(name)


def stop_with_mlflow() -> None:
    """Take the death of the ``mlflow run`` that started this process for a SIGTERM.

    MLflow does not pass on the SIGTERM that ends it. Likewise that of ``barrage-mlflow``, where it
    started several processes. Where something else started this one, nothing is done.

    Example:
        >>> stop_with_mlflow()
    """
    launcher = os.environ.get(LAUNCHER)
    if not (launcher or os.environ.get("MLFLOW_RUN_ID")):
        return
    process = int(launcher or os.getppid())
    # MLflow calls a shell, which may stay between the two.
    while _read(process, "comm").strip() in _SHELLS:
        # Behind the name, which is in brackets and may be anything: state, parent …
        fields = _read(process, "stat").rpartition(")")[2].split()
        process = int(fields[1]) if fields else 0
    if launcher or "mlflow" in _read(process, "cmdline"):
        threading.Thread(target=_watch, args=(process,), name="parent", daemon=True).start()


def _watch(process: int) -> None:
    # One that has died, and that nobody has asked for its status yet, has an empty command line.
    while "mlflow" in _read(process, "cmdline"):
        time.sleep(_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)


def _read(process: int, name: str) -> str:
    try:
        return Path("/proc", str(process), name).read_text("utf-8", "replace")
    except OSError:  # it is gone, or this is not Linux
        return ""
