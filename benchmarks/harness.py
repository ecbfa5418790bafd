"""Measures sides in turn, each in a fresh process, and judges what came of it.

This process imports nothing heavy: a child's peak of memory is never below what the process that
started it had. As a script it is such a child: ``harness.py MODULE:FUNCTION ARGUMENTS ANSWER``.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
ROOT = HERE.parent
MB = 1e6
"""Bytes."""
_LAST_LINES = 15
"""Lines that are shown of what a failed process wrote."""

T = TypeVar("T")


class CaseError(Exception):
    """A case could not be measured; the message ends with the last lines of its process."""


@dataclass(frozen=True)
class Goal:
    """What a ratio must reach, or stay below.

    Example:
        >>> str(Goal(0.95)), Goal(0.95).holds(0.96), Goal(0.7, at_most=True).holds(0.8)
        ('≥ 0.95 ×', True, False)
    """

    bound: float
    at_most: bool = False

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is within the bound."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound} ×"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        case: name of the case, and of the part of it if it has several.
        against: what a user would use instead.
        unit: of ``ours`` and ``peer``.
        ours: one figure a round.
        peer: one figure a round, taken in turn with ours.
        goal: what the ratio must reach.
        note: what else is to be known of these figures.

    Example:
        >>> Row("mlp_32", "fit", "records/s", [3, 2, 9], [1, 1, 3], Goal(2.0)).ratio
        3.0
    """

    case: str
    against: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]
    goal: Goal
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours by the peer's, round by round."""
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: what slows a whole round down falls out of it."""
        return statistics.median(self.ratios)


@dataclass(frozen=True)
class Run:
    """What a process did.

    Attributes:
        seconds: from its start to its end.
        peak: the most memory that it had, in bytes.
        value: what its function returned; None for a command.
    """

    seconds: float
    peak: int
    value: Any = None


class Bench:
    """What the cases are measured with.

    Args:
        data: folder of the data that the cases make; what is there already is used again.
        rounds: how often each side is measured.
        short: whether to take sizes so small that the figures mean nothing.
    """

    def __init__(self, data: Path, rounds: int, short: bool = False) -> None:
        self.rounds = rounds
        self.short = short
        self._data = data

    def size(self, full: T, short: T) -> T:
        """One of two sizes, by whether the run is short."""
        return short if self.short else full

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new folder, which goes away with all that was written to it."""
        with tempfile.TemporaryDirectory(dir=self._data, prefix="run-") as name:
            yield Path(name)

    def made(self, name: str, make: Callable[..., Any], **arguments: Any) -> str:
        """A file or folder of data, made by ``make(path, **arguments)`` if it is not there.

        Args:
            name: of the file; it must give its sizes, since data folders are kept.
            make: see :meth:`call`.
            arguments: handed on.
        """
        path = self._data / name
        if not path.exists():
            # A run that breaks off must not leave half of it under its name.
            half = path.with_name(f"half-{name}")
            if half.is_dir():
                shutil.rmtree(half)
            self.call(make, path=str(half), **arguments)
            half.rename(path)
        return str(path)

    def call(self, function: Callable[..., Any], **arguments: Any) -> Run:
        """Call a function in a fresh process, in a new folder.

        Args:
            function: a function of a module's top level; it imports what is heavy itself.
            arguments: JSON values.

        Raises:
            CaseError: the process failed.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        with self.folder() as folder:
            answer = folder / "answer.json"
            command = [__file__, name, json.dumps(arguments), str(answer)]
            done = self.command([sys.executable, *command], folder)
            return Run(done.seconds, done.peak, json.loads(answer.read_text("utf-8")))

    def command(self, command: Sequence[str], folder: Path) -> Run:
        """Run a command in a folder.

        Raises:
            CaseError: it failed.
        """
        with tempfile.TemporaryFile() as output:
            start = time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            lines = output.read().decode("utf-8", "replace").strip().splitlines()
        if status:
            last = "\n".join(lines[-_LAST_LINES:])
            raise CaseError(f"{' '.join(command)}\nended with status {process.returncode}:\n{last}")
        unit = 1 if sys.platform == "darwin" else 1024
        return Run(seconds, usage.ru_maxrss * unit)

    def in_turn(self, **sides: Callable[[], T]) -> dict[str, list[T]]:
        """Measure sides in turn, once in every round; see :func:`in_turn`."""
        return in_turn(self.rounds, sides)


def in_turn(times: int, sides: Mapping[str, Callable[[], T]]) -> dict[str, list[T]]:
    """Measure sides in turn, so that what else the machine does falls on all alike.

    Every other time goes backwards, so that none is always the first.

    Args:
        times: how often each is measured.
        sides: what measures each.

    Example:
        >>> in_turn(2, {"a": lambda: 1, "b": lambda: 2})
        {'a': [1, 1], 'b': [2, 2]}
    """
    taken: dict[str, list[T]] = {name: [] for name in sides}
    for index in range(times):
        for name in list(sides)[:: 1 if index % 2 == 0 else -1]:
            taken[name].append(sides[name]())
    return taken


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """The environment that every process is run in.

    None of the caller's MLflow settings counts, so that each process has a store of its own in
    its folder; and Python keeps what it compiled, as it does by default: a packaged model would
    else compile its code at each start.

    Args:
        given: the caller's.

    Example:
        >>> "MLFLOW_TRACKING_URI" in environment({"MLFLOW_TRACKING_URI": "http://host"})
        False
    """
    kept = {
        name: value
        for name, value in given.items()
        if not name.startswith("MLFLOW_") and name != "PYTHONDONTWRITEBYTECODE"
    }
    paths = [HERE, ROOT, ROOT / "examples" / "penguins", ROOT / "tests"]
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


# Worker processes that a function starts import this file again.
if __name__ == "__main__":
    called, given_arguments, answer_file = sys.argv[1:]
    module_name, _, function_name = called.partition(":")
    returned = getattr(importlib.import_module(module_name), function_name)(
        **json.loads(given_arguments)
    )
    Path(answer_file).write_text(json.dumps(returned), "utf-8")
