"""Measures the engine against what a user would use instead, and prints one table.

``python benchmarks/run.py --help`` lists the options. It ends with status 1 if a case could not be
measured; a goal that is missed is only shown.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path

from cases import CASES
from harness import HERE, ROOT, Bench, CaseError, Goal, Row, environment

PAGE = ROOT / "docs" / "benchmarks.md"
ROUNDS = 3
_PACKAGES = ["tensorflow", "keras", "mlflow", "numpy", "pandas", "pyarrow", "pillow"]
_HEADS = [
    *("case", "against", "ours", "peer", "unit", "ratio", "least–most", "goal", "holds", "note")
]
_RIGHT = {"ours", "peer", "ratio", "goal"}
_USE = """\
```bash
python benchmarks/run.py                  # the whole table, about an hour
python benchmarks/run.py --case iris      # one case; --list names them
python benchmarks/run.py --short          # does every case work? the figures mean nothing
python benchmarks/run.py --write          # the whole, and docs/benchmarks.md
```"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", action="append", choices=CASES, metavar="NAME", help="only this")
    parser.add_argument("--list", action="store_true", help="name the cases, and end")
    parser.add_argument("--short", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often to measure each side")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder to keep data and figures in: a run that broke off goes on there",
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(CASES))
        return 0
    if options.write and (options.short or options.case):
        parser.error("--write needs a whole run: leave out --short and --case")
    if options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {options.rounds}")
    given = environment(os.environ)  # every process that is started from here gets it
    os.environ.clear()
    os.environ.update(given)
    with ExitStack() as stack:
        data = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data.mkdir(parents=True, exist_ok=True)
        rounds = 1 if options.short else options.rounds
        bench = Bench(data.resolve(), rounds, options.short)
        rows, failed = measure(bench, options.case or CASES, data if options.write else None)
    print(text_table(rows))
    if options.short:
        print("sizes were tiny: the figures mean nothing")
    if options.write and not failed:
        PAGE.write_text(markdown_page(rows, rounds, machine(), date.today()), "utf-8")
    return 1 if failed else 0


def measure(
    bench: Bench, names: Iterable[str], kept_in: Path | None = None
) -> tuple[list[Row], bool]:
    """Measure cases; one that fails does not stop those after it.

    Args:
        bench: to measure with.
        names: of the cases.
        kept_in: folder for the figures of each case: those of an earlier run are not taken anew.

    Returns:
        The rows, and whether a case failed.
    """
    rows: list[Row] = []
    failed = False
    for name in names:
        start = time.perf_counter()
        kept = kept_in and kept_in / f"figures-{name}.json"
        if kept and kept.exists():
            measured = [
                Row(**{**row, "goal": Goal(**row["goal"])})
                for row in json.loads(kept.read_text("utf-8"))
            ]
        else:
            try:
                measured = CASES[name](bench)
            except CaseError as error:
                failed = True
                print(f"{name}: {error}", file=sys.stderr)
                continue
            if kept:
                kept.write_text(json.dumps([asdict(row) for row in measured]), "utf-8")
        rows += measured
        ratios = ", ".join(f"{row.ratio:.2f}" for row in measured)
        seconds = time.perf_counter() - start
        print(f"{name}: {ratios} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return rows, failed


def text_table(rows: Sequence[Row]) -> str:
    """The rows in columns, for the terminal."""
    lines = [_HEADS, *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if head in _RIGHT else cell.ljust(width)
            for head, cell, width in zip(_HEADS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown_page(
    rows: Sequence[Row],
    rounds: int,
    made_on: Mapping[str, str],
    day: date,
) -> str:
    """The page of a whole run.

    Args:
        rows: what was measured.
        rounds: how often each side was measured.
        made_on: the machine, see :func:`machine`.
        day: when.
    """
    rule = ["---:" if head in _RIGHT else "---" for head in _HEADS]
    parts = [
        "# Benchmarks",
        "<!-- made by: python benchmarks/run.py --write -->",
        f"Measured by `python benchmarks/run.py --write`, written on {day.isoformat()}. Each "
        f"side runs in a fresh process of its own, {rounds} times, ours and the peer's in turn. "
        "`ours` and `peer` are medians over the rounds. `ratio` is the median of the rounds' "
        "ratios, ours by the peer's; the least and the most of them are beside it. Each peer is "
        "what a user would use instead, at its best.",
        "\n".join(f"| {' | '.join(line)} |" for line in [_HEADS, rule, *map(_cells, rows)]),
        "## Machine and versions",
        "\n".join(["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in made_on.items())]),
        "## The cases",
        (HERE / "cases.md").read_text("utf-8").strip(),
        "## Run it",
        "From an environment that has the engine and its test dependencies, on a machine that "
        "does nothing else:",
        _USE,
    ]
    return "\n\n".join(parts) + "\n"


def machine() -> dict[str, str]:
    """What this machine is, and the versions of what runs on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cells(row: Row) -> list[str]:
    ours, peer = (_figure(statistics.median(side)) for side in (row.ours, row.peer))
    spread = f"{min(row.ratios):.2f}–{max(row.ratios):.2f}"
    holds = "yes" if row.goal.holds(row.ratio) else "NO"
    return [
        *(row.case, row.against, ours, peer, row.unit),
        *(f"{row.ratio:.2f}", spread, str(row.goal), holds, row.note),
    ]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
