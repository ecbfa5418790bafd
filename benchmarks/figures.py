"""Keeps what was measured of a case, so that a whole run that breaks off need not begin anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from harness import ROOT, Goal, Row

_MEASURED = ("barrage_mlflow", "benchmarks")


class Figures:
    """The rows of cases in a folder, each of one state of the code on one machine.

    Args:
        folder: where they are kept; None: nothing is.
        state: of the code, see :func:`code_state`; None: nothing is kept.
        rounds: how often each side is measured.
        machine: what the page tells of it, with the versions of what runs on it.
    """

    def __init__(
        self, folder: Path | None, state: str | None, rounds: int, machine: Mapping[str, str]
    ) -> None:
        self._folder = folder if state else None
        self._made_of = {"code": state, "rounds": rounds, "machine": dict(machine)}

    def kept(self, case: str) -> list[Row] | None:
        """The rows of a case, if it was measured so often, with this code, on this machine."""
        path = self._path(case)
        if path is None or not path.exists():
            return None
        held = json.loads(path.read_text("utf-8"))
        if held["made_of"] != self._made_of:
            return None
        return [Row(**{**row, "goal": Goal(**row["goal"])}) for row in held["rows"]]

    def keep(self, case: str, rows: Sequence[Row]) -> None:
        """Write down the rows of a case."""
        path = self._path(case)
        if path is not None:
            held = {"made_of": self._made_of, "rows": [asdict(row) for row in rows]}
            path.write_text(json.dumps(held, indent=1), "utf-8")

    def _path(self, case: str) -> Path | None:
        return self._folder and self._folder / f"figures-{case}.json"


def code_state(root: Path = ROOT) -> str | None:
    """The hashes of engine and benchmarks as committed; None where they were changed since.

    Args:
        root: the repository.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("status", "--porcelain", "--", *_MEASURED):
            return None
        return git("rev-parse", *(f"HEAD:{folder}" for folder in _MEASURED))
    except (OSError, subprocess.CalledProcessError):
        return None
