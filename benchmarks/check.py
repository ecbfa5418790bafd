"""Measures `barrage-mlflow check` as its user meets it: whole processes, from start to end.

Run as ``python benchmarks/check.py``; it prints one table and takes a minute.
"""

# ruff: noqa: T201 - it is there to print

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bad_inputs import CONTENTS, write_bad_input
from fresh import Run, run
from recipes import write_penguins

ROUNDS = 21
CHECK = [sys.executable, "-m", "barrage_mlflow", "check"]
PASS = [sys.executable, "-c", "pass"]


def measure(rounds: int, *commands: Callable[[], Run]) -> list[list[Run]]:
    """Run commands in turn, so that what else the machine does falls on all alike."""
    taken = [[command() for command in commands] for _ in range(rounds)]
    return [list(runs) for runs in zip(*taken, strict=True)]


def row(name: str, runs: list[Run]) -> str:
    """One line of the table."""
    seconds = sorted(run.seconds for run in runs)
    peak = max(run.peak for run in runs) / 1e6
    median = statistics.median(seconds)
    return f"{name:32} {median:7.3f} {seconds[0]:7.3f} {seconds[-1]:7.3f} {peak:8.0f}"


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_penguins(folder)
        run([*CHECK, "config.json"], folder)  # fills the index of Keras
        valid, faulty, nothing = measure(
            ROUNDS,
            lambda: run([*CHECK, "config.json"], folder),
            lambda: run([*CHECK, "faulty.json"], folder),
            lambda: run(PASS, folder),
        )
        assert {done.status for done in valid} == {0}
        assert {(done.status, len(done.stdout.splitlines())) for done in faulty} == {(1, 4)}
        print(f"{'':32} {'median':>7} {'least':>7} {'most':>7} {'peak':>8}")
        print(f"{'of ' + str(ROUNDS) + ' processes':32} {'s':>7} {'s':>7} {'s':>7} {'MB':>8}")
        print(row("check, valid config", valid))
        print(row("check, faulty config", faulty))
        print(row("python -c pass", nothing))
        for kind in CONTENTS:
            file = write_bad_input(kind, folder)
            print(row(f"bad input: {kind}", [run([*CHECK, file], folder) for _ in range(3)]))


if __name__ == "__main__":
    main()
