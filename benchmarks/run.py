"""Measures the engine against what a user would use instead, and prints one table.

``python benchmarks/run.py --help`` tells the options. It ends with status 1 if a case could not be
measured; a goal that is missed is only shown.
"""

# ruff: noqa: T201 - it is there to print

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from cases import BESIDE, CASES
from figures import Figures, code_state
from harness import ROOT, Bench, Case, CaseError, Row, environment
from page import machine, markdown_page, text_table

PAGE = ROOT / "docs" / "benchmarks.md"
ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    named = {**CASES, **BESIDE}
    parser.add_argument("--case", action="append", choices=named, metavar="NAME", help="only this")
    parser.add_argument("--list", action="store_true", help="name the cases, and end")
    parser.add_argument("--short", action="store_true", help="tiny sizes, one round")
    parser.add_argument("--rounds", type=int, help=f"how often to measure each side: {ROUNDS}")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder to keep data and figures in: a run without --case measures there what has "
        "not been measured with the code as it is",
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(named))
        return 0
    if options.write and (options.short or options.case):
        parser.error("--write needs a whole run: leave out --short and --case")
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds: expected 1 or more, got {options.rounds}")
    # What is started from here has it too.
    given = environment(os.environ)
    os.environ.clear()
    os.environ.update(given)
    rounds = options.rounds or (1 if options.short else ROUNDS)
    cases = [named[name] for name in options.case or CASES]
    with ExitStack() as stack:
        kept_in = None if options.short else options.data
        figures = Figures(kept_in, code_state(), rounds, machine())
        if options.data:
            options.data.mkdir(parents=True, exist_ok=True)
        else:
            options.data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = Bench(options.data.resolve(), rounds, options.short)
        rows, failed = measure(bench, cases, figures, anew=bool(options.case))
    print(text_table(rows))
    if options.short:
        print("sizes were tiny: the figures mean nothing")
    if options.write and not failed:
        PAGE.write_text(markdown_page(rows, cases, rounds, machine(), date.today()), "utf-8")
    return 1 if failed else 0


def measure(
    bench: Bench, cases: Sequence[Case], figures: Figures, anew: bool
) -> tuple[list[Row], bool]:
    """Measure cases; one that fails does not stop those after it.

    Args:
        bench: to measure with.
        cases: what to measure.
        figures: of earlier runs, to which those of this one are added.
        anew: whether to measure also what earlier runs did.

    Returns:
        The rows, and whether a case failed.
    """
    rows: list[Row] = []
    failed = False
    for case in cases:
        start = time.perf_counter()
        kept = None if anew else figures.kept(case.name)
        try:
            measured = case.measure(bench) if kept is None else kept
        except CaseError as error:
            failed = True
            print(f"{case.name}: {error}", file=sys.stderr)
            continue
        rows += measured
        ratios = ", ".join(f"{row.ratio:.2f}" for row in measured)
        if kept is None:
            figures.keep(case.name, measured)
            when = f"in {time.perf_counter() - start:.0f} s"
        else:
            when = "before"
        print(f"{case.name}: {ratios} {when}", file=sys.stderr, flush=True)
    return rows, failed


if __name__ == "__main__":
    sys.exit(main())
