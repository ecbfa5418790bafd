"""Real MLflow servers that a test may kill and start again, and one that never answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from outside import answers, free_port, wait_for


@contextmanager
def deaf_server() -> Iterator[str]:
    """The URI of a server that accepts and never answers."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(1_000)
        yield f"http://127.0.0.1:{deaf.getsockname()[1]}"


class MlflowServer(AbstractContextManager["MlflowServer"]):
    """``mlflow server`` with one worker, which stores in a folder and starts at once."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        address = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db"]
        files = ["--artifacts-destination", str(self.folder / "stored")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *address, *store, *files],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: answers(f"{self.uri}/health"), 180)

    @property
    def is_there(self) -> bool:
        """Whether it was started, and not killed since."""
        return self._process is not None

    def signal(self, number: signal.Signals) -> None:
        """Signal the server and the workers that it started: they are a group of their own."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()
        self._process = None

    def __exit__(self, *raised: object) -> None:
        if self._process is not None:
            self.kill()
