"""Answers that no working project could be made from are refused."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest
from outside import brought_along
from workshop import Workshop, files_of, load_hook, only_line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Project", "write for example 'my_project'"),
        ("bird-weights", "write for example 'bird_weights'"),
        ("BirdWeights", "write for example 'bird_weights'"),
        ("3birds", "write for example 'birds'"),
        ("birds_", "write for example 'birds'"),
        ("", "write for example 'my_project'"),
        ("b", "write for example 'b_project'"),
        ("vögel", "write for example 'my_project'"),
        ("class", "is a keyword of Python; write for example 'class_project'"),
        ("json", "standard library; write for example 'json_project'"),
        ("keras", "is a package that the project needs; write for example 'keras_project'"),
        ("tests", "is a name that the project uses itself"),
        ("a" * 41, f"is longer than 40 characters; write for example '{'a' * 40}'"),
    ],
)
def test_a_name_of_no_package_is_refused_with_one_that_is_allowed(name: str, message: str):
    hook = load_hook("pre_gen_project")
    fault = hook.find_fault({"project": name, "description": "All", "author": "me"})
    assert fault.startswith(f"project: {name!r} ")
    assert message in fault


@pytest.mark.parametrize("question", ["description", "author"])
def test_text_that_is_no_line_or_has_a_tag_is_refused(question: str):
    answers = {"project": "birds", "description": "All", "author": "me"}
    find_fault = load_hook("pre_gen_project").find_fault
    assert find_fault(answers) is None
    for answer in ("", "one\ntwo", "\t"):
        expected = f"{question}: {answer!r} is not one line of text; write one, without tabs"
        assert find_fault(answers | {question: answer}) == expected
    for tag in ("<" + "<", "<" + "%", "<" + "#"):
        expected = f"{question}: leave out {tag!r}, which the template takes for a tag"
        assert find_fault(answers | {question: f"a {tag} b"}) == expected


@pytest.mark.parametrize("answer", ["project=class", "engine=keras"])
def test_a_bad_answer_is_one_line_and_no_folder(answer: str, workshop: Workshop, tmp_path: Path):
    done = workshop.make(workshop.template, answer, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert only_line(done).startswith(f"{answer.partition('=')[0]}: ")
    assert list((tmp_path / "out").glob("*")) == []


def test_every_name_that_is_suggested_is_allowed():
    hook = load_hook("pre_gen_project")
    for name in [*hook.INSTALLED, *hook.FOLDERS, "", "_", "1", "É", "A" * 99, "a-" * 99, "TheHTTP"]:
        assert hook.find_name_fault(hook.suggest_name(name)) is None, name


def test_packages_that_the_project_needs_are_known_by_name():
    """The names that everything installed for the project is imported by, but for pre-commit's."""
    lines = ["barrage-mlflow", "optuna", "pytest", "ruff", "pip", "setuptools"]
    needed = {canonical(name) for name in brought_along(lines)}
    hook = load_hook("pre_gen_project")
    names = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if {canonical(owner) for owner in owners} & needed
    }
    assert "tensorflow" in names
    assert [name for name in sorted(names) if hook.find_name_fault(name) is None] == []


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_an_existing_folder_is_left_alone(workshop: Workshop, tmp_path: Path):
    (tmp_path / "my_project").mkdir()
    (tmp_path / "my_project" / "mine.txt").write_text("mine")
    done = workshop.make(workshop.template, "-o", tmp_path)
    assert done.returncode == 1
    assert done.stdout == f'Error: "{tmp_path}/my_project" directory already exists\n'
    assert set(files_of(tmp_path / "my_project")) == {"mine.txt"}
