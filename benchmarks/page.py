"""Shows rows: as a table on the terminal, and as ``docs/benchmarks.md``."""

from __future__ import annotations

import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

from harness import Case, Row

_PACKAGES = ["tensorflow", "keras", "mlflow", "numpy", "pandas", "pyarrow", "pillow"]
_HEADS = ["case", "against", "ours", "peer", "unit", "ratio", "least–most", "goal", "holds"]
_RIGHT = {"ours", "peer", "ratio", "goal"}


def _cells(row: Row) -> list[str]:
    ours, peer = (_figure(statistics.median(side)) for side in (row.ours, row.peer))
    spread = f"{min(row.ratios):.2f}–{max(row.ratios):.2f}"
    holds = "yes" if row.holds else "NO"
    ratio = f"{row.ratio:.2f}"
    return [row.case, row.against, ours, peer, row.unit, ratio, spread, str(row.goal), holds]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def text_table(rows: Sequence[Row]) -> str:
    """The rows in columns, for the terminal."""
    lines = [_HEADS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = []
    for line, note in zip(lines, ["", *(row.note for row in rows)], strict=True):
        cells = [
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for head, cell, width in zip(_HEADS, line, widths, strict=True)
        ]
        shown.append("  ".join([*cells, note]).rstrip())
    return "\n".join(shown)


def markdown_page(
    rows: Sequence[Row],
    cases: Sequence[Case],
    rounds: int,
    machine: Mapping[str, str],
    day: date,
) -> str:
    """The page of a whole run.

    Args:
        rows: what was measured.
        cases: all of them.
        rounds: how often each side was measured.
        machine: what it was measured on, see :func:`machine`.
        day: when.
    """
    heads = [*_HEADS, "note"]
    rule = ["---:" if head in _RIGHT else "---" for head in heads]
    table = [heads, rule, *([*_cells(row), row.note] for row in rows)]
    parts = [
        "# Benchmarks",
        "<!-- made by: python benchmarks/run.py --write -->",
        f"Measured by `python benchmarks/run.py --write`, written on {day.isoformat()}. Each "
        f"side runs in a fresh process of its own, {rounds} times, ours and the peer's in turn. "
        "`ours` and `peer` are medians over the rounds; `ratio`, ours by the peer's, is the median "
        "of the rounds' ratios, and beside it stand the least and the most of them. Each peer is "
        "what a user would use instead, at its best.",
        "\n".join(f"| {' | '.join(line)} |" for line in table),
        "## Machine and versions",
        "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in machine.items())]),
        "## The cases",
        *(f"**{case.name}.** {' '.join(case.about.split())}" for case in cases),
        "## Run it",
        "From an environment that holds the engine and its test dependencies, on a machine that "
        "does nothing else:",
        "```bash\n"
        "python benchmarks/run.py                        # all, 75 minutes\n"
        "python benchmarks/run.py --case iris            # one of them; --list names them\n"
        "python benchmarks/run.py --short                # does it work? sizes are tiny\n"
        "python benchmarks/run.py --write                # all, and this page\n"
        "```",
    ]
    return "\n\n".join(parts) + "\n"


def machine() -> dict[str, str]:
    """What this machine is, and the versions of what runs on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    return {
        "processor": f"{_processor()}, {_cores()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
