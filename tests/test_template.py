"""The template: what it makes of every answer, what it refuses, and that it works as it comes."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from contract import check_loader, check_transformer
from packaging.requirements import Requirement

from barrage_mlflow.config import (
    add_project_path,
    find_faults,
    find_warnings,
    read_config,
    resolve_config,
)
from barrage_mlflow.dataset import Records, build_loader, build_transformer

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
PARTS = ("cookiecutter.json", "hooks", "{{cookiecutter.cruft}}", "<<cookiecutter.project>>")
ENGINE_PARTS = ("barrage_mlflow", "pyproject.toml", "README.md", "LICENSE")
QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
KINDS = sorted(path.name for path in (ROOT / "<<cookiecutter.project>>" / "kinds").iterdir())
TYPED = "barrage-mlflow >= 0.1, < 1; python_version < '4'"
FILES = {
    *(".dockerignore", ".github/workflows/ci.yml", ".gitignore", "Dockerfile", "LICENSE"),
    *("MLproject", "README.md", "conda.yaml", "config.json", "data/README.md", "pyproject.toml"),
    *("tests/conftest.py", "tests/test_components.py", "tests/test_project.py"),
    "tests/test_training.py",
}
MODULES = ("__init__", "augment", "loader", "network", "transformer")
MAKE = """
import json, sys
from cookiecutter.main import cookiecutter

for call in json.load(sys.stdin):
    cookiecutter(no_input=True, **call)
"""
# A name, a description and an author each.
ANSWERS = {
    "long": (
        "z9_a_name_that_is_as_long_as_one_can_be0",
        'Tells "birds" from {{bees}}: 100 % \\ sure, isn\'t it? # <b> 🐧',
        'Zoë "Zed" O\'Brien-Łuk\\asz & Co., 株式会社',
    ),
    "short": ("ab", "- [x]: *all* `of` |it|", "é"),
}


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@localhost"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@dataclass(frozen=True)
class Workshop:
    """A copy of the template, which is a git repository too, and what cookiecutter keeps."""

    template: Path
    home: Path

    @property
    def address(self) -> str:
        """For cookiecutter, which takes no plain ``file://``."""
        return f"git+{self.template.as_uri()}"

    @property
    def settings(self) -> Path:
        return self.home / "settings.yaml"

    @property
    def commit(self) -> str:
        return git(self.template, "rev-parse", "HEAD")

    def make(
        self, template: str | Path, *options: str | Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Call cookiecutter in a process of its own."""
        command = [sys.executable, "-m", "cookiecutter", template, "--no-input", *options]
        settings = {"COOKIECUTTER_CONFIG": str(self.settings), "PWD": str(Path.cwd())}
        return subprocess.run(
            command, env=os.environ | settings | variables, capture_output=True, text=True
        )


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    home = tmp_path_factory.mktemp("a folder")
    template = home / "the template"
    template.mkdir()
    for name in (*PARTS, *ENGINE_PARTS):
        if (ROOT / name).is_dir():
            junk = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, template / name, ignore=junk)
        else:
            shutil.copy(ROOT / name, template)
    for step in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "One"]):
        git(template, *step)
    workshop = Workshop(template, home)
    workshop.settings.write_text(
        json.dumps({"cookiecutters_dir": str(home / "clones"), "replay_dir": str(home / "replay")})
    )
    return workshop


@dataclass(frozen=True)
class Case:
    """One set of answers."""

    kind: str
    python: str
    engine: str
    answers: str
    licence: str

    def __str__(self) -> str:
        return "-".join((self.kind, self.python, self.engine, self.answers, self.licence))

    @property
    def project(self) -> str:
        return ANSWERS[self.answers][0]


CASES = [
    Case(*answers, licence)
    for answers, licence in zip(
        itertools.product(KINDS, ("3.11", "3.13"), ("folder", "address", "typed"), ANSWERS),
        # Seven, so that a licence meets every other answer.
        itertools.cycle(["MIT", "MIT", "MIT", "Apache-2.0", "Apache-2.0", "Proprietary", "MIT"]),
        strict=False,
    )
]


@pytest.fixture(scope="module")
def made(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    """Every case's project, all made in one process, which spares half of the time."""
    home = tmp_path_factory.mktemp("all of them")
    calls = []
    for case in CASES:
        project, description, author = ANSWERS[case.answers]
        answers = {
            "project": project,
            "description": description,
            "author": author,
            "license": case.licence,
            "kind": case.kind,
            "python_version": case.python,
            "engine": TYPED if case.engine == "typed" else "auto",
        }
        template = workshop.address if case.engine == "address" else str(workshop.template)
        calls.append({"template": template, "output_dir": f"{home / str(case)}"})
        calls[-1] |= {"extra_context": answers, "config_file": str(workshop.settings)}
    done = subprocess.run(
        [sys.executable, "-c", MAKE], input=json.dumps(calls), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {case: home / str(case) / case.project for case in CASES}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    chosen: Case = request.param
    return chosen


@pytest.fixture
def project(case: Case, made: dict[Case, Path]) -> Path:
    return made[case]


def files_of(project: Path) -> dict[str, Path]:
    paths = [path for path in project.rglob("*") if not path.is_dir()]
    names = {path.relative_to(project).as_posix(): path for path in paths}
    return {name: path for name, path in names.items() if not name.startswith(".git/")}


# What is made


def test_every_question_is_asked_in_words_and_there_are_at_most_seven():
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert len(asked) <= 7
    assert set(QUESTIONS["__prompts__"]) == set(asked)
    for name, answers in QUESTIONS.items():
        prompt = QUESTIONS["__prompts__"].get(name)
        if isinstance(prompt, dict):
            assert set(prompt) == {"__prompt__", *answers}


def test_kinds_are_those_that_can_be_chosen():
    assert sorted(QUESTIONS["kind"]) == KINDS == sorted(QUESTIONS["_records"])


def test_files_are_exactly_these(case: Case, project: Path):
    records = {
        f"data/{part}.{QUESTIONS['_records'][case.kind]}" for part in ("train", "validation")
    }
    modules = {f"{case.project}/{module}.py" for module in MODULES}
    assert set(files_of(project)) == FILES | records | modules


def test_no_tag_is_left(project: Path):
    left = re.compile(r"<<|<%|%>|<#|cookiecutter\.|kinds/|@engine")
    for name, path in files_of(project).items():
        if not re.match(r"data/.*(?<!\.md)$", name):
            text = path.read_text("utf-8").replace("<b>", "")
            assert left.findall(text) == [], name
            assert text.endswith("\n"), name
            assert not text.endswith("\n\n"), name


def test_what_is_said_in_several_files_is_the_same(case: Case, project: Path, workshop: Workshop):
    name, description, author = ANSWERS[case.answers]
    requirement = {
        "folder": f"barrage-mlflow @ {workshop.template.as_uri()}",
        "address": f"barrage-mlflow @ {workshop.address}@{workshop.commit}",
        "typed": TYPED,
    }[case.engine]
    pyproject = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    about = pyproject["project"]
    assert (about["name"], about["description"]) == (name, description)
    assert about["authors"] == [{"name": author}]
    assert about["license"].removeprefix("LicenseRef-") == case.licence
    assert author in (project / "LICENSE").read_text("utf-8")
    assert about["requires-python"] == f">={case.python},<3.14"
    assert about["dependencies"][0] == requirement
    assert {"barrage-mlflow"} <= {Requirement(line).name for line in about["dependencies"]}

    conda = yaml.safe_load((project / "conda.yaml").read_text("utf-8"))
    python, _, packages = conda["dependencies"]
    assert (python, packages["pip"]) == (f"python>={case.python},<3.14", about["dependencies"])

    readme = (project / "README.md").read_text("utf-8")
    assert description in readme
    assert f"```\n{requirement}\n```" in readme
    assert ("change the line in both files" in readme) == (case.engine != "typed")
    assert (project / "Dockerfile").read_text("utf-8").count(f"python:{case.python}-slim") == 1

    mlproject = yaml.safe_load((project / "MLproject").read_text("utf-8"))
    assert mlproject["name"] == name
    defaults = {
        key: value["default"]
        for key, value in mlproject["entry_points"]["main"]["parameters"].items()
    }
    assert [key for key, file in defaults.items() if not (project / file).exists()] == []

    workflow = yaml.safe_load((project / ".github/workflows/ci.yml").read_text("utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[1]["with"] == {"python-version": case.python}
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == [readme_command(project, "Set up"), readme_command(project, "Test")]

    config = json.loads((project / "config.json").read_text("utf-8"))
    assert config["$schema"] == "./schema.json"
    assert config["dataset"]["loader"]["import"] == f"{name}.loader.Loader"


def readme_command(project: Path, heading: str) -> str:
    text = (project / "README.md").read_text("utf-8")
    found = re.search(rf"^## {heading}\n\n```bash\n(.+)\n", text, re.M)
    assert found is not None, heading
    return found[1]


def test_pages_name_files_that_exist(project: Path):
    for page in ("README.md", "data/README.md"):
        text = (project / page).read_text("utf-8")
        named = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
        missing = [target for target in named if not ((project / page).parent / target).exists()]
        assert missing == [], page
    assert len((project / "README.md").read_text("utf-8").splitlines()) < 110


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_ruff_accepts_them_all(command: list[str], made: dict[Case, Path]):
    done = subprocess.run(
        [BIN / "ruff", *command, "--no-cache", *made.values()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_config_has_no_fault_and_components_keep_the_contract(
    kind: str, made: dict[Case, Path], tmp_path: Path
):
    case = next(case for case in CASES if (case.kind, case.answers) == (kind, "long"))
    document = read_config(made[case] / "config.json")
    add_project_path(document)
    assert [str(fault) for fault in find_faults(document)] == []
    assert [str(warning) for warning in find_warnings(document)] == []

    config = resolve_config(document)
    (path,) = (made[case] / "data").glob("train.*")
    records = Records.read(path)
    records = records[:: max(1, len(records) // 100)]

    def loader(mode: Any) -> Any:
        return build_loader(config, mode)

    def transformer(mode: Any, loaded_by: Any) -> Any:
        return build_transformer(config, mode, loaded_by)

    check_loader(loader, records)
    check_transformer(loader, transformer, records, tmp_path)


def test_project_is_one_commit_and_leaves_nothing_behind(workshop: Workshop, tmp_path: Path):
    done = workshop.make(workshop.template, "-o", tmp_path / "in here")
    project = tmp_path / "in here" / "my_project"
    assert git(project, "log", "--format=%s") == "Start from barrage-template"
    assert git(project, "status", "--porcelain") == ""
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-3:] == [
        f"  cd '{project}'",
        f"  {readme_command(project, 'Set up')}",
        f"  {readme_command(project, 'Train')}",
    ]


def test_author_commits_where_git_knows_nobody(workshop: Workshop, tmp_path: Path):
    (tmp_path / "home").mkdir()
    nobody = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": "", "EMAIL": ""}
    done = workshop.make(workshop.template, "author=Zoë <Zed>", "-o", tmp_path, **nobody)
    assert (done.returncode, done.stderr) == (0, "")
    assert git(tmp_path / "my_project", "log", "--format=%an") == "Zoë Zed"


def test_works_without_git(workshop: Workshop, tmp_path: Path):
    done = workshop.make(workshop.template, "-o", tmp_path, PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "my_project" / ".git").exists()
    assert (tmp_path / "my_project" / "config.json").exists()


# Where the engine comes from


def requirement_of(project: Path) -> str:
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    first: str = about["dependencies"][0]
    return first


def test_engine_from_a_relative_path(workshop: Workshop, tmp_path: Path, monkeypatch):
    expected = f"barrage-mlflow @ {workshop.template.as_uri()}"
    monkeypatch.chdir(workshop.template / "hooks")
    done = workshop.make("..", "-o", tmp_path / "one")
    assert done.returncode == 0, done.stderr
    assert requirement_of(tmp_path / "one" / "my_project") == expected

    # A process that was started without a shell has no word, or a wrong one, of where it is.
    monkeypatch.chdir(workshop.template.parent)
    done = workshop.make(workshop.template.name, "-o", "two", PWD=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert requirement_of(workshop.template.parent / "two" / "my_project") == expected
    done = workshop.make(workshop.template.name, "-o", tmp_path / "three", PWD=str(tmp_path))
    assert done.returncode == 1
    assert "give the template's folder as an absolute path" in only_line(done)


def test_engine_is_pinned_to_what_was_checked_out(workshop: Workshop, tmp_path: Path):
    upstream = tmp_path / "upstream"
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    git(upstream, "tag", "v1")
    git(upstream, "commit", "--quiet", "--allow-empty", "-m", "Two")
    done = workshop.make(f"git+{upstream.as_uri()}", "-c", "v1", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert requirement_of(tmp_path / "my_project") == (
        f"barrage-mlflow @ git+{upstream.as_uri()}@{workshop.commit}"
    )


def test_engine_from_an_abbreviation(workshop: Workshop, tmp_path: Path):
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{workshop.template}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/org/barrage-template.git",
    }
    done = workshop.make("gh:org/barrage-template", "-o", tmp_path, **instead)
    assert done.returncode == 0, done.stderr
    assert requirement_of(tmp_path / "my_project") == (
        f"barrage-mlflow @ git+https://github.com/org/barrage-template.git@{workshop.commit}"
    )
    readme = (tmp_path / "my_project" / "README.md").read_text("utf-8")
    assert "change the line in both files" not in readme


def load_hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("origin", "address"),
    [
        ("https://host/org/repo.git", "git+https://host/org/repo.git@1f0c"),
        ("https://me:secret@host:8443/org/repo", "git+https://host:8443/org/repo@1f0c"),
        ("git@host.org:org/repo.git", "git+ssh://git@host.org/org/repo.git@1f0c"),
        ("ssh://git@host/org/repo.git", "git+ssh://git@host/org/repo.git@1f0c"),
        ("git+ssh://git@host/repo", "git+ssh://git@host/repo@1f0c"),
        ("file:///a folder/repo", "git+file:///a%20folder/repo@1f0c"),
        ("/a folder/repo", "git+file:///a%20folder/repo@1f0c"),
        ("../repo", ""),
        ("", ""),
    ],
)
def test_git_addresses_as_pip_takes_them(origin: str, address: str):
    hook = load_hook("post_gen_project")
    answers = {"_origin": origin, "_commit": "1f0c", "_template": ""}
    assert hook.find_address(answers) == address
    assert hook.find_address(answers | {"_commit": ""}) == ""


@pytest.mark.parametrize(
    "typed",
    [
        "barrage-mlflow",
        "barrage_mlflow==0.1.0",
        "Barrage.MLflow[test] ~= 0.1.0 ; python_version >= '3.12'",
        "barrage-mlflow @ git+ssh://git@host/org/repo@1f0c",
        "barrage-mlflow@file:///a%20folder",
    ],
)
def test_requirements_that_may_be_typed(typed: str):
    assert Requirement(load_hook("post_gen_project").check_requirement(typed))


# What is refused


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that our hook wrote; cookiecutter's own log goes to standard output."""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("project=Bird-Weights", "write 'bird_weights', say"),
        ("project=birdWeights", "write 'bird_weights', say"),
        ("project=2birds", "write 'birds', say"),
        ("project=_birds", "write 'birds', say"),
        ("project=birds_", "write 'birds', say"),
        ("project=", "write 'my_project', say"),
        ("project=b", "write 'b_project', say"),
        ("project=vögel", "write 'my_project', say"),
        ("project=../birds", "write 'birds', say"),
        ("project=class", "is a keyword of Python; write 'class_project', say"),
        ("project=match", "is a keyword of Python; write 'match_project', say"),
        ("project=json", "standard library; write 'json_project', say"),
        ("project=keras", "is a package that the project needs; write 'keras_project', say"),
        ("project=barrage_mlflow", "is a package that the project needs"),
        ("project=tests", "is a name that the project uses itself"),
        ("project=data", "is a name that the project uses itself"),
        (f"project={'a' * 41}", f"is longer than 40 characters; write '{'a' * 40}', say"),
        ("description=", "is not one line of text"),
        ("description=one\ntwo", "is not one line of text"),
        ("author=\t", "is not one line of text"),
        ("engine=", "is no requirement of barrage-mlflow; write auto, or"),
        ("engine=../barrage", "is no requirement of barrage-mlflow; write auto, or"),
        ("engine=keras", "is no requirement of barrage-mlflow; write auto, or"),
        ("engine=barrage-mlflow\nkeras", "is no requirement of barrage-mlflow; write auto, or"),
        ('engine=barrage-mlflow; python_version > "3"', "write auto, or"),
    ],
)
def test_a_bad_answer_is_one_line_and_no_folder(
    answer: str, told: str, workshop: Workshop, tmp_path: Path
):
    done = workshop.make(workshop.template, answer, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert only_line(done).startswith(f"{answer.partition('=')[0]}: ")
    assert told in only_line(done)
    assert list((tmp_path / "out").glob("*")) == []


@pytest.mark.parametrize("answer", ["kind=audio", "python_version=3.9", "license=GPL"])
def test_an_answer_that_is_not_offered_names_those_that_are(
    answer: str, workshop: Workshop, tmp_path: Path
):
    question, _, given = answer.partition("=")
    done = workshop.make(workshop.template, answer, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"ValueError: {given} provided for choice variable {question}, "
        f"but the choices are {QUESTIONS[question]}."
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tag", ["<" + "<", "<" + "%", "<" + "#"])
def test_an_answer_with_a_tag_is_refused(tag: str):
    answers = {"project": "birds", "description": f"a {tag} b", "author": "me"}
    assert load_hook("pre_gen_project").find_fault(answers) == (
        f"description: leave out {tag!r}, which the template takes for a tag"
    )


def test_every_name_that_is_suggested_is_allowed():
    hook = load_hook("pre_gen_project")
    for name in [*hook.INSTALLED, *hook.FOLDERS, "", "_", "1", "É", "A" * 99, "a-" * 99, "TheHTTP"]:
        assert hook.find_name_fault(hook.suggest_name(name)) is None, name


def test_packages_that_the_project_needs_are_known_by_name():
    """The names that everything installed for the engine, pytest and ruff is imported by."""
    installed = {canonical(one.metadata["Name"]): one for one in importlib.metadata.distributions()}
    waiting, needed = ["barrage-mlflow", "pytest", "ruff", "pip", "setuptools", "pillow"], set()
    while waiting:
        name = canonical(waiting.pop())
        if name in needed or name not in installed:
            continue
        needed.add(name)
        for line in installed[name].requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
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


# Updates


def test_cruft_updates_a_project_and_keeps_its_edits(workshop: Workshop, tmp_path: Path):
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    upstream, project = tmp_path / "upstream", tmp_path / "my_project"

    def cruft(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        settings = {"COOKIECUTTER_CONFIG": str(workshop.settings)}
        command = [sys.executable, "-m", "cruft", *arguments]
        return subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)

    done = cruft("create", upstream, "--no-input", "--output-dir", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first = git(upstream, "rev-parse", "HEAD")
    assert requirement_of(project) == f"barrage-mlflow @ git+{upstream.as_uri()}@{first}"
    assert not (project / ".git").exists()
    edits = {
        "my_project/network.py": ("units: int = 32", "units: int = 48"),
        "README.md": ("## Train\n", "## Train it\n"),
        "data/README.md": ("# The data\n", "# Our data\n"),
    }
    for step in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Start"]):
        git(project, *step)
    for name, (old, new) in edits.items():
        replace(project / name, old, new)
    git(project, "commit", "--quiet", "--all", "-m", "Ours")

    template = upstream / "<<cookiecutter.project>>"
    replace(template / "README.md", "## Licence\n", "## The licence\n")
    replace(template / ".dockerignore", "!model\n", "!model\n!extra\n")
    replace(template / "kinds/tabular/data/README.md", "# The data\n", "# Other data\n")
    git(upstream, "commit", "--quiet", "--all", "-m", "Two")
    second = git(upstream, "rev-parse", "HEAD")
    done = cruft("check", "--project-dir", project)
    assert (done.returncode, "out of date" in done.stdout) == (1, True)

    done = cruft("update", "--project-dir", project, "--skip-apply-ask")
    assert done.returncode == 0, done.stdout + done.stderr
    for name, (_, new) in edits.items():
        assert new in (project / name).read_text("utf-8")
    assert "## The licence\n" in (project / "README.md").read_text("utf-8")
    assert (project / ".dockerignore").read_text("utf-8") == "*\n!model\n!extra\n"
    assert requirement_of(project).endswith(f"@{second}")
    # Neither a conflict nor a rejected part, which git would list as a file of its own.
    assert {line[2:].strip() for line in git(project, "status", "--porcelain").splitlines()} == {
        *(".cruft.json", ".dockerignore", "README.md", "conda.yaml", "pyproject.toml"),
    }
    done = cruft("check", "--project-dir", project)
    assert (done.returncode, "up to date" in done.stdout) == (0, True)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new), "utf-8")


# That it works as it comes


def in_project(project: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the README, with this environment in the place of the project's."""
    done = subprocess.run(
        command.removeprefix(". .venv/bin/activate && "),
        shell=True,
        cwd=project,
        env=own_environment() | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def own_environment() -> dict[str, str]:
    variables = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    return variables | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def make_one(workshop: Workshop, folder: Path, *answers: str) -> Path:
    done = workshop.make(workshop.template, "-o", folder, *answers)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "my_project"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_passes_its_tests_trains_serves_and_scores(
    kind: str, workshop: Workshop, tmp_path: Path
):
    project = make_one(workshop, tmp_path / "a folder", f"kind={kind}")
    # The rest of that line makes an environment, as a test below does in other ways.
    in_project(project, readme_command(project, "Set up").split(" && ")[-1])
    assert json.loads((project / "schema.json").read_text("utf-8"))["$schema"]
    in_project(project, readme_command(project, "Test"))
    in_project(project, f"{readme_command(project, 'Train')} -P solver.epochs=2")
    in_project(project, "mlflow artifacts download -u models:/my_project/1 -d model")
    rows = json.loads((project / "model" / "serving_input_example.json").read_text("utf-8"))
    split = rows["dataframe_split"]
    records = [dict(zip(split["columns"], row, strict=True)) for row in split["data"]]
    (project / "records.json").write_text(json.dumps(records))
    in_project(project, "barrage-mlflow predict records.json models:/my_project/1 -o scores.json")
    scores = json.loads((project / "scores.json").read_text("utf-8"))
    with serving(project) as address:
        request = urllib.request.Request(
            f"{address}/invocations",
            json.dumps({"dataframe_records": records[:1]}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            (served,) = json.load(answer)["predictions"]
    assert served == {name: nearly(value) for name, value in scores[0].items()}
    git(project, "add", "--all")
    changed = git(project, "diff", "HEAD", "--name-only").splitlines()
    assert changed == ["records.json", "scores.json"]


def nearly(value: Any) -> Any:
    """A value that may differ by what one record's scores differ in batches of other sizes."""
    numeric = isinstance(value, float | list)
    return pytest.approx(value, rel=1e-5, abs=1e-6) if numeric else value


@contextmanager
def serving(project: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = ["mlflow", "models", "serve", "-m", "models:/my_project/1", "--env-manager", "local"]
    log = project.parent / "server.log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [BIN / command[0], *command[1:], "--port", port],
            cwd=project,
            env=own_environment(),
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        for _ in range(240):
            if server.poll() is not None or is_up(f"http://127.0.0.1:{port}/ping"):
                break
            time.sleep(0.5)
        assert server.poll() is None, log.read_text("utf-8")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def is_up(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("manager", ["uv", "virtualenv"])
def test_mlflow_builds_the_environment_and_trains(manager: str, workshop: Workshop, tmp_path: Path):
    project = make_one(workshop, tmp_path / "a folder")
    command = f"mlflow run . --env-manager {manager} -P config=config.json -P solver.epochs=1"
    done = in_project(project, command, MLFLOW_ENV_ROOT=str(tmp_path / "environments"))
    assert "best epoch 1: " in done.stdout + done.stderr
    (engine,) = tmp_path.glob("environments/**/barrage_mlflow/__init__.py")
    assert "site-packages" in str(engine)
