"""Measures the engine against what a user would use instead, and prints one table.

``python benchmarks/run.py --help`` lists the options. It ends with status 1 if a case could not be
measured; a goal that is missed is only shown.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import sys
import tempfile
import traceback
from collections.abc import Sequence
from datetime import date
from importlib import metadata
from pathlib import Path

from cases import CASES
from harness import HERE, ROOT, Bench, Row
from outside import environment

PAGE = ROOT / "docs" / "benchmarks.md"
_PACKAGES = ["tensorflow", "keras", "mlflow", "numpy", "pandas", "pyarrow", "pillow"]
HEADS = """\
| case | against | ours | peer | unit | ratio | least–most | goal | holds | on | note |
| --- | --- | ---: | ---: | --- | ---: | --- | ---: | --- | --- | --- |"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--case", action="append", choices=CASES, help="only this")
    parser.add_argument("--short", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure each side")
    parser.add_argument(
        "--write", action="store_true", help=f"put the rows into {PAGE.relative_to(ROOT)}"
    )
    options = parser.parse_args(arguments)
    if options.write and options.short:
        parser.error("--write: the figures of --short mean nothing")
    _set_environment()
    failed = False
    print(HEADS)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), 1 if options.short else options.rounds, options.short)
        for name in options.case or CASES:
            try:
                lines = [table_line(row) for row in CASES[name](bench)]
            except Exception:
                traceback.print_exc()
                failed = True  # the next may work
            else:
                print("\n".join(lines), flush=True)
                if options.write:
                    PAGE.write_text(with_lines(PAGE.read_text("utf-8"), name, lines), "utf-8")
    if options.short:
        print("sizes were tiny: the figures mean nothing")
    return int(failed)


def _set_environment() -> None:
    """Give the processes that are started from here none of the caller's MLflow settings.

    Each has a store of its own in its folder then.
    """
    paths = [HERE, ROOT, ROOT / "examples" / "penguins", ROOT / "tests"]
    given = environment(PYTHONPATH=os.pathsep.join(map(str, paths)))
    # A packaged model would compile its code at each start.
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.clear()
    os.environ.update(given)


def table_line(row: Row) -> str:
    """A row as a line of Markdown."""
    ours, peer = (_figure(statistics.median(side)) for side in (row.ours, row.peer))
    spread = f"{min(row.ratios):.2f}–{max(row.ratios):.2f}"
    cells = [row.case, row.against, ours, peer, row.unit, f"{row.ratio:.2f}", spread]
    cells += [f"{row.goal} ×", "yes" if row.holds else "NO", date.today().isoformat(), row.note]
    return f"| {' | '.join(cells)} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def with_lines(page: str, name: str, lines: Sequence[str]) -> str:
    """The page with other lines of one case in its table, and with this machine.

    Args:
        page: all its text.
        name: of the case.
        lines: see :func:`table_line`.
    """
    parts = page.split("\n\n")
    for number, part in enumerate(parts):
        if part.startswith(HEADS):
            by_case = {case: lines_of(part, case) for case in CASES} | {name: lines}
            table = [line for case in CASES for line in by_case[case]]
            parts[number] = "\n".join([HEADS, *table])
        if part.startswith("| | |"):
            rows = [f"| {name} | {value} |" for name, value in machine().items()]
            parts[number] = "\n".join(["| | |", "|---|---|", *rows])
    return "\n\n".join(parts)


def lines_of(page: str, name: str) -> list[str]:
    """The lines of a case in a page's table."""
    return re.findall(rf"^\| {name}(?:, [^|]+)? \|.*", page, re.M)


def machine() -> dict[str, str]:
    """What this machine is, and the versions of what runs on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.+)", info.read_text("utf-8")) if info.exists() else None
    processor = named[1] if named else platform.processor()
    return {
        "processor": f"{processor}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


if __name__ == "__main__":
    sys.exit(main())
