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
import warnings
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

from barrage_mlflow import errors
from barrage_mlflow.errors import BarrageError, ComponentError
from barrage_mlflow.scoring import process_main as model_process_main

_MAIN = Path(__file__).with_name("process_main.py")
_LAST_WORDS = 20
"""Lines that are shown of what a process wrote that died."""
_STUCK = 120.0
"""Seconds after which a fork that has not answered is taken to wait for ever."""
# A GPU is for the process that was given it.
_FOR_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}


class ModelProcess(contextlib.AbstractContextManager["ModelProcess"]):
    """A process that can load one model; it starts at once and ends with this one.

    Calls from several threads are answered one after the other.

    Args:
        path: where it imports from; None: from what is installed alone, with what it writes kept
            for messages.
        forked: whether it is a fork of this process instead of a fresh one; see
            :func:`fork_spare`.

    Raises:
        ComponentError: no process can be started.

    Example:
        >>> with ModelProcess() as process:
        ...     process.call("warm_up")  # doctest: +SKIP
    """

    def __init__(self, path: Sequence[str] | None = None, forked: bool = False) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._asked: deque[Any] = deque()
        self._forked = forked
        # close() ends it.
        self._said = tempfile.TemporaryFile() if path is None else None  # noqa: SIM115
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                if self._forked and self._said:
                    self._process: subprocess.Popen[bytes] | _Fork = _fork(ours, theirs, self._said)
                else:
                    self._process = start(theirs.fileno(), self._path, self._said)
        except OSError as error:
            ours.close()
            if self._said:
                self._said.close()
            raise ComponentError(f"no process can be started for a model: {error}") from error
        self._connection = Connection(ours.detach())

    @classmethod
    def spare(cls) -> ModelProcess:
        """A process that imports from what is installed alone: one forked ahead, or a fresh one."""
        return _spares.pop() if _spares else cls()

    def ask(self, name: str, *arguments: Any) -> None:
        """Have it do something; :meth:`answer` waits for what comes of it."""
        self._asked.append((name, arguments))
        with contextlib.suppress(OSError):  # it is gone, which the answer tells
            self._connection.send((name, arguments))

    def answer(self) -> Any:
        """Wait for the answer to what was asked first.

        Raises:
            BarrageError: the model raised one.
            ComponentError: it raised something else, or the process died.
        """
        if self._forked and not self._connection.poll(_STUCK):
            self._restart()
        try:
            kind, *answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        self._asked.popleft()
        if kind == "gave":
            return answer[0]
        raise _raised(*answer)

    def _restart(self) -> None:
        """Put a fresh process in the place of a fork that waits for a lock which nobody holds."""
        self._end()
        self._forked = False
        self._start()
        for question in self._asked:
            self._connection.send(question)

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
        self._end()
        if self._said:
            self._said.close()

    def _end(self) -> None:
        self._connection.close()
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
            env={**os.environ, **_FOR_CPU},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held_back)


def fork_spare() -> None:
    """Fork the process that :meth:`ModelProcess.spare` will give, where that is sound.

    It shares what this one has imported, which takes seconds. To be called before anything is done
    with TensorFlow: it has no threads before it is used. Only on Linux: elsewhere, libraries of
    the system may not be forked.
    """
    if sys.platform == "linux":
        model_process_main.warm_up()
        _spares.append(ModelProcess(forked=True))


_spares: list[ModelProcess] = []


class _Fork:
    """A forked process, as much like a Popen as is needed."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._status: int | None = None

    def kill(self) -> None:
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)

    def wait(self) -> int:
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._status


def _fork(ours: socket.socket, theirs: socket.socket, said: IO[bytes]) -> _Fork:
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # Threads of libraries that only wait, and know about forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return _Fork(pid)
    try:
        ours.close()
        os.chdir(tempfile.gettempdir())
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
        os.environ.update(_FOR_CPU)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        model_process_main.main(theirs.fileno(), None)
    finally:
        os._exit(0)


def _raised(kind: str, message: str) -> BarrageError:
    module, _, name = kind.rpartition(".")
    error = getattr(errors, name, None)
    if module == "barrage_mlflow" and isinstance(error, type) and error is not errors.ConfigError:
        return error(message)  # type: ignore[no-any-return]
    return ComponentError(f"{name}: {message}" if message else name)
