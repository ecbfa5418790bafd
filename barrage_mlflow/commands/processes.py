"""Trains in several processes on this machine, and starts them again when one is killed."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import IO

from barrage_mlflow.distribution.group import VARIABLE
from barrage_mlflow.errors import GroupError
from barrage_mlflow.training.stop import LAUNCHED
from barrage_mlflow.workspace.threads import share_threads

logger = logging.getLogger(__name__)

_DEVICES = "CUDA_VISIBLE_DEVICES"
_PATIENCE = 120
"""Seconds: what a process may take to end after another has, for its last checkpoint."""
_INTERVAL = 0.1
_FAILED = 2


def train_in_processes(arguments: Sequence[str], count: int, restarts: int = 0) -> int:
    """Run a command in several processes that train one network together.

    Each has a share of the cores, and a GPU of its own where there are any. The first writes as if
    it were alone; a line of another begins with its number. A signal goes to all of them.

    Args:
        arguments: of ``barrage-mlflow``: ``["train", "config.json", …]``.
        count: how many processes.
        restarts: how often to start all of them again, to go on, when one was killed.

    Returns:
        The exit status: 0 if all ended well.

    Raises:
        GroupError: there are fewer GPUs than processes.

    Example:
        >>> train_in_processes(["train", "config.json", "a.csv", "b.csv"], 2)  # doctest: +SKIP
        0
    """
    crew = _Crew(arguments, count)
    with crew.signalled():
        while True:
            statuses = crew.run()
            killed = [place for place, status in enumerate(statuses) if status < 0]
            if not killed or crew.is_stopped:
                return next(filter(None, statuses), 0) if not killed else 128 - statuses[killed[0]]
            name = signal.Signals(-statuses[killed[0]]).name
            message = f"process {killed[0]} of {count} was ended by {name}"
            if not restarts:
                logger.error("error: %s; go on with --resume, or have --restarts do it", message)
                return _FAILED
            restarts -= 1
            logger.warning("%s: all start again, %s more times at most", message, restarts)
            crew.resume()


class _Crew:
    """The processes of a training, from start to end, as often as need be."""

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self.is_stopped = False
        self._arguments = list(arguments)
        self._count = count
        self._devices = _devices(count)
        self._processes: list[subprocess.Popen[str]] = []

    def resume(self) -> None:
        """Have the next processes go on."""
        if not any(each.partition("=")[0] == "--resume" for each in self._arguments):
            self._arguments.append("--resume")

    def run(self) -> list[int]:
        """Start all, and wait until all have ended; the exit status of each."""
        addresses = _free_addresses(self._count)
        with ExitStack() as stack:
            self._processes = [
                stack.enter_context(self._start(addresses, index)) for index in range(self._count)
            ]
            threads = [
                threading.Thread(target=_pass_on, args=(process.stdout, index), daemon=True)
                for index, process in enumerate(self._processes)
                if process.stdout
            ]
            for thread in threads:
                thread.start()
            self._wait()
            for thread in threads:
                thread.join(_INTERVAL)
            return [process.returncode for process in self._processes]

    def signalled(self) -> ExitStack:
        """Pass signals on to all processes, as long as this is entered."""
        stack = ExitStack()
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self._pass_signal)
            stack.callback(signal.signal, number, before)
        return stack

    def _pass_signal(self, number: int, frame: FrameType | None) -> None:
        self.is_stopped = True
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.send_signal(number)

    def _start(self, addresses: Sequence[str], index: int) -> subprocess.Popen[str]:
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            VARIABLE: json.dumps({"cluster": {"worker": addresses}, "task": task}),
            LAUNCHED: "1",
            **share_threads(self._count),
        }
        if self._devices:
            environment[_DEVICES] = self._devices[index]
        output = None if index == 0 else subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, "-m", "barrage_mlflow", *self._arguments],
            env=environment,
            stdout=output,
            stderr=output and subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C goes to the whole group of a terminal; it is passed on once.
            start_new_session=True,
        )

    def _wait(self) -> None:
        """Wait for all. Once one has ended otherwise than well, the others have little time."""
        until: float | None = None
        while any(process.poll() is None for process in self._processes):
            if until is None and any(process.returncode for process in self._processes):
                until = time.monotonic() + _PATIENCE
            if until is not None and time.monotonic() > until:
                for process in self._processes:
                    process.kill()
            time.sleep(_INTERVAL)


def _pass_on(lines: IO[str], index: int) -> None:
    """Write what a process writes, with its number before each line."""
    for line in lines:
        sys.stderr.write(f"[{index}] {line}")
        sys.stderr.flush()


def _free_addresses(count: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


def _devices(count: int) -> list[str]:
    """The GPUs of this machine, one for each process; none where there are none."""
    given = os.environ.get(_DEVICES)
    if given is not None:
        devices = [each for each in given.split(",") if each.strip() not in {"", "-1"}]
    elif shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        devices = subprocess.run(
            command, capture_output=True, text=True, check=False
        ).stdout.split()
    else:
        devices = []
    if devices and len(devices) < count:
        raise GroupError(
            f"expected a GPU for each of {count} processes, got {len(devices)}: start fewer, or "
            f"set {_DEVICES}=-1 to train on CPU cores"
        )
    return devices
