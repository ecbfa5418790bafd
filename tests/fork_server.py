"""Forks model processes from one that has imported TensorFlow and MLflow, but has not used them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

MAIN = Path(__file__).parents[1] / "barrage_mlflow" / "scoring" / "process_main.py"


class ForkServer:
    """Starts model processes by forking; it is started itself when the first is wanted."""

    def __enter__(self) -> ForkServer:
        self._server: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        return self

    def start(self, descriptor: int, path: Any, said: IO[bytes] | None) -> Forked:
        with self._lock:
            if self._server is None:
                self._socket, theirs = socket.socketpair()
                with theirs:
                    self._server = subprocess.Popen(
                        [sys.executable, "-P", __file__, str(theirs.fileno())],
                        pass_fds=[theirs.fileno()],
                        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
                        cwd=tempfile.gettempdir(),
                        stderr=subprocess.DEVNULL,
                    )
            message = json.dumps([path, dict(os.environ)]).encode()
            head = len(message).to_bytes(8, "big")
            output = said.fileno() if said else 2
            socket.send_fds(self._socket, [head], [descriptor, output])
            self._socket.sendall(message)
            return Forked(int.from_bytes(_exactly(self._socket, 8), "big"))

    def __exit__(self, *raised: object) -> None:
        if self._server is not None:
            self._socket.close()
            self._server.wait()


class Forked:
    """What is needed of a Popen."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        while True:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return -signal.SIGKILL
            time.sleep(0.001)


def _exactly(connection: socket.socket, size: int) -> bytes:
    return connection.recv(size, socket.MSG_WAITALL)


def serve(connection: socket.socket) -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("__model_process__", MAIN)
    assert spec is not None
    assert spec.loader is not None
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    main.warm_up()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # none of them is waited for
    while True:
        head, descriptors, *_ = socket.recv_fds(connection, 8, 2)
        if not head:
            return
        path, environment = json.loads(_exactly(connection, int.from_bytes(head, "big")))
        pid = os.fork()
        if not pid:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.dup2(descriptors[1], 1)
            os.dup2(descriptors[1], 2)
            os.environ.clear()
            os.environ.update(environment, CUDA_VISIBLE_DEVICES="-1")
            main.main(descriptors[0], path)
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        connection.sendall(pid.to_bytes(8, "big"))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
