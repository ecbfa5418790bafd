"""Measures sides in turn, each in a fresh process, and judges what came of it.

This process imports neither TensorFlow nor MLflow: a child's peak of memory is never below what the
process that started it had. As a script it is such a child: ``harness.py MODULE:FUNCTION ARGUMENTS
ANSWER``.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import fresh

HERE = Path(__file__).parent
ROOT = HERE.parent
MB = 1e6
"""Bytes."""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        case: name of the case, and of the part of it if it has several.
        against: what a user would use instead.
        unit: of ``ours`` and ``peer``.
        ours: one figure a round.
        peer: one figure a round, taken in turn with ours.
        goal: what the ratio must reach, or stay below: ``"≥ 2.0"`` or ``"≤ 0.85"``.
        note: what else is to be known of these figures.

    Example:
        >>> row = Row("mlp_32", "fit", "records/s", [3, 2, 9], [1, 1, 3], "≥ 2.0")
        >>> row.ratio, row.holds
        (3.0, True)
    """

    case: str
    against: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float]
    goal: str
    note: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours by the peer's, round by round."""
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: what slows a whole round down falls out of it."""
        return statistics.median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether the ratio is within the goal."""
        sign, bound = self.goal.split()
        return self.ratio >= float(bound) if sign == "≥" else self.ratio <= float(bound)


class Bench:
    """What the cases are measured with.

    Args:
        data: an empty folder for the data that the cases make.
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
        with tempfile.TemporaryDirectory(dir=self._data) as name:
            yield Path(name)

    def made(self, name: str, make: Callable[..., Any], **arguments: Any) -> str:
        """A file of data, made by ``make(path, **arguments)`` if it is not there; its path."""
        path = self._data / name
        if not path.exists():
            make(path, **arguments)
        return str(path)

    def call(self, function: Callable[..., Any], **arguments: Any) -> Any:
        """Call a function in a fresh process, in a new folder; return what it returns.

        Args:
            function: a function of a module's top level; it imports what is heavy itself.
            arguments: JSON values.

        Raises:
            RuntimeError: the process failed.
        """
        name = f"{function.__module__}:{function.__qualname__}"
        with self.folder() as folder:
            answer = folder / "answer.json"
            command = [sys.executable, __file__, name, json.dumps(arguments), str(answer)]
            self.command(command, folder)
            return json.loads(answer.read_text("utf-8"))

    def command(self, command: Sequence[str], folder: Path) -> fresh.Run:
        """Run a command in a folder.

        Raises:
            RuntimeError: it failed; the message ends with the last lines that it wrote.
        """
        done = fresh.run(command, folder)
        if done.status:
            last = "\n".join(f"{done.stdout}{done.stderr}".splitlines()[-15:])
            raise RuntimeError(f"{' '.join(command)}\nended with status {done.status}:\n{last}")
        return done

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


# Worker processes that a function starts import this file again.
if __name__ == "__main__":
    called, given_arguments, answer_file = sys.argv[1:]
    module_name, _, function_name = called.partition(":")
    returned = getattr(importlib.import_module(module_name), function_name)(
        **json.loads(given_arguments)
    )
    Path(answer_file).write_text(json.dumps(returned), "utf-8")
