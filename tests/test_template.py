"""The template: what it makes of every answer, what it refuses, and that it works as it comes."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import yaml
from outside import BIN, ROOT, assert_scores_agree, environment, invoke, run, serving
from packaging.requirements import Requirement

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
    "short": ("ab", "- [x]: *all* `of` |it| @engine@ engine>> @engine-note@", "é @engine@"),
}


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@localhost"]
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit_all(folder: Path, message: str) -> str:
    """Commit all that is in a folder, which becomes a repository; the commit's id."""
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Workshop:
    """A copy of the template, which is a git repository too, and what cookiecutter keeps."""

    template: Path
    settings: Path
    commit: str

    @property
    def address(self) -> str:
        """For cookiecutter, which takes no plain ``file://``."""
        return f"git+{self.template.as_uri()}"

    def make(
        self, template: str | Path, *options: str | Path, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Call cookiecutter in a process of its own."""
        command = [sys.executable, "-m", "cookiecutter", template, "--no-input", *options]
        settings = {"COOKIECUTTER_CONFIG": str(self.settings), "PWD": str(Path.cwd())}
        return subprocess.run(
            command, env=os.environ | settings | variables, capture_output=True, text=True
        )

    def make_one(self, folder: Path, *options: str, template: Any = None, **variables: str) -> Path:
        """Make a project that is called as the template proposes; its folder."""
        done = self.make(template or self.template, "-o", folder, *options, **variables)
        assert (done.returncode, done.stderr) == (0, "")
        return folder / "my_project"


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
    # A checkout has an environment in it, which nothing may copy: this cannot be copied.
    (template / ".venv").mkdir()
    os.mkfifo(template / ".venv" / "pipe")
    settings = home / "settings.yaml"
    folders = {"cookiecutters_dir": str(home / "clones"), "replay_dir": str(home / "replay")}
    settings.write_text(json.dumps(folders))
    return Workshop(template, settings, commit_all(template, "One"))


class Case(NamedTuple):
    """One set of answers."""

    kind: str
    answers: str
    engine: str
    python: str
    licence: str


# Every kind with all answers; engines, Pythons and licences meet each other.
CASES = [
    Case(*kind_and_answers, *others)
    for kind_and_answers, *others in zip(
        itertools.product(KINDS, ANSWERS),
        itertools.cycle(["folder", "address", "typed"]),
        itertools.cycle(["3.11", "3.13", "3.12", "3.13", "3.11"]),
        itertools.cycle(["MIT", "Apache-2.0", "Proprietary", "MIT"]),
        strict=False,
    )
]


@pytest.fixture(scope="module")
def made(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[Case, Path]:
    """Every case's project, all made in one process, which spares half of the time."""
    home = tmp_path_factory.mktemp("all of them")
    calls: list[dict[str, Any]] = []
    projects = {}
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
        folder = home / "-".join(case)
        calls.append({"template": template, "output_dir": str(folder), "extra_context": answers})
        calls[-1]["config_file"] = str(workshop.settings)
        projects[case] = folder / project
    done = subprocess.run(
        [sys.executable, "-c", MAKE], input=json.dumps(calls), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return projects


def files_of(project: Path) -> dict[str, Path]:
    paths = [path for path in project.rglob("*") if not path.is_dir()]
    names = {path.relative_to(project).as_posix(): path for path in paths}
    return {name: path for name, path in names.items() if not name.startswith(".git/")}


def readme_command(project: Path, heading: str) -> str:
    text = (project / "README.md").read_text("utf-8")
    found = re.search(rf"^## {heading}\n\n```bash\n(.+)\n", text, re.M)
    assert found is not None, heading
    return found[1]


def requirement_of(project: Path) -> str:
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    first: str = about["dependencies"][0]
    return first


# What is made


def test_at_most_seven_questions_are_asked_in_words():
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert len(asked) <= 7
    assert set(QUESTIONS["__prompts__"]) == set(asked)
    for name, answers in QUESTIONS.items():
        prompt = QUESTIONS["__prompts__"].get(name)
        if isinstance(prompt, dict):
            assert set(prompt) == {"__prompt__", *answers}
    assert sorted(QUESTIONS["kind"]) == KINDS == sorted(QUESTIONS["_records"])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_project_is_whole_and_its_files_agree(
    case: Case, made: dict[Case, Path], workshop: Workshop
):
    project = made[case]
    name, description, author = ANSWERS[case.answers]
    files = files_of(project)
    records = [
        f"data/{part}.{QUESTIONS['_records'][case.kind]}" for part in ("train", "validation")
    ]
    assert set(files) == FILES | set(records) | {f"{name}/{module}.py" for module in MODULES}

    left = re.compile(r"<<|<%|%>|<#|cookiecutter\.|kinds/")
    for file in files.keys() - set(records):
        text = files[file].read_text("utf-8")
        assert left.findall(text) == [], file
        assert text.endswith("\n"), file
        assert not text.endswith("\n\n"), file

    requirement = {
        "folder": f"barrage-mlflow @ {workshop.template.as_uri()}",
        "address": f"barrage-mlflow @ {workshop.address}@{workshop.commit}",
        "typed": TYPED,
    }[case.engine]
    about = tomllib.loads(files["pyproject.toml"].read_text("utf-8"))["project"]
    assert (about["name"], about["description"]) == (name, description)
    assert about["authors"] == [{"name": author}]
    assert about["license"].removeprefix("LicenseRef-") == case.licence
    assert author in files["LICENSE"].read_text("utf-8")
    assert about["requires-python"] == f">={case.python},<3.14"
    assert about["dependencies"][0] == requirement
    assert {"barrage-mlflow"} <= {Requirement(line).name for line in about["dependencies"]}

    conda = yaml.safe_load(files["conda.yaml"].read_text("utf-8"))
    python, _, packages = conda["dependencies"]
    assert (python, packages["pip"]) == (f"python>={case.python},<3.14", about["dependencies"])

    readme = files["README.md"].read_text("utf-8")
    assert description in readme
    assert f"```\n{requirement}\n```" in readme
    assert ("change the line in both files" in readme) == (case.engine != "typed")
    assert len(readme.splitlines()) < 110
    for page in ("README.md", "data/README.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", files[page].read_text("utf-8"))
        named = [files[page].parent / target for target in targets if "://" not in target]
        assert [path for path in named if not path.exists()] == [], page
    assert files["Dockerfile"].read_text("utf-8").count(f"python:{case.python}-slim") == 1

    mlproject = yaml.safe_load(files["MLproject"].read_text("utf-8"))
    assert mlproject["name"] == name
    parameters = mlproject["entry_points"]["main"]["parameters"]
    assert {parameter["default"] for parameter in parameters.values()} <= set(files)

    workflow = yaml.safe_load(files[".github/workflows/ci.yml"].read_text("utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert steps[1]["with"] == {"python-version": case.python}
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == [readme_command(project, "Set up"), readme_command(project, "Test")]

    config = json.loads(files["config.json"].read_text("utf-8"))
    assert config["$schema"] == "./schema.json"
    assert config["dataset"]["loader"]["import"] == f"{name}.loader.Loader"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_ruff_accepts_them_all(command: list[str], made: dict[Case, Path]):
    done = subprocess.run(
        [BIN / "ruff", *command, "--no-cache", *made.values()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_project_is_one_commit_and_the_next_commands_are_printed(
    workshop: Workshop, tmp_path: Path
):
    done = workshop.make(workshop.template, "-o", tmp_path / "in here")
    assert (done.returncode, done.stderr) == (0, "")
    project = tmp_path / "in here" / "my_project"
    assert git(project, "log", "--format=%s") == "Start from barrage-template"
    assert git(project, "status", "--porcelain") == ""
    assert done.stdout.splitlines()[-3:] == [
        f"  cd '{project}'",
        f"  {readme_command(project, 'Set up')}",
        f"  {readme_command(project, 'Train')}",
    ]


def test_the_author_commits_where_git_knows_nobody(workshop: Workshop, tmp_path: Path):
    (tmp_path / "home").mkdir()
    nobody = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": "", "EMAIL": ""}
    project = workshop.make_one(tmp_path, "author=Zoë <Zed>", **nobody)
    assert git(project, "log", "--format=%an") == "Zoë Zed"


def test_a_project_is_made_without_git(workshop: Workshop, tmp_path: Path):
    project = workshop.make_one(tmp_path, PATH=str(tmp_path))
    assert not (project / ".git").exists()
    assert (project / "config.json").exists()


# Where the engine comes from


def test_engine_from_a_relative_path(workshop: Workshop, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(workshop.template / "hooks")
    project = workshop.make_one(tmp_path / "one", template="..")
    assert requirement_of(project) == f"barrage-mlflow @ {workshop.template.as_uri()}"

    # A process that was started without a shell may name another folder, or none.
    done = workshop.make("..", "-o", tmp_path / "two", PWD=str(tmp_path))
    assert done.returncode == 1
    assert "give the template's folder as an absolute path" in only_line(done)


def test_engine_is_pinned_to_what_was_checked_out(workshop: Workshop, tmp_path: Path):
    upstream = tmp_path / "upstream"
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    git(upstream, "tag", "v1")
    git(upstream, "commit", "--quiet", "--allow-empty", "-m", "Two")
    address = f"git+{upstream.as_uri()}"
    project = workshop.make_one(tmp_path, "-c", "v1", template=address)
    assert requirement_of(project) == f"barrage-mlflow @ {address}@{workshop.commit}"


def test_engine_from_an_abbreviation(workshop: Workshop, tmp_path: Path):
    origin = "https://github.com/org/barrage-template.git"
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{workshop.template}.insteadOf",
        "GIT_CONFIG_VALUE_0": origin,
    }
    project = workshop.make_one(tmp_path, template="gh:org/barrage-template", **instead)
    assert requirement_of(project) == f"barrage-mlflow @ git+{origin}@{workshop.commit}"
    assert "change the line in both files" not in (project / "README.md").read_text("utf-8")


def load_hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_git_addresses_as_pip_takes_them():
    hook = load_hook("post_gen_project")
    addresses = {
        "https://host/org/repo.git": "git+https://host/org/repo.git@1f0c",
        "https://me:secret@host:8443/org/repo": "git+https://host:8443/org/repo@1f0c",
        "git@host.org:org/repo.git": "git+ssh://git@host.org/org/repo.git@1f0c",
        "ssh://git@host/org/repo.git": "git+ssh://git@host/org/repo.git@1f0c",
        "git+ssh://git@host/repo": "git+ssh://git@host/repo@1f0c",
        "file:///a folder/repo": "git+file:///a%20folder/repo@1f0c",
        "/a folder/repo": "git+file:///a%20folder/repo@1f0c",
        "../repo": "",
        "": "",
    }
    assert {origin: hook.pip_address(origin, "1f0c") for origin in addresses} == addresses
    assert {hook.pip_address(origin, "") for origin in addresses} == {""}


def test_requirements_that_may_be_typed():
    hook = load_hook("post_gen_project")
    for typed in (
        "barrage-mlflow",
        "barrage_mlflow==0.1.0",
        "Barrage.MLflow[test] ~= 0.1.0 ; python_version >= '3.12'",
        "barrage-mlflow @ git+ssh://git@host/org/repo@1f0c",
        "barrage-mlflow@file:///a%20folder",
    ):
        assert Requirement(hook.check_requirement(typed))
    for typed in (
        *("", "../barrage", "keras", "barrage-mlflow\nkeras"),
        'barrage-mlflow; python_version > "3"',
    ):
        expected = r"^engine: .* is no requirement of barrage-mlflow; write auto, or a line such as"
        with pytest.raises(ValueError, match=expected):
            hook.check_requirement(typed)


# What is refused


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that our hook wrote; cookiecutter's own log goes to standard output."""
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Bird-Weights", "write for example 'bird_weights'"),
        ("birdWeights", "write for example 'bird_weights'"),
        ("2birds", "write for example 'birds'"),
        ("_birds", "write for example 'birds'"),
        ("birds_", "write for example 'birds'"),
        ("", "write for example 'my_project'"),
        ("b", "write for example 'b_project'"),
        ("vögel", "write for example 'my_project'"),
        ("../birds", "write for example 'birds'"),
        ("class", "is a keyword of Python; write for example 'class_project'"),
        ("match", "is a keyword of Python; write for example 'match_project'"),
        ("json", "standard library; write for example 'json_project'"),
        ("keras", "is a package that the project needs; write for example 'keras_project'"),
        ("barrage_mlflow", "is a package that the project needs"),
        ("tests", "is a name that the project uses itself"),
        ("data", "is a name that the project uses itself"),
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


def test_a_choice_that_there_is_not_names_those_that_there_are(workshop: Workshop, tmp_path: Path):
    done = workshop.make(workshop.template, "kind=audio", "-o", tmp_path / "out")
    assert done.returncode == 1
    expected = f"audio provided for choice variable kind, but the choices are {QUESTIONS['kind']}."
    assert done.stderr.splitlines()[-1] == f"ValueError: {expected}"
    assert not (tmp_path / "out").exists()


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


def test_cruft_updates_a_project_over_two_releases_and_keeps_its_edits(
    workshop: Workshop, tmp_path: Path
):
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    upstream, project = tmp_path / "upstream", tmp_path / "my_project"
    template = upstream / "<<cookiecutter.project>>"

    def cruft(*arguments: str | Path) -> str:
        settings = {"COOKIECUTTER_CONFIG": str(workshop.settings)}
        command = [sys.executable, "-m", "cruft", *arguments]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
        assert done.returncode == (1 if "out of date" in done.stdout else 0), done.stderr
        return done.stdout

    cruft("create", upstream, "--no-input", "--output-dir", tmp_path)
    at = f"barrage-mlflow @ git+{upstream.as_uri()}@"
    assert requirement_of(project) == f"{at}{workshop.commit}"
    assert not (project / ".git").exists()
    commit_all(project, "Start")
    edits = {
        "my_project/network.py": ("units: int = 32", "units: int = 48"),
        "README.md": ("## Train\n", "## Train it\n"),
        "data/README.md": ("# The data\n", "# Our data\n"),
    }
    for name, (old, new) in edits.items():
        replace(project / name, old, new)
    commit_all(project, "Ours")

    replace(template / "README.md", "## Licence\n", "## The licence\n")
    replace(template / ".dockerignore", "!model\n", "!model\n!extra\n")
    replace(template / "kinds/tabular/data/README.md", "# The data\n", "# Other data\n")
    changed = {".cruft.json", ".dockerignore", "README.md", "conda.yaml", "pyproject.toml"}
    releases = [(commit_all(upstream, "Two"), changed)]
    replace(template / "MLproject", "# Files are named", "# All files are named")
    changed = {".cruft.json", "MLproject", "README.md", "conda.yaml", "pyproject.toml"}
    releases.append((commit_all(upstream, "Three"), changed))
    for number, (release, changed) in enumerate(releases):
        git(upstream, "checkout", "--quiet", release)
        assert "out of date" in cruft("check", "--project-dir", project)
        checkout = ["--checkout", release] if number == 0 else []
        cruft("update", "--project-dir", project, "--skip-apply-ask", *checkout)
        assert requirement_of(project) == f"{at}{release}"
        # Neither a conflict nor a rejected part, which git would list as a file of its own.
        lines = git(project, "status", "--porcelain").splitlines()
        assert {line[2:].strip() for line in lines} == changed
        commit_all(project, "Updated")
    for name, (_, new) in edits.items():
        assert new in (project / name).read_text("utf-8")
    assert "## The licence\n" in (project / "README.md").read_text("utf-8")
    assert (project / ".dockerignore").read_text("utf-8") == "*\n!model\n!extra\n"
    assert "up to date" in cruft("check", "--project-dir", project)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new), "utf-8")


# That it works as it comes


def in_project(project: Path, command: str, **variables: str) -> str:
    """Run a command of the README, with this environment in the place of the project's."""
    return run(command.removeprefix(". .venv/bin/activate && "), project, **variables)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_passes_its_own_tests(kind: str, workshop: Workshop, tmp_path: Path):
    project = workshop.make_one(tmp_path / "a folder", f"kind={kind}")
    # The rest of that line makes an environment, as a test below does in other ways.
    in_project(project, readme_command(project, "Set up").split(" && ")[-1])
    assert json.loads((project / "schema.json").read_text("utf-8"))["$schema"]
    in_project(project, readme_command(project, "Test"))
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.nightly(part="environments")
@pytest.mark.parametrize(
    ("kind", "manager"),
    [(KINDS[0], "uv"), (KINDS[1], "virtualenv"), (KINDS[2], "conda"), (KINDS[3], "uv")],
)
def test_a_new_project_trains_in_an_environment_that_mlflow_builds_and_serves(
    kind: str, manager: str, workshop: Workshop, tmp_path: Path
):
    if not shutil.which(manager, path=environment()["PATH"]):
        pytest.skip(f"there is no {manager}")
    project = workshop.make_one(tmp_path / "a folder", f"kind={kind}")
    train = readme_command(project, "Train").replace(
        "--env-manager local", f"--env-manager {manager}"
    )
    environments = str(tmp_path / "environments")
    printed = in_project(project, f"{train} -P solver.epochs=1", MLFLOW_ENV_ROOT=environments)
    assert "best epoch 1: " in printed
    if manager != "conda":
        (engine,) = tmp_path.glob("environments/**/barrage_mlflow/__init__.py")
        assert "site-packages" in str(engine)

    in_project(project, "mlflow artifacts download -u models:/my_project/1 -d model")
    example = json.loads((project / "model" / "serving_input_example.json").read_text("utf-8"))
    rows = example["dataframe_split"]
    records = [dict(zip(rows["columns"], row, strict=True)) for row in rows["data"]]
    (project / "records.json").write_text(json.dumps(records))
    in_project(project, "barrage-mlflow predict records.json models:/my_project/1 -o scores.json")
    scores = json.loads((project / "scores.json").read_text("utf-8"))
    with serving("models:/my_project/1", project) as address:
        assert_scores_agree(invoke(address, example), scores)
    (project / "server.log").unlink()
    lines = git(project, "status", "--porcelain").splitlines()
    assert {line[3:] for line in lines} == {"records.json", "scores.json"}
