"""A fresh Python process that runs one packaged model, with the model's own code alone."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from signal import Signals
from typing import Any

from barrage_mlflow import errors
from barrage_mlflow.errors import BarrageError, ComponentError

_MAIN = Path(__file__).with_name("process_main.py")
_LAST_LINES = 20
"""Lines that are shown of what a process wrote that died."""


class ModelProcess(contextlib.AbstractContextManager["ModelProcess"]):
    """A process that can load one packaged model; it ends with this one at the latest.

    It imports from what is installed and from the model's own folder, as a server elsewhere would.
    What it writes is kept for messages. Calls from several threads are answered one by one.

    Raises:
        ComponentError: no process can be started.

    Example:
        >>> with ModelProcess() as process:  # doctest: +SKIP
        ...     process.call("load", "artifacts/iris/model")
        ([{'name': 'sepal_length', 'kind': 'number'}], ['species'], {})
    """

    def __init__(self) -> None:
        self._connection, theirs = multiprocessing.Pipe()
        self._written = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._lock = threading.Lock()
        with theirs:
            try:
                # It begins at once to import what every model needs.
                self._process = subprocess.Popen(
                    [sys.executable, "-P", str(_MAIN), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._written,
                    stderr=subprocess.STDOUT,
                    cwd=tempfile.gettempdir(),
                    pass_fds=[theirs.fileno()],
                    # A GPU is for the process that was given it.
                    env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
                    # Ctrl-C goes to the whole group of a terminal; this process ends it.
                    start_new_session=True,
                )
            except OSError as error:
                self._connection.close()
                self._written.close()
                raise ComponentError(f"no process can be started for a model: {error}") from error

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
                self._connection.close()
                self._process.kill()
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
        self._process.wait()
        self._written.close()

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _death(self) -> ComponentError:
        status = self._process.wait()
        self._written.seek(0)
        written = self._written.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
        lines = "".join(f"\n  {line}" for line in written)
        how = f"exit status {status}" if status >= 0 else f"the signal {Signals(-status).name}"
        return ComponentError(f"the process of a packaged model ended with {how}{lines}")
