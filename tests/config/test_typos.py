"""A mistyped word gives one line that names the right one."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from recipes import RECIPES, written
from typos import Typo, draw_typos, mistyped_config

from barrage_mlflow.config import add_project_path, find_faults, read_config
from barrage_mlflow.config.keras_index import current_path
from barrage_mlflow.config.names import nearest
from barrage_mlflow.errors import Fault

SEED = 20
OF_EACH_KIND = 40

KINDS = {
    "built-in name", "choice", "class or function", "key", "layer name",
    "long path", "loss name", "metric name", "module", "monitor", "optimizer name", "output name",
    "param", "placeholder", "project param", "schedule name",
}  # fmt: skip


def faults_of(typo: Typo) -> tuple[list[Fault], str]:
    """The faults of a config with a typo, and the place where the mistyped word stands."""
    config = RECIPES[typo.recipe]
    text, spots = written(mistyped_config(config, typo))
    # What is written here is YAML too.
    name = "config.yaml" if len(typo.mistyped) % 2 else "config.json"
    Path(name).write_text(text, "utf-8")
    document = read_config(name)
    add_project_path(document)
    faults = find_faults(document)
    path = typo.word.path
    if typo.word.is_key:
        path = (*path[:-1], typo.mistyped, "key")
    line, column = spots[path]
    return faults, f"{name}:{line}:{column}"


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
        wanted.add(word.before + word.text)
        # An older path into Keras may be named as it is today.
        wanted |= {current_path(path) for path in wanted}
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
    assert sum(right.values()) >= 0.99 * total, report


SOLVER = ("optimizer", "learning_rate", "batch_size", "epochs", "steps", "learning_rate_reducer")
LOSSES = ("mse", "mae", "msle", "mape", "Huber", "huber", "categorical_crossentropy", "CTC")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        # few edits, whatever the case
        ("epohcs", SOLVER, "epochs"),
        ("optimiser", SOLVER, "optimizer"),
        ("learning_rate_schedule", SOLVER, "learning_rate_reducer"),
        ("SPARSE", ["sparse", "spars"], "sparse"),
        # of several that are equally near: letters swapped, the same start, the same case
        ("mlse", LOSSES, "msle"),
        ("hubr", LOSSES, "huber"),
        ("Hubr", LOSSES, "Huber"),
        # short for a longer one, or the other way round
        ("batch", SOLVER, "batch_size"),
        ("size", SOLVER, "batch_size"),
        ("num_epochs", SOLVER, "epochs"),
        ("steps_per_epoch", SOLVER, "steps"),
        ("categorical", LOSSES, "categorical_crossentropy"),
        ("HuberLoss", LOSSES, "Huber"),
        ("lr", SOLVER, "learning_rate"),
        # near to nothing, or short for several
        ("zzz", SOLVER, None),
        ("x", ["y", "z"], None),
        ("ep", SOLVER, None),
        ("", SOLVER, None),
        ("epochs", [], None),
        ("_", ["a_b", "-"], None),
    ],
)
def test_the_nearest_of_the_known_names(name, known, expected):
    assert nearest(name, known) == expected
    assert nearest(name, iter(known[::-1])) == expected
