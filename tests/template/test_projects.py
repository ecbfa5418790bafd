"""What the template makes of every answer, and that it works as it comes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from outside import BIN, assert_scores_agree, environment, invoke, run, serving
from packaging.requirements import Requirement
from workshop import KINDS, QUESTIONS, Workshop, files_of, git, readme_command

TYPED = "barrage-mlflow >= 0.1, < 1; python_version < '4'"
FILES = {
    "search.json",
    *(".dockerignore", ".github/workflows/ci.yml", ".gitignore", "Dockerfile", "LICENSE"),
    *("MLproject", "README.md", "conda.yaml", "config.json", "data/README.md", "pyproject.toml"),
    *("tests/conftest.py", "tests/test_components.py", "tests/test_project.py"),
    "tests/test_training.py",
}
MODULES = ("__init__", "loader", "transformer")
MORE = {"image": ("augment",), "timeseries": ("network",)}
MAKE = """
import json, sys
from cookiecutter.main import cookiecutter

for call in json.load(sys.stdin):
    cookiecutter(no_input=True, **call)
"""
LONG = {
    "project": "z9_a_name_that_is_as_long_as_one_can_be0",
    "description": 'Tells "birds" from {{bees}}: 100 % \\ sure, isn\'t it? # <b> 🐧',
    "author": 'Zoë "Zed" O\'Brien-Łuk\\asz & Co., 株式会社',
}
SHORT = {
    "project": "ab",
    "description": "- [x]: *all* `of` |it| @engine@ engine>> @engine-note@",
    "author": "é @engine@",
}
# Of each kind: the text, where the engine is from, the Python and the licence.
CASES: dict[str, tuple[dict[str, str], str, str, str]] = {
    "image": (LONG, "folder", "3.11", "MIT"),
    "tabular": (SHORT, "address", "3.13", "Apache-2.0"),
    "text": (LONG, "typed", "3.12", "Proprietary"),
    "timeseries": (SHORT, "folder", "3.13", "MIT"),
}


@pytest.fixture(scope="module")
def made(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind's project, all made in one process, which spares half of the time."""
    home = tmp_path_factory.mktemp("all of them")
    calls: list[dict[str, Any]] = []
    for kind, (text, engine, python, licence) in CASES.items():
        answers = {"kind": kind, "license": licence, "python_version": python, **text}
        answers["engine"] = TYPED if engine == "typed" else "auto"
        template = workshop.address if engine == "address" else str(workshop.template)
        calls.append({"template": template, "output_dir": str(home / kind)})
        calls[-1] |= {"extra_context": answers, "config_file": str(workshop.settings)}
    done = subprocess.run(
        [sys.executable, "-c", MAKE], input=json.dumps(calls), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return {kind: home / kind / text["project"] for kind, (text, *_) in CASES.items()}


def test_at_most_seven_questions_are_asked_in_words():
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert len(asked) <= 7
    assert set(QUESTIONS["__prompts__"]) == set(asked)
    for name, answers in QUESTIONS.items():
        prompt = QUESTIONS["__prompts__"].get(name)
        if isinstance(prompt, dict):
            assert set(prompt) == {"__prompt__", *answers}
    assert sorted(QUESTIONS["kind"]) == KINDS == sorted(QUESTIONS["_records"]) == sorted(CASES)


@pytest.mark.parametrize("kind", KINDS)
def test_a_project_is_whole_and_its_files_agree(
    kind: str, made: dict[str, Path], workshop: Workshop
):
    project, (text, engine, python, licence) = made[kind], CASES[kind]
    name = text["project"]
    paths = files_of(project)
    records = {f"data/{part}.{QUESTIONS['_records'][kind]}" for part in ("train", "validation")}
    modules = {f"{name}/{module}.py" for module in (*MODULES, *MORE.get(kind, ()))}
    images = {file for file in paths if file.startswith("data/images/")}
    assert bool(images) == (kind == "image")
    assert set(paths) == FILES | records | modules | images
    files = {file: paths[file].read_text("utf-8") for file in paths.keys() - records - images}
    assert sum(files[module].count("\n") for module in modules) <= 80

    left = re.compile(r"<<|<%|%>|<#|cookiecutter\.|kinds/")
    assert [file for file, content in files.items() if left.search(content)] == []
    ends = re.compile(r"[^\n]\n\Z")
    assert [file for file, content in files.items() if not ends.search(content)] == []

    requirement = {
        "folder": f"barrage-mlflow @ {workshop.template.as_uri()}",
        "address": f"barrage-mlflow @ {workshop.address}@{workshop.commit}",
        "typed": TYPED,
    }[engine]
    about = tomllib.loads(files["pyproject.toml"])["project"]
    assert (about["name"], about["description"]) == (name, text["description"])
    assert about["authors"] == [{"name": text["author"]}]
    assert about["license"].removeprefix("LicenseRef-") == licence
    assert text["author"] in files["LICENSE"]
    assert about["requires-python"] == f">={python},<3.14"
    assert about["dependencies"][0] == requirement
    assert Requirement(requirement).name == "barrage-mlflow"

    conda = yaml.safe_load(files["conda.yaml"])["dependencies"]
    assert (conda[0], conda[2]["pip"]) == (f"python>={python},<3.14", about["dependencies"])

    readme = files["README.md"]
    assert text["description"] in readme
    assert f"```\n{requirement}\n```" in readme
    assert ("change the line in both files" in readme) == (engine != "typed")
    for page in ("README.md", "data/README.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", files[page])
        named = [paths[page].parent / target for target in targets if "://" not in target]
        assert [path for path in named if not path.exists()] == [], page
    assert files["Dockerfile"].count(f"python:{python}-slim") == 1

    mlproject = yaml.safe_load(files["MLproject"])
    assert mlproject["name"] == name
    parameters = mlproject["entry_points"]["main"]["parameters"]
    assert {parameter["default"] for parameter in parameters.values()} <= {*paths, ""}

    steps = yaml.safe_load(files[".github/workflows/ci.yml"])["jobs"]["test"]["steps"]
    assert steps[1]["with"] == {"python-version": python}
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == [readme_command(project, "Set up"), readme_command(project, "Test")]

    config = json.loads(files["config.json"])
    assert config["$schema"] == "./schema.json"
    assert config["dataset"]["loader"]["import"] == f"{name}.loader.Loader"


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=lambda words: words[0])
def test_ruff_accepts_them_all(command: list[str], made: dict[str, Path]):
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
    # One trains here, and all do below; it takes most of the time.
    fewer = "" if kind == KINDS[0] else " -k 'not trains'"
    in_project(project, readme_command(project, "Test") + fewer)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.nightly(part="environments")
def test_the_set_up_that_is_printed_runs_with_the_pip_that_python_brings(
    workshop: Workshop, tmp_path: Path
):
    project = workshop.make_one(tmp_path, template=workshop.address)
    run(readme_command(project, "Set up"), project)
    assert json.loads((project / "schema.json").read_text("utf-8"))["$schema"]


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
