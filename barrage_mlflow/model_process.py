"""A fresh Python process in which one packaged model runs with its own code alone."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from barrage_mlflow import errors
from barrage_mlflow.errors import BarrageError, ComponentError

_MAIN = Path(__file__).with_name("model_process_main.py")
_LAST_WORDS = 20
"""Lines that are shown of what a process wrote that died."""


class ModelProcess(contextlib.AbstractContextManager["ModelProcess"]):
    """A process that can load one model; it starts at once and ends with this one.

    Calls from several threads are answered one after the other.

    Args:
        path: where it imports from; None: from what is installed alone, with what it writes kept
            for messages.

    Raises:
        ComponentError: no process can be started.

    Example:
        >>> with ModelProcess() as process:
        ...     process.call("warm_up")  # doctest: +SKIP
    """

    def __init__(self, path: Sequence[str] | None = None) -> None:
        self._lock = threading.Lock()
        # close() ends it.
        self._said = tempfile.TemporaryFile() if path is None else None  # noqa: SIM115
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = start(theirs.fileno(), path, self._said)
        except OSError as error:
            ours.close()
            raise ComponentError(f"no process can be started for a model: {error}") from error
        self._connection = Connection(ours.detach())

    def ask(self, name: str, *arguments: Any) -> None:
        """Have it do something; :meth:`answer` waits for what comes of it."""
        with contextlib.suppress(OSError):  # it is gone, which the answer tells
            self._connection.send((name, arguments))

    def answer(self) -> Any:
        """Wait for the answer to what was asked first.

        Raises:
            BarrageError: the model raised one.
            ComponentError: it raised something else, or the process died.
        """
        try:
            kind, *answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if kind == "gave":
            return answer[0]
        raise _raised(*answer)

    def call(self, name: str, *arguments: Any) -> Any:
        """Have it do something, and wait for what comes of it.

        Raises:
            As :meth:`answer`.
        """
        with self._lock:
            self.ask(name, *arguments)
            return self.answer()

    def close(self) -> None:
        """End the process, whatever it is at: it holds nothing that could be lost."""
        self._connection.close()
        if self._said:
            self._said.close()
        self._process.kill()
        self._process.wait()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _death(self) -> ComponentError:
        status = self._process.wait()
        how = f"exit status {status}"
        if status < 0:
            how = f"the signal {signal.Signals(-status).name}"
        said = ""
        if self._said:
            self._said.seek(0)
            lines = self._said.read().decode("utf-8", "replace").splitlines()
            said = "".join(f"\n  {line}" for line in lines[-_LAST_WORDS:])
        return ComponentError(f"the process of a packaged model ended with {how}{said}")


def start(
    descriptor: int, path: Sequence[str] | None, said: IO[bytes] | None
) -> subprocess.Popen[bytes]:
    """Start the process itself.

    Args:
        descriptor: of its socket.
        path: where it imports from; None: from what is installed alone.
        said: where it writes; left out, to the standard error of this process.
    """
    # Ctrl-C goes to all processes of the terminal: it must not come before it can be ignored.
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        return subprocess.Popen(
            [sys.executable, "-P", str(_MAIN), str(descriptor), json.dumps(path)],
            stdin=subprocess.DEVNULL,
            stdout=said or 2,
            stderr=said,
            cwd=tempfile.gettempdir(),
            pass_fds=[descriptor],
            # A GPU is for the process that was given it.
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)


def _raised(kind: str, message: str) -> BarrageError:
    module, _, name = kind.rpartition(".")
    error = getattr(errors, name, None)
    if module == __package__ and isinstance(error, type) and error is not errors.ConfigError:
        return error(message)  # type: ignore[no-any-return]
    return ComponentError(f"{name}: {message}" if message else name)
