"""What the repository has in several places is the same in all of them."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from outside import ROOT, environment, parse_command, run

import barrage_mlflow

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
TEMPLATE = ROOT / "<<cookiecutter.project>>"
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
    for line in block.splitlines()
]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)
LONGEST = 400

# Dependencies


def test_every_file_that_lists_dependencies_lists_the_same():
    conda = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))["dependencies"]
    (pip,) = [line["pip"] for line in conda if isinstance(line, dict)]
    tune = PROJECT["optional-dependencies"]["tune"]
    assert sorted(pip) == sorted([*PROJECT["dependencies"], *tune])
    assert f"python{PROJECT['requires-python']}" in conda

    template = "".join(
        (TEMPLATE / name).read_text("utf-8") for name in ("pyproject.toml", "conda.yaml")
    )
    groups = PROJECT["optional-dependencies"]
    lines = {*PYPROJECT["build-system"]["requires"], *groups["test"], *groups["dev"], *conda[1:2]}
    ours = {re.split("[>=]", line)[0]: line for line in lines}
    for name in ("setuptools", "pytest", "ruff", "pip"):
        assert re.findall(rf'(?<![\w-]){name}>=[^"\s]+', template) == [ours[name]]
    newest = PROJECT["requires-python"].partition(",")[2]
    assert template.count(f">=<< cookiecutter.python_version >>,{newest}") == 2


def test_every_dependency_is_bounded_on_both_sides():
    groups = [PYPROJECT["build-system"]["requires"], PROJECT["dependencies"]]
    groups += PROJECT["optional-dependencies"].values()
    lines = [line for group in groups for line in group]
    bounded = re.compile(r"[\w.-]+(\[\w+\])?>=[\d.]+,<[\d.]+(; .+)?|barrage-mlflow\[(test|tune)\]")
    assert [line for line in lines if not bounded.fullmatch(line)] == []


def test_every_package_that_the_engine_imports_is_a_dependency():
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "barrage_mlflow").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in _imported(node)
    }
    foreign = imported - sys.stdlib_module_names - {"barrage_mlflow"}
    extras = PROJECT["optional-dependencies"]
    listed = [*PROJECT["dependencies"], *extras["tune"], *extras["ray"]]
    declared = {re.split(r"[>=\[]", line)[0].lower() for line in listed}
    called = {"yaml": "pyyaml", "PIL": "pillow", "markdown_it": "markdown-it-py"}
    assert sorted({called.get(name, name) for name in foreign} - declared) == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level and node.module:
        return [node.module]
    return []


# Pages and commands


def test_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.M)
    assert newest is not None
    assert newest[1] == PROJECT["version"] == barrage_mlflow.__version__


def test_mlproject_has_its_entry_points_and_trains_an_example_by_default():
    parameters = {
        name: {key: value.get("default") for key, value in entry["parameters"].items()}
        for name, entry in MLPROJECT["entry_points"].items()
    }
    assert parameters == {
        "main": {
            "config": "examples/iris/config.json",
            "train": "examples/iris/train.csv",
            "validation": "examples/iris/validation.csv",
            "test": "",
        },
        "tune": {
            "config": "examples/iris/config.json",
            "search": "examples/iris/search.json",
            "train": "examples/iris/train.csv",
            "validation": "examples/iris/validation.csv",
            "test": "",
            "artifact_dir": "artifacts/search",
        },
        "predict": {"records": None, "model": None, "output": "scores.csv"},
        "check": {"config": "examples/iris/config.json"},
    }
    assert MLPROJECT["conda_env"] == "conda.yaml"
    for entry in MLPROJECT["entry_points"].values():
        command = entry["command"].format(**dict.fromkeys(entry["parameters"], "value"))
        python, module, package, *words = shlex.split(command)
        assert [python, module, package] == ["python", "-m", "barrage_mlflow"]
        parse_command("barrage-mlflow", *words)


def test_ci_runs_the_two_commands_that_the_readme_begins_with():
    headings = re.findall(r"^## (.+)", README, re.M)
    assert headings[:2] == ["Set up and train", "Test"]
    assert [command.split(" && ")[-1] for command in COMMANDS[:2]] == [
        "mlflow run . --env-manager local",
        "pytest",
    ]
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert 'for heading in "Set up and train" "Test"; do' in script
    for name in ("run", "nightly"):
        assert (ROOT / ".ci" / name).stat().st_mode & 0o111


def test_nightly_lists_its_parts_and_refuses_others():
    listed = run([ROOT / ".ci" / "nightly"], ROOT)
    parts = re.findall(r"^([\w-]+): \d+ of \d+ steps", listed, re.M)
    assert {"kills", "kills-elsewhere", "fuzz", "environments", "clusters", "lowest"} <= set(parts)
    done = subprocess.run(
        [ROOT / ".ci" / "nightly", "kill"], env=environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no part 'kill'; there are {', '.join(parts)} and all" in done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page: str):
    path = ROOT / page
    text = path.read_text("utf-8")
    named = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    named = [path.parent / target for target in named]
    named += [ROOT / path for path in re.findall(r"(?<![\w/])examples/[\w./-]+\.\w+", text)]
    assert [str(path) for path in named if not path.exists()] == []


def test_no_machine_or_registry_is_named():
    patterns = (
        "*.md",
        "*.toml",
        "*.yaml",
        "MLproject",
        ".ci/*",
        "docs/**/*.md",
        "examples/**/*.py",
    )
    hosts = re.compile(r"pypi\.org|pythonhosted|index-url|/root/|/home/")
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    assert [str(path) for path in files if hosts.search(path.read_text("utf-8"))] == []


# Code


def test_import_is_light():
    heavy = ["keras", "mlflow", "tensorflow"]
    rooms = ("config", "errors", "dataset", "cli", "tracking.publisher")
    light = ", ".join(f"barrage_mlflow.{room}" for room in rooms)
    code = f"import sys, {light}; print([m for m in {heavy} if m in sys.modules])"
    assert run([sys.executable, "-c", code], ROOT) == "[]\n"


def test_no_module_is_longer_than_a_reader_bears():
    folders = ("barrage_mlflow", "benchmarks", "examples", "hooks", "tests", "tools")
    longer = {
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text("utf-8").splitlines()) > LONGEST
    }
    assert not longer


def test_size_counts_the_engine_by_rooms():
    _, *rows, last = run([sys.executable, "tools/size.py"], ROOT).splitlines()
    assert {"cli", "config", "scoring"} <= {row.split()[0] for row in rows}
    assert last.split()[0] == "all"


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path: Path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "barrage_mlflow", source / "barrage_mlflow")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    run([*pip, "--wheel-dir", tmp_path, source], tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"barrage_mlflow-{PROJECT['version']}-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "barrage_mlflow" / "py.typed").exists()
    config, *records = (
        ROOT / "examples" / "penguins" / name
        for name in ("config.json", "train.csv", "validation.csv")
    )
    command = [sys.executable, "-m", "barrage_mlflow"]
    outside = {"PYTHONPATH": os.fspath(site)}
    assert run([*command, "check", config], tmp_path, **outside) == f"{config}: all is well\n"
    train = [*command, "train", config, *records, "--offline", "--artifact-dir", "out"]
    run([*train, "--solver.epochs", "1"], tmp_path, **outside)
    packaged = tmp_path / "out" / "model" / "code" / "barrage_mlflow"
    assert {path.name for path in packaged.iterdir()} >= {"dataset", "scoring", "errors.py"}
