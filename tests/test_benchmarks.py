"""The benchmarks: that every case works from end to end, and how they count; never how fast."""

from __future__ import annotations

import doctest
import importlib
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = str(ROOT / "benchmarks" / "run.py")
PAGE = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
CASES = re.findall(r"^\*\*(\w+)\.\*\*", PAGE, re.M)
"""All that the page describes."""


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("run")


@pytest.fixture
def lines(run):
    row = run.Row("serve, p50", "b", "s", [3.0, 2.0, 9.0], [1.0, 1.0, 3.0], "≥ 2.5", "note")
    return [run.table_line(row)]


def bench(*arguments):
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True)


@pytest.mark.nightly(part="benchmarks")
@pytest.mark.parametrize("name", CASES)
def test_a_case_works_from_end_to_end(name):
    done = bench("--short", "--case", name)
    assert done.returncode == 0, done.stderr
    _, _, *rows, last = done.stdout.splitlines()
    assert rows
    assert all(re.match(rf"\| {name}[ ,]", row) for row in rows)
    assert last == "sizes were tiny: the figures mean nothing"


def test_the_page_describes_every_case_and_has_rows_of_each(run):
    assert list(run.CASES) == CASES
    (table,) = [part for part in PAGE.split("\n\n") if part.startswith(run.HEADS)]
    names = re.findall(r"^\| (\w+)", table.removeprefix(run.HEADS), re.M)
    assert list(dict.fromkeys(names)) == CASES


def test_figures_of_a_short_run_are_not_written():
    done = bench("--write", "--short")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--write: the figures of --short mean nothing" in done.stderr


def test_examples_of_the_harness(run):
    assert doctest.testmod(sys.modules["harness"]).failed == 0


def test_data_is_made_once(run, tmp_path):
    data = importlib.import_module("data")
    case = run.Bench(tmp_path, rounds=1)
    made = data.table(case, 3, seed=1, row_group=2)
    assert data.table(case, 3, seed=9) == made
    x, y = data.read_arrays(made)
    assert (x.shape, y.shape) == ((3, 20), (3,))


def test_a_case_that_fails_does_not_stop_the_next(run, lines, capsys, monkeypatch):
    def fail(bench):
        bench.command([sys.executable, "-c", "1 / 0"], Path())

    row = run.Row("good", "b", "s", [1.0], [1.0], "≥ 2.5")
    monkeypatch.setattr(run, "CASES", {"bad": fail, "good": lambda bench: [row]})
    monkeypatch.setattr(run.os, "environ", dict(run.os.environ))
    assert run.main(["--short"]) == 1
    printed = capsys.readouterr()
    assert "ZeroDivisionError" in printed.err
    assert run.table_line(row) in printed.out


def test_rows_are_written_in_the_place_of_the_old_ones(run, lines):
    written = run.with_lines(PAGE, "serve", lines)
    assert lines[0].startswith("| serve, p50 | b | 3 | 1 | s | 3.00 | 2.00–3.00 | ≥ 2.5 × | yes | ")
    assert run.lines_of(written, "serve") == lines
    for name in {*CASES} - {"serve"}:
        assert run.lines_of(written, name) == run.lines_of(PAGE, name)
    assert written.partition("## The cases")[2] == PAGE.partition("## The cases")[2]


def test_the_nightly_part_has_every_published_case(run):
    published = importlib.import_module("published")
    nightly = runpy.run_path(str(ROOT / ".ci" / "nightly"))
    assert {*published.CASES} == {case for case, _ in nightly["published"]()}
