"""Runs a command as a whole fresh process, and tells what it took."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in what the system counts the most memory of a process in."""


@dataclass(frozen=True)
class Run:
    """What a process did.

    Attributes:
        status: its exit status.
        stdout: what it wrote there, in UTF-8.
        stderr: likewise.
        seconds: from its start to its end.
        peak: the most memory that it held, in bytes.
    """

    status: int
    stdout: str
    stderr: str
    seconds: float
    peak: int


def run(command: Sequence[str], folder: Path) -> Run:
    """Runs a command in a folder. Its peak is never below what this process itself held before."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        said = []
        for file in (stdout, stderr):
            file.seek(0)
            said.append(file.read().decode("utf-8"))
    return Run(process.returncode, said[0], said[1], seconds, usage.ru_maxrss * MAXRSS_UNIT)


def run_apart(command: Sequence[str], folder: Path) -> Run:
    """The same from a small process in between, so that the peak is the command's own."""
    between = [sys.executable, __file__, json.dumps([list(command), str(folder)])]
    done = subprocess.run(between, check=True, capture_output=True, text=True)
    return Run(**json.loads(done.stdout))


if __name__ == "__main__":
    arguments, where = json.loads(sys.argv[1])
    print(json.dumps(asdict(run(arguments, Path(where)))))  # noqa: T201 - this is its answer
