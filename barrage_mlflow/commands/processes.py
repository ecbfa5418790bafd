"""Trains in several processes on this machine, and starts them again when one is killed."""

from __future__ import annotations

import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import IO

from barrage_mlflow.distribution.cluster import LAUNCHER, LOST, VARIABLE
from barrage_mlflow.errors import GroupError
from barrage_mlflow.workspace.threads import share_threads

logger = logging.getLogger(__name__)

_DEVICES = "CUDA_VISIBLE_DEVICES"
_PATIENCE = 30
"""Seconds for the first process to notice that another has ended, and to say so to MLflow."""
_LAST_CHECKPOINT = 120
"""Seconds for it to end where it was asked to."""
_NOTHING_LOST = 5
"""Seconds for the others to end once the first has."""
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
        for start in range(restarts + 1):
            ended = crew.run()
            if (0, 0) in ended:  # what the first has made is whole, whatever befell the others
                return 0
            failed = [end for end in ended if end[1]]
            # What another process has ended by is no cause.
            place, status = next((end for end in failed if end[1] != LOST), failed[0])
            if crew.is_stopped or 0 < status != LOST:
                return status if status > 0 else 128 - status
            how = (
                f"was ended by {signal.Signals(-status).name}" if status < 0 else "lost the others"
            )
            what = f"process {place} of {count} {how}"
            if start < restarts:
                logger.warning("%s: all go on from the last checkpoint", what)
                crew.resume()
    used = f", and {restarts} --restarts are used up" if restarts else ""
    logger.error("error: %s%s; go on with --resume, or have --restarts N do it", what, used)
    return _FAILED


class _Crew:
    """The processes of a training, from start to end, as often as need be.

    Attributes:
        is_stopped: whether a signal came, which was passed on to them.
    """

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self.is_stopped = False
        self._arguments = list(arguments)
        self._count = count
        self._devices = _devices(count)
        self._signals: list[int] = []

    def resume(self) -> None:
        """Have the next processes go on."""
        if not any(each.partition("=")[0] == "--resume" for each in self._arguments):
            self._arguments.append("--resume")

    def run(self) -> list[tuple[int, int]]:
        """Start all, and wait until all have ended: place and exit status, as they ended."""
        addresses = _free_addresses(self._count)
        with ExitStack() as stack:
            processes = [
                stack.enter_context(self._start(addresses, index)) for index in range(self._count)
            ]
            threads = [
                threading.Thread(target=_pass_on, args=(process.stdout, index), daemon=True)
                for index, process in enumerate(processes)
                if process.stdout
            ]
            for thread in threads:
                thread.start()
            ended = self._wait(processes)
            for thread in threads:
                thread.join(_NOTHING_LOST)
        return ended

    def signalled(self) -> ExitStack:
        """Take signals for all processes, as long as this is entered."""
        stack = ExitStack()
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self._receive)
            stack.callback(signal.signal, number, before)
        return stack

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # It is passed on by who waits: not all may have been started yet.
        self.is_stopped = True
        self._signals.append(number)

    def _start(self, addresses: Sequence[str], index: int) -> subprocess.Popen[str]:
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            VARIABLE: json.dumps({"cluster": {"worker": addresses}, "task": task}),
            LAUNCHER: str(os.getpid()),
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

    def _wait(self, processes: Sequence[subprocess.Popen[str]]) -> list[tuple[int, int]]:
        """Wait for all. Once one has failed, the others have so much time; then they are killed."""
        left, ended = dict(enumerate(processes)), []
        failed = math.inf
        while left:
            time.sleep(_INTERVAL)
            while self._signals:
                number = self._signals.pop(0)
                for process in left.values():
                    process.send_signal(number)
            gone = [(n, status) for n, each in left.items() if (status := each.poll()) is not None]
            # TensorFlow may abort a process when another has failed: that one is named first.
            for place, status in sorted(gone, key=lambda end: end[1] < 0):
                del left[place]
                ended.append((place, status))
            if any(status for _, status in gone):
                failed = min(failed, time.monotonic())
            patience = _LAST_CHECKPOINT if self.is_stopped else _PATIENCE
            if time.monotonic() > failed + (patience if 0 in left else _NOTHING_LOST):
                for process in left.values():
                    process.kill()
        return ended


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
