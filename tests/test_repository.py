"""What the repository says about itself in several places is the same in all of them."""

import ast
import contextlib
import importlib
import inspect
import json
import os
import pkgutil
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import click
import pytest
import yaml

import barrage_mlflow

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
CONDA = yaml.safe_load((ROOT / "conda.yaml").read_text("utf-8"))
MLPROJECT = yaml.safe_load((ROOT / "MLproject").read_text("utf-8"))
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```bash\n(.*?)^```", README, re.M | re.S)
    for line in block.splitlines()
]
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(barrage_mlflow.__path__, "barrage_mlflow.")
)


def test_conda_lists_the_dependencies_of_pyproject():
    (pip,) = [line["pip"] for line in CONDA["dependencies"] if isinstance(line, dict)]
    assert pip == PROJECT["dependencies"]


def test_conda_takes_the_pythons_of_pyproject():
    assert f"python{PROJECT['requires-python']}" in CONDA["dependencies"]


def test_every_dependency_is_bounded_on_both_sides():
    groups = [PYPROJECT["build-system"]["requires"], PROJECT["dependencies"]]
    groups += PROJECT["optional-dependencies"].values()
    lines = [line for group in groups for line in group]
    bounded = re.compile(r"[\w.-]+>=[\d.]+,<[\d.]+(; .+)?|barrage-mlflow\[test\]")
    assert [line for line in lines if not bounded.fullmatch(line)] == []


def test_every_package_that_the_engine_imports_is_a_dependency():
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "barrage_mlflow").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        for name in _imported(node)
    }
    foreign = imported - sys.stdlib_module_names - {"barrage_mlflow"}
    declared = {re.split("[>=]", line)[0].lower() for line in PROJECT["dependencies"]}
    called = {"griffe": "griffelib", "yaml": "pyyaml"}
    assert sorted({called.get(name, name) for name in foreign} - declared) == []


def _imported(node):
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [node.module]
    return []


def test_version_is_the_same_everywhere():
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    newest = re.search(r"^## (\S+)", changelog, re.M)
    assert newest is not None
    assert newest[1] == PROJECT["version"] == barrage_mlflow.__version__


def test_mlproject_has_the_three_entry_points_and_trains_an_example_by_default():
    parameters = {
        name: {key: value.get("default") for key, value in entry["parameters"].items()}
        for name, entry in MLPROJECT["entry_points"].items()
    }
    assert parameters == {
        "main": {
            "config": "examples/iris/config.json",
            "train": "examples/iris/train.csv",
            "validation": "examples/iris/validation.csv",
        },
        "predict": {"records": None, "model": None, "output": "scores.csv"},
        "check": {"config": "examples/iris/config.json"},
    }
    assert MLPROJECT["conda_env"] == "conda.yaml"


@pytest.mark.parametrize("name", MLPROJECT["entry_points"])
def test_mlproject_calls_commands_that_exist(name):
    entry = MLPROJECT["entry_points"][name]
    values = dict.fromkeys(entry["parameters"], "value")
    program, *arguments = shlex.split(entry["command"].format(**values))
    assert [program, *arguments[:2]] == ["python", "-m", "barrage_mlflow"]
    _check_call(arguments[2:])


def test_readme_begins_with_set_up_and_tests():
    headings = re.findall(r"^## (.+)", README, re.M)
    assert headings[:2] == ["Set up and train", "Test"]
    assert [COMMANDS[0].split(" && ")[-1], COMMANDS[1].split(" && ")[-1]] == [
        "mlflow run . --env-manager local",
        "pytest --cov",
    ]


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert 'for heading in "Set up and train" "Test"; do' in script
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.parametrize("command", [line for line in COMMANDS if "barrage-mlflow" in line])
def test_readme_calls_commands_that_exist(command):
    program, *arguments = shlex.split(command)
    assert program in PROJECT["scripts"]
    _check_call(arguments)


def _check_call(arguments: list[str]) -> None:
    """Parse a command line of ours as the command itself would, without running it."""
    name, *rest = arguments
    from barrage_mlflow.cli import main

    assert isinstance(main, click.Group)
    main.commands[name].make_context(name, rest)


PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("page", PAGES)
def test_pages_name_files_that_exist(page):
    path = ROOT / page
    text = path.read_text("utf-8")
    named = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    named = [path.parent / target for target in named]
    named += [ROOT / path for path in re.findall(r"(?<![\w/])examples/[\w./-]+\.\w+", text)]
    assert [str(path) for path in named if not path.exists()] == []


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_a_docstring(name):
    module = importlib.import_module(name)
    assert list(_without_docstring(module)) == []


def _without_docstring(module):
    if not inspect.getdoc(module):
        yield module.__name__
    for name, thing in vars(module).items():
        ours = getattr(thing, "__module__", None) == module.__name__
        if (
            name.startswith("_")
            or not ours
            or not (inspect.isclass(thing) or inspect.isroutine(thing))
        ):
            continue
        if not inspect.getdoc(thing):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if member.startswith("_") or not inspect.isroutine(value):
                    continue
                # An override may leave it to the method that it overrides.
                if not inspect.getdoc(getattr(thing, member)):
                    yield f"{module.__name__}.{name}.{member}"


def test_public_surface():
    assert barrage_mlflow.__all__ == sorted(barrage_mlflow.__all__)
    for name in barrage_mlflow.__all__:
        assert inspect.getdoc(getattr(barrage_mlflow, name)), name


def test_import_is_light():
    heavy = ["keras", "mlflow", "tensorflow"]
    light = (
        "barrage_mlflow.config, barrage_mlflow.errors, barrage_mlflow.dataset, barrage_mlflow.cli"
    )
    code = f"import sys, barrage_mlflow, {light}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_no_machine_or_registry_is_named():
    patterns = ("*.md", "*.toml", "*.yaml", "MLproject", ".ci/*", "docs/*.md", "examples/**/*.py")
    hosts = re.compile(r"pypi\.org|pythonhosted|index-url|/root/|/home/")
    files = [path for pattern in patterns for path in ROOT.glob(pattern)]
    assert [str(path) for path in files if hosts.search(path.read_text("utf-8"))] == []


@pytest.mark.slow
def test_wheel_works_outside_the_checkout(tmp_path):
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(ROOT / "barrage_mlflow", source / "barrage_mlflow")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _run(f"{sys.executable} -m pip wheel --quiet --no-deps --wheel-dir {tmp_path} {source}")
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"barrage_mlflow-{PROJECT['version']}-py3-none-any.whl"
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "barrage_mlflow" / "py.typed").exists()
    config = ROOT / "examples" / "penguins" / "config.json"
    done = subprocess.run(
        [sys.executable, "-m", "barrage_mlflow", "check", config],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{config}: all is well\n", done.stderr


@pytest.mark.slow
def test_readme_commands_do_what_it_says(tmp_path, monkeypatch):
    checkout = tmp_path / "checkout"
    for name in ("barrage_mlflow", "examples"):
        shutil.copytree(ROOT / name, checkout / name)
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, checkout)
    monkeypatch.chdir(checkout)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = str(one.getsockname()[1])
    _, _, *commands = (command.replace("5001", port) for command in COMMANDS)
    kinds = [" ".join(shlex.split(command)[:2]) for command in commands]
    assert kinds == [
        "mlflow run",
        "barrage-mlflow train",
        "barrage-mlflow check",
        "mlflow ui",
        "mlflow models",
        "curl -s",
        "barrage-mlflow predict",
    ]
    run, train, check, _, serve, curl, predict = commands
    for command in (run, train, check):
        _run(command)
    with _running(serve):
        _wait(f"http://127.0.0.1:{port}/ping")
        (score,) = _post(curl)["predictions"]
    assert score["species"] == "Gentoo"
    assert 4000 < score["body_mass_g"] < 5500
    _run(predict)
    scores = (checkout / "scores.csv").read_text("utf-8").splitlines()
    assert scores[0] == "species,species_probability,body_mass_g"
    assert len(scores) == 1 + 103


def _run(command):
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@contextlib.contextmanager
def _running(command):
    """Run a server in a process group of its own, and end the whole group."""
    with Path("server.log").open("wb") as log:
        server = subprocess.Popen(
            shlex.split(command), stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=60)


def _wait(url):
    deadline = time.monotonic() + 120
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, Path("server.log").read_text("utf-8")
            time.sleep(0.5)


def _post(curl):
    """Send what a curl command would send, and return the answer."""
    _, _, url, _, header, _, body = shlex.split(curl)
    name, value = header.split(": ")
    request = urllib.request.Request(url, body.encode(), {name: value})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
