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
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import FrameType
from typing import IO

from barrage_mlflow.distribution.group import VARIABLE
from barrage_mlflow.distribution.launched import LAUNCHED, LastWord, has_met
from barrage_mlflow.errors import GroupError
from barrage_mlflow.workspace.threads import share_threads

logger = logging.getLogger(__name__)

_DEVICES = "CUDA_VISIBLE_DEVICES"
_PATIENCE = 120
"""Seconds: what a process may take to end after another has, for its last checkpoint."""
_PATIENCE_BEFORE = 5
"""Seconds: likewise, of a process that waits to meet the others, where no signal reaches it."""
_LAST_LINES = 5
"""Seconds: what a process that has ended has written may come for so long."""
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
        while end := crew.run():
            if crew.stopped:
                logger.error(end.word.message or "interrupted")
                return end.status if end.status > 0 else 128 + crew.stopped
            if end.status > 0 and not end.word.is_consequence:
                if end.word.message:
                    logger.error("%s", _numbered(end.word.message, end.place))
                return end.status
            message = f"process {end.place} of {count} "
            message += (
                f"was ended by {signal.Signals(-end.status).name}"
                if end.status < 0
                else f"has lost the others ({end.word.message})"
            )
            if crew.starts > restarts:
                used = f"; --restarts {restarts} are used up: go on with --resume"
                remedy = used if restarts else "; go on with --resume, or have --restarts do it"
                logger.error("error: %s%s", message, remedy)
                return _FAILED
            left = restarts - crew.starts
            logger.warning("%s: all start again, %s more times at most", message, left)
            crew.resume()
    return 0


@dataclass(frozen=True)
class _End:
    """How a process ended: which one, its exit status, and what it said."""

    place: int
    status: int
    word: LastWord


class _Crew:
    """The processes of a training, from start to end, as often as need be.

    Attributes:
        stopped: the first signal that came; None if none did.
        starts: how often all have been started.
    """

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self.stopped: int | None = None
        self.starts = 0
        self._arguments = list(arguments)
        self._count = count
        self._devices = _devices(count)
        self._signals: list[int] = []

    def resume(self) -> None:
        """Have the next processes go on."""
        if not any(each.partition("=")[0] == "--resume" for each in self._arguments):
            self._arguments.append("--resume")

    def run(self) -> _End | None:
        """Start all, and wait until all have ended.

        Returns:
            The one that did not end well, and on which the others followed; None if all is well.
        """
        self.starts += 1
        addresses = _free_addresses(self._count)
        with ExitStack() as stack:
            words = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(self._count)]
            processes = [
                stack.enter_context(self._start(addresses, index, word.fileno()))
                for index, word in enumerate(words)
            ]
            threads = [
                threading.Thread(target=_pass_on, args=(process.stdout, index), daemon=True)
                for index, process in enumerate(processes)
                if process.stdout
            ]
            for thread in threads:
                thread.start()
            ends = [
                _End(place, processes[place].returncode, word or LastWord.read(words[place]))
                for place, word in self._wait(processes, words).items()
            ]
            for thread in threads:
                thread.join(_LAST_LINES)
        return self._cause([end for end in ends if end.status])

    def _cause(self, failed: Sequence[_End]) -> _End | None:
        first = next((end for end in failed if end.place == 0), None)
        if self.stopped:
            return first  # of what it made, all hangs
        cause = next((end for end in failed if not end.word.is_consequence), None)
        # What all have found, such as a fault of the config, the first one says.
        if cause and first and cause.status == first.status and not first.word.is_consequence:
            return first
        return cause or next(iter(failed), None)

    def signalled(self) -> ExitStack:
        """Pass signals on to all processes, as long as this is entered."""
        stack = ExitStack()
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self._receive)
            stack.callback(signal.signal, number, before)
        return stack

    def _receive(self, number: int, frame: FrameType | None) -> None:
        # Not all processes may have been started yet.
        self.stopped = self.stopped or number
        self._signals.append(number)

    def _start(self, addresses: Sequence[str], index: int, word: int) -> subprocess.Popen[str]:
        task = {"type": "worker", "index": index}
        environment = {
            **os.environ,
            VARIABLE: json.dumps({"cluster": {"worker": addresses}, "task": task}),
            LAUNCHED: f"{os.getpid()}:{word}",
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
            pass_fds=[word],
            # Ctrl-C goes to the whole group of a terminal; it is passed on once.
            start_new_session=True,
        )

    def _wait(
        self, processes: Sequence[subprocess.Popen[str]], words: Sequence[IO[bytes]]
    ) -> dict[int, LastWord | None]:
        """Wait for all. Once one has ended otherwise than well, the others have little time.

        Returns:
            Those that ended, in their order, and what is known of why.
        """
        ended: dict[int, LastWord | None] = {}
        failed = math.inf
        while len(ended) < len(processes):
            while self._signals:
                number = self._signals.pop(0)
                for process in processes:
                    with suppress(ProcessLookupError):
                        process.send_signal(number)
            left = [place for place in range(len(processes)) if place not in ended]
            gone = [place for place in left if processes[place].poll() is not None]
            # A process that is aborted where another has failed may seem to end with it.
            gone.sort(key=lambda place: processes[place].returncode < 0)
            ended |= dict.fromkeys(gone)
            if any(processes[place].returncode for place in gone):
                failed = min(failed, time.monotonic())
            for place in left:
                patience = _PATIENCE if has_met(words[place]) else _PATIENCE_BEFORE
                is_late = time.monotonic() > failed + patience
                if is_late and processes[place].poll() is None:
                    processes[place].kill()
                    processes[place].wait()
                    ended[place] = LastWord(is_consequence=True)
            time.sleep(_INTERVAL)
        return ended


def _numbered(text: str, place: int) -> str:
    """What a process other than the first says."""
    return "\n".join(f"[{place}] {line}" if place else line for line in text.splitlines())


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
