"""Keeps what was measured of a case, so that a whole run that breaks off need not begin anew."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from harness import ROOT, Goal, Row


class Figures:
    """The rows of cases in a folder, each of one state of the engine.

    Args:
        folder: where they are kept; None: nothing is.
        state: of the engine, see :func:`engine_state`; None: nothing is kept.
        rounds: how often each side is measured.
    """

    def __init__(self, folder: Path | None, state: str | None, rounds: int) -> None:
        self._folder = folder
        self._made_of = {"engine": state, "rounds": rounds}

    def kept(self, case: str) -> list[Row] | None:
        """The rows of a case, if it was measured so often with the engine as it is."""
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
        if self._folder is None or self._made_of["engine"] is None:
            return None
        return self._folder / f"figures-{case}.json"


def engine_state(root: Path = ROOT) -> str | None:
    """The hash of the engine as it was committed; None where it has been changed since.

    Args:
        root: the repository.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        if git("status", "--porcelain", "--", "barrage_mlflow"):
            return None
        return git("rev-parse", "HEAD:barrage_mlflow")
    except (OSError, subprocess.CalledProcessError):
        return None
