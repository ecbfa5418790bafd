"""The benchmarks: that every case works from end to end, and how they count; never how fast."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RUN = str(ROOT / "benchmarks" / "run.py")
CASES = [
    *("mlp_32", "mlp_256", "memory_in", "stream", "records", "score", "one_record", "serve"),
    *("serve_many", "serve_start", "serve_memory", "log_model", "iris", "check", "latency"),
    "outage",
]


@pytest.fixture(autouse=True)
def bench_path(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def harness():
    return importlib.import_module("harness")


@pytest.fixture
def row(harness):
    return harness.Row("a", "b", "s", [3.0, 2.0, 9.0], [1.0, 1.0, 3.0], harness.Goal(2.5), "note")


def bench(*arguments):
    return subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True)


@pytest.mark.nightly(part="benchmarks")
@pytest.mark.parametrize("name", CASES)
def test_a_case_works_from_end_to_end(name):
    done = bench("--short", "--case", name)
    assert done.returncode == 0, done.stderr
    # A difference of two that are much the same falls on either side of nought.
    assert re.fullmatch(rf"{name}: -?\d+\.\d\d(, -?\d+\.\d\d)* in \d+ s\n", done.stderr)
    assert done.stdout.splitlines()[-1] == "sizes were tiny: the figures mean nothing"


def test_the_cases_are_listed_and_described():
    assert bench("--list").stdout.split() == CASES
    described = (ROOT / "benchmarks" / "cases.md").read_text("utf-8")
    assert re.findall(r"^\*\*(\w+)\.\*\*", described, re.M) == CASES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--write", "--short"], "--write needs a whole run: leave out --short and --case"),
        (["--rounds", "0"], "--rounds: expected 1 or more, got 0"),
        (["--case", "nope"], "argument --case: invalid choice: 'nope'"),
    ],
)
def test_options_that_make_no_sense(arguments, message):
    done = bench(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr.splitlines()[-1]


def test_examples_of_the_harness(harness):
    assert doctest.testmod(harness).failed == 0


def test_data_is_made_once_and_never_half(harness, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "benchmarks"))
    (tmp_path / "half-folder").mkdir()
    (tmp_path / "half-folder" / "old").touch()
    case = harness.Bench(tmp_path, rounds=1)
    data = importlib.import_module("data")
    made = Path(case.made("table.parquet", data.make_table, records=3, seed=1, in_parts=True))
    first = made.stat().st_mtime_ns
    case.made("table.parquet", data.make_table, records=3, seed=1, in_parts=True)
    assert made.stat().st_mtime_ns == first
    assert data.read_arrays(str(made))[0].shape == (3, 20)


def test_a_case_that_fails_does_not_stop_the_next(harness, row, tmp_path, capsys, monkeypatch):
    run = importlib.import_module("run")

    def fail(bench):
        bench.call(importlib.import_module("data").make_penguins, path="nowhere/x", records="y")

    monkeypatch.setenv("PYTHONPATH", str(ROOT / "benchmarks"))
    monkeypatch.setattr(run, "CASES", {"bad": fail, "good": lambda bench: [row]})
    rows, failed = run.measure(harness.Bench(tmp_path, rounds=1), ["bad", "good"])
    said = capsys.readouterr().err
    assert (rows, failed) == ([row], True)
    assert "bad: " in said
    assert "TypeError" in said
    assert said.endswith("good: 3.00 in 0 s\n")


def test_table_and_page(row):
    run = importlib.import_module("run")
    assert run.text_table([row]).splitlines() == [
        "case  against  ours  peer  unit  ratio  least–most     goal  holds  note",
        "a     b           3     1  s      3.00  2.00–3.00   ≥ 2.5 ×  yes    note",
    ]
    page = run.markdown_page([row], 3, {"memory": "24 GiB"}, date(2026, 1, 2))
    assert "| a | b | 3 | 1 | s | 3.00 | 2.00–3.00 | ≥ 2.5 × | yes | note |" in page
    assert "written on 2026-01-02" in page
    assert set(run.machine()) == {"processor", "memory", "system", "versions"}
