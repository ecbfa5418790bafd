"""What the template makes of every answer; test_commands.py has that it works as it comes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from outside import BIN, run
from packaging.requirements import Requirement
from workshop import KINDS, QUESTIONS, Workshop, files_of, git, readme_command

TYPED = "barrage-mlflow >= 0.1, < 1; python_version < '4'"
FILES = {
    *(".devcontainer/devcontainer.json", ".dockerignore", ".env.example", ".gitignore"),
    *(".github/workflows/ci.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml"),
    *(".vscode/extensions.json", ".vscode/settings.json", "CITATION.cff", "Dockerfile"),
    *("LICENSE", "MLproject", "MODEL_CARD.md", "Makefile", "README.md", "conda.yaml"),
    *("config.json", "data/README.md", "notebooks/explore.ipynb", "pyproject.toml"),
    *("reports/README.md", "search.json", "tests/conftest.py", "tests/test_components.py"),
    *("tests/test_project.py", "tests/test_training.py", "train.Dockerfile"),
}
COMMANDS = {
    *("setup", "check", "train", "test", "lint", "tune", "evaluate", "predict", "serve", "ui"),
    "compare",
}
CI = ".github/workflows/ci.yml"
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
    for page in ("README.md", "MODEL_CARD.md", "data/README.md"):
        targets = re.findall(r"\]\(([^)#]+)\)", files[page])
        named = [paths[page].parent / target for target in targets if "://" not in target]
        assert [path for path in named if not path.exists()] == [], page
    pages = ".devcontainer/devcontainer.json", ".gitlab-ci.yml", "Dockerfile", "train.Dockerfile"
    for page in pages:
        assert re.findall(r"python:([\d.]+)", files[page]) == [python], page

    mlproject = yaml.safe_load(files["MLproject"])
    assert mlproject["name"] == name
    parameters = mlproject["entry_points"]["main"]["parameters"]
    assert {parameter["default"] for parameter in parameters.values()} <= {*paths, ""}

    citation = yaml.safe_load(files["CITATION.cff"])
    assert (citation["title"], citation["abstract"]) == (name, text["description"])
    assert citation["authors"] == about["authors"]
    assert citation.get("license", "Proprietary") == licence

    config = json.loads(files["config.json"])
    assert config["$schema"] == "./schema.json"
    assert config["dataset"]["loader"]["import"] == f"{name}.loader.Loader"


@pytest.mark.parametrize("kind", KINDS)
def test_what_names_a_command_or_a_file_names_one_that_there_is(kind: str, made: dict[str, Path]):
    project, name = made[kind], CASES[kind][0]["project"]
    files = {path: (project / path).read_text("utf-8") for path in FILES}
    listed = re.findall(r"^make (\w+) +\w", run("make", project), re.M)
    assert set(listed) == COMMANDS
    assert set(re.findall(r"make (\w+)", files["README.md"])) == COMMANDS

    github, gitlab = (yaml.safe_load(files[path]) for path in (CI, ".gitlab-ci.yml"))
    for job in ("test", "compare"):
        steps = github["jobs"][job]["steps"]
        assert steps[1]["with"] == {"python-version": CASES[kind][2]}
        commands = [step["run"] for step in steps if "run" in step]
        assert commands == gitlab["default"]["before_script"] + gitlab[job]["script"]
        assert set(re.findall(r"make (\w+)", "\n".join(commands))) <= COMMANDS

    made_by_set_up = re.findall(r"> (\S+)$", run("make -n setup", project), re.M)
    schemas = json.loads(files[".vscode/settings.json"])["json.schemas"]
    assert [schema["url"].removeprefix("./") for schema in schemas] == made_by_set_up
    assert run(["git", "check-ignore", ".env", ".venv", *made_by_set_up], project).count("\n") == 4

    ruff, own = yaml.safe_load(files[".pre-commit-config.yaml"])["repos"]
    dev = tomllib.loads(files["pyproject.toml"])["project"]["optional-dependencies"]["dev"]
    (needed,) = (Requirement(line) for line in dev if line.startswith("ruff"))
    assert needed.specifier.contains(ruff["rev"].removeprefix("v"))
    watched = re.compile(own["hooks"][0]["files"])
    seen = {path for path in files_of(project) if watched.search(path)}
    assert seen == {"config.json", *(path for path in files_of(project) if path.startswith(name))}


@pytest.mark.parametrize("kind", KINDS)
def test_the_notebook_comes_without_outputs(kind: str, made: dict[str, Path]):
    notebook = json.loads((made[kind] / "notebooks" / "explore.ipynb").read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all((cell["outputs"], cell["execution_count"]) == ([], None) for cell in cells)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])


def test_settings_of_the_environment_are_read_alike_by_a_shell_and_by_docker(
    made: dict[str, Path],
):
    """Docker takes what stands after the sign as it is, quotes and blanks too."""
    for project in made.values():
        lines = (project / ".env.example").read_text("utf-8").splitlines()
        values = [line for line in lines if line and not line.startswith("# ")]
        assert len(values) == 6
        assert [line for line in values if not re.fullmatch(r"#?[A-Z_]+=[\w:/.]*", line)] == []


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
