"""A fresh Python process that runs one packaged model, with the model's own code alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from signal import Signals
from typing import Any

from barrage_mlflow import errors
from barrage_mlflow.errors import BarrageError, ComponentError

_MAIN = Path(__file__).with_name("process_main.py")
_LAST_LINES = 20
"""Lines that are shown of what a process wrote that died."""
# A GPU is for the process that was given it.
_FOR_CPU = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}


class ModelProcess(contextlib.AbstractContextManager["ModelProcess"]):
    """A process that can load one packaged model; it ends with this one at the latest.

    It imports from what is installed and from the model's own folder, as a server elsewhere would.
    What it writes is kept for messages. Calls from several threads are answered one by one.

    Example:
        >>> with ModelProcess.start() as process:  # doctest: +SKIP
        ...     process.call("load", "artifacts/iris/model")
        ([{'name': 'sepal_length', 'type': 'double', 'required': True}], ['species'])
    """

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection) -> None:
        self._process = process
        self._connection = connection
        self._lock = threading.Lock()
        self._written: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    @classmethod
    def start(cls) -> ModelProcess:
        """Start a process, which begins at once to import what every model needs.

        Raises:
            ComponentError: no process can be started.
        """
        ours, theirs = multiprocessing.Pipe()
        with theirs:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", str(_MAIN), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd=tempfile.gettempdir(),
                    pass_fds=[theirs.fileno()],
                    env={**os.environ, **_FOR_CPU},
                    # Ctrl-C goes to the whole group of a terminal; this process ends it.
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ComponentError(f"no process can be started for a model: {error}") from error
        return cls(process, ours)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions of ``process_main`` there, and wait for what it returns.

        Args:
            name: of the function.
            arguments: what it takes.

        Raises:
            BarrageError: the model raised one.
            ComponentError: it raised something else, or the process died.
        """
        with self._lock:
            try:
                self._connection.send((name, arguments))
                succeeded, *answer = self._connection.recv()
            except (EOFError, OSError) as error:
                raise self._death() from error
            except BaseException:
                # The answer is still to come: the next call would take it for its own.
                self.close()
                raise
        if succeeded:
            return answer[0]
        error_name, message = answer
        error_class: type[BarrageError] = getattr(errors, error_name, ComponentError)
        raise error_class(message)

    def close(self) -> None:
        """End the process, whatever it is doing: it has nothing that could be lost."""
        self._connection.close()
        self._process.kill()
        self._wait()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _wait(self) -> int:
        status = self._process.wait()
        # What the process itself started may still be there, and write.
        self._reader.join(1.0)
        return status

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self._written.extend(lines)

    def _death(self) -> ComponentError:
        status = self._wait()
        written = b"".join(self._written).decode("utf-8", "replace").splitlines()
        lines = "".join(f"\n  {line}" for line in written)
        how = f"exit status {status}" if status >= 0 else f"the signal {Signals(-status).name}"
        return ComponentError(f"the process of a packaged model ended with {how}{lines}")
