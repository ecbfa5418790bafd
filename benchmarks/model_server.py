"""A packaged model behind ``mlflow models serve``, as a group of processes that ends with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from harness import MB, CaseError
from load_client import Request, ask

_PATIENCE = 180
"""Seconds within which a server must answer."""
_POLL = 0.01
"""Seconds between two looks whether it does."""
_READY = "Application startup complete."
"""What uvicorn writes once for each worker."""
_LAST_WORDS = 2_000
"""Characters that are shown of what a server said which did not start."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@dataclass(frozen=True)
class ModelServer:
    """A server that was started.

    Attributes:
        port: where it listens, or will.
        began: when it was started, in seconds of ``time.perf_counter``.
        workers: how many processes answer.
        log: what it writes.
        process: ``mlflow models serve``; the others are in its group.
    """

    port: int
    began: float
    workers: int
    log: Path
    process: subprocess.Popen[bytes]

    def wait(self, request: Request) -> float:
        """Wait until it answers, asking often, and until all its workers are ready.

        Args:
            request: what to ask.

        Returns:
            Seconds from its start to the first answer.

        Raises:
            CaseError: it ended, or takes too long.
        """
        while True:
            try:
                ask(self.port, request)
            except OSError:
                self._check()
                time.sleep(_POLL)
            else:
                break
        seconds = time.perf_counter() - self.began
        while self._said().count(_READY) < self.workers:
            self._check()
            time.sleep(_POLL)
        return seconds

    def memory(self) -> float:
        """Resident memory of the process that answers, the largest of the group; MB."""
        return max(group_memory(self.process.pid)) / MB

    def _check(self) -> None:
        late = time.perf_counter() > self.began + _PATIENCE
        if late or self.process.poll() is not None:
            raise CaseError(f"the model server did not start:\n{self._said()[-_LAST_WORDS:]}")

    def _said(self) -> str:
        return self.log.read_text("utf-8", errors="replace")


def group_memory(group: int) -> list[int]:
    """Resident memory of each process of a group that runs, in bytes."""
    command = ["ps", "-A", "-o", "pgid=,stat=,rss="]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line.split() for line in shown.splitlines()]
    # One that has ended stays listed until whoever started it takes note.
    return [
        int(rss) * 1024
        for of, state, rss in lines
        if int(of) == group and not state.startswith("Z")
    ]


def serve_command(uri: str, port: int, workers: int) -> list[str]:
    """The command that serves a model on a port of 127.0.0.1, from the active environment."""
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    return [*command, "--workers", str(workers)]


@contextmanager
def model_server(uri: str, folder: Path, workers: int = 1) -> Iterator[ModelServer]:
    """Serve a model on a free port of 127.0.0.1, from the active environment.

    Args:
        uri: MLflow's URI of the model.
        folder: where its store is; the server's log goes there too.
        workers: how many processes answer.
    """
    port = free_port()
    # MLflow looks for uvicorn on the path, where the active environment need not come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    log = folder / f"server-{port}.log"
    with log.open("wb") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            serve_command(uri, port, workers),
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield ModelServer(port, began, workers, log, process)
    finally:
        # It has nothing to save, and what comes next is measured as soon as it is gone.
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def model_servers(
    uris: Mapping[str, str], folder: Path, request: Request, workers: int = 1
) -> Iterator[dict[str, int]]:
    """Serve several models side by side, each once it answers.

    Args:
        uris: by name.
        folder: see :func:`model_server`.
        request: what each is asked to see that it answers.
        workers: of each.

    Yields:
        The ports, by name.
    """
    with ExitStack() as stack:
        started = {
            name: stack.enter_context(model_server(uri, folder, workers))
            for name, uri in uris.items()
        }
        for server in started.values():
            server.wait(request)
        yield {name: server.port for name, server in started.items()}
