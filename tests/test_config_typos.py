"""A mistyped word gives one line, at its place, that names the right word first."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from recipes import RECIPES, write_project, written
from typos import Typo, draw_typos, mistyped_config, override_of

from barrage_mlflow.config import add_project_path, apply_overrides, find_faults, read_config
from barrage_mlflow.errors import Fault

SEED = 20
OF_EACH_KIND = 36

KINDS = {
    "built-in name", "callback param", "choice", "class or function", "key", "layer name",
    "long path", "loss name", "metric name", "module", "monitor", "optimizer name", "output name",
    "override", "param", "placeholder", "project param", "schedule name",
}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("typos")
    write_project(folder)
    return folder


@pytest.fixture
def in_project(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))


def faults_of(typo: Typo) -> tuple[list[Fault], str]:
    """The faults of a config with a typo, and the place where the mistyped word stands."""
    config = RECIPES[typo.recipe]
    text, spots = written(mistyped_config(config, typo))
    Path("config.json").write_text(text, "utf-8")
    overrides = override_of(config, typo)
    document = read_config("config.json")
    add_project_path(document)
    faults = find_faults(apply_overrides(document, overrides))
    if overrides:
        return faults, f"--{next(iter(overrides))}"
    path = typo.word.path
    if typo.word.is_key:
        path = (*path[:-1], typo.mistyped, "key")
    line, column = spots[path]
    return faults, f"config.json:{line}:{column}"


def first_suggestion(fault: Fault) -> str:
    found = re.match(r"""(?:did you mean|write) (['"])(.*?)\1""", fault.remedy)
    return found[2] if found else ""


def test_a_typo_gives_one_line_at_its_place_with_the_right_word(in_project):
    drawn: Counter[str] = Counter()
    right: Counter[str] = Counter()
    misplaced, misses = [], []
    for typo in draw_typos(RECIPES, SEED, OF_EACH_KIND):
        word = typo.word
        faults, place = faults_of(typo)
        drawn[word.kind] += 1
        if [fault.place for fault in faults] != [place]:
            misplaced.append((word.kind, str(typo), place, [str(fault) for fault in faults]))
            continue
        # A part of a dotted path may be named alone or with the rest of it.
        wanted = {word.text, word.before + word.text + word.after, word.text + word.after}
        wanted |= {word.before + word.text, f"--{word.option}"}
        if first_suggestion(faults[0]) in wanted:
            right[word.kind] += 1
        else:
            misses.append((word.kind, str(typo), [str(fault) for fault in faults]))
    total = sum(drawn.values())
    table = "\n".join(f"{kind:20} {right[kind]:3} of {drawn[kind]:3}" for kind in sorted(drawn))
    listed = "\n".join(map(str, (*misplaced, *misses)))
    report = f"{sum(right.values())} of {total} right\n{table}\n{listed}"
    assert set(drawn) == KINDS, report
    assert total == len(KINDS) * OF_EACH_KIND >= 600
    assert misplaced == [], report
    assert sum(right.values()) >= 0.95 * total, report


def test_typos_are_drawn_alike_from_one_seed(in_project):
    first = list(map(str, draw_typos(RECIPES, SEED, 3)))
    assert first == list(map(str, draw_typos(RECIPES, SEED, 3)))
    assert first != list(map(str, draw_typos(RECIPES, SEED + 1, 3)))
