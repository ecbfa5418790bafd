"""A project works as it comes: by the commands of its README, its Makefile and its CI."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sqlite3
import sys
from contextlib import closing
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from outside import (
    assert_scores_agree,
    environment,
    free_port,
    invoke,
    run,
    serving,
    started,
)
from pages import blocks
from workshop import KINDS, Workshop, commit_all, git, load_hook, readme_command

PYTHON = Path(sys.base_prefix) / "bin"
PLAIN = os.pathsep.join([str(PYTHON), "/usr/bin", "/bin"])
"""A PATH without uv, and without this environment."""
HOOKS = """
- {id: ruff-check, name: check, entry: ruff check, language: system, types_or: [python, jupyter]}
- {id: ruff-format, name: format, entry: ruff format, language: system, types_or: [python, jupyter]}
"""
NOTEBOOK = """
import nbclient, nbformat

notebook = nbformat.read("notebooks/explore.ipynb", 4)
nbclient.NotebookClient(notebook, resources={"metadata": {"path": "notebooks"}}).execute()
print(notebook.cells[-1].outputs)
"""


def borrow(project: Path) -> Path:
    """Have this environment stand for the project's own."""
    (project / ".venv").symlink_to(sys.prefix)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_project_passes_its_own_tests(kind: str, workshop: Workshop, tmp_path: Path):
    project = borrow(workshop.make_one(tmp_path / "a folder", f"kind={kind}"))
    # The lines before these make an environment, as tests below do.
    for line in run("make -n setup", project).splitlines()[-2:]:
        run(line, project)
        made = json.loads((project / line.split()[-1]).read_text("utf-8"))
        assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    # One trains here, and all do below; it takes most of the time.
    fewer = "" if kind == KINDS[0] else """ ARGS="-k 'not trains'" """
    run(readme_command(project, "Test") + fewer, project)
    assert git(project, "status", "--porcelain") == ""


@pytest.mark.slow
def test_a_new_project_trains_evaluates_and_scores(workshop: Workshop, tmp_path: Path):
    project = borrow(workshop.make_one(tmp_path / "a folder"))
    run("cp .env.example .env", project)
    printed = run(f'{readme_command(project, "Train")} ARGS="-P solver.epochs=1"', project)
    assert "version:   models:/my_project/1" in printed
    (report,) = (line[11:] for line in printed.splitlines() if line.startswith("report:"))
    assert (project / report).exists()
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        names = store.execute(
            "select e.name from experiments e join runs using (experiment_id)"
        ).fetchall()
    assert names == [("my_project",)]
    printed = run("make evaluate predict", project)
    assert "103 scores in scores.csv" in printed
    assert (project / "reports" / "evaluate" / "report.html").exists()


@pytest.mark.nightly(part="environments")
def test_the_set_up_runs_with_the_pip_that_python_brings(workshop: Workshop, tmp_path: Path):
    project = workshop.make_one(tmp_path, template=workshop.address)
    run(readme_command(project, "Set up"), project, PATH=PLAIN)
    assert git(project, "status", "--porcelain") == ""

    listing = "from importlib import metadata; print(*metadata.packages_distributions())"
    names = run([".venv/bin/python", "-c", listing], project).split()
    find_name_fault = load_hook("pre_gen_project").find_name_fault
    assert [name for name in names if find_name_fault(name) is None] == ["my_project"]
    notebook = ". .venv/bin/activate && pip install -e '.[notebook]' && jupyter lab --version"
    run(notebook, project, PATH=PLAIN)


@pytest.mark.nightly(part="projects")
@pytest.mark.parametrize("kind", KINDS)
def test_ci_git_the_notebook_and_the_image_run_as_they_come(
    kind: str, workshop: Workshop, tmp_path: Path
):
    """With BARRAGE_PYTHON, or else this Python, and the environment that CI makes of the lock."""
    python = os.environ.get("BARRAGE_PYTHON", PYTHON / "python3")
    which = "import sys; print(*sys.version_info[:2], sep='.')"
    version = f"python_version={run([python, '-c', which], tmp_path).strip()}"
    options = f"kind={kind}", version
    project = workshop.make_one(tmp_path / "a folder", *options, template=workshop.address)
    run([python, "-m", "venv", tmp_path / "python"], tmp_path)
    # uv itself takes no environment's Python but that one's base.
    places = tmp_path / "python" / "bin", Path(python).parent, "/usr/bin", "/bin"
    path = os.pathsep.join(map(str, places))
    _run_ci(project, path)
    assert workshop.commit in (project / "uv.lock").read_text("utf-8")
    run("uv lock --upgrade && uv sync --locked --all-extras", project, PATH=path)

    activated = os.pathsep.join([str(project / ".venv" / "bin"), path])
    _commit(project, tmp_path, activated)
    run('make train ARGS="-P solver.epochs=1"', project, PATH=path)
    assert "<iframe" in run(["python", "-c", NOTEBOOK], project, PATH=activated)
    run("make check evaluate predict", project, PATH=path)
    text = (project / "README.md").read_text("utf-8")
    (promote,) = re.findall(r"^ *(barrage-mlflow promote .*)$", text, re.M)
    assert "@champion leads to version 1" in run(promote, project, PATH=activated)
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db"}
    compare = 'make compare ARGS="--solver.epochs 1"'
    assert "difference, 95 %" in run(compare, project, PATH=path, **store)
    _build_image(project, tmp_path / "project", path)


def _run_ci(project: Path, path: str) -> None:
    """GitLab's jobs, without a server; test_projects.py compares them with GitHub's."""
    for schema, file in (("gitlab-ci", ".gitlab-ci.yml"), ("github-workflows", ".github/*/*.yml")):
        run(f"uvx check-jsonschema --builtin-schema vendor.{schema} {file}", project)
    jobs = yaml.safe_load((project / ".gitlab-ci.yml").read_text("utf-8"))
    for command in (*jobs["default"]["before_script"], *jobs["test"]["script"]):
        run(command, project, PATH=path)
    # GitHub sets what the settings of a repository leave out to nothing.
    unset = {"MLFLOW_TRACKING_URI": "", "MLFLOW_TRACKING_TOKEN": ""}
    (compare,) = jobs["compare"]["script"]
    assert "difference" not in run(compare, project, PATH=path, **unset)
    assert (project / "reports" / "compare" / "report.html").exists()


def _commit(project: Path, folder: Path, path: str) -> None:
    """Have git check a commit that is in order, and one that is not."""
    # In the place of ruff's own hooks, which are fetched from GitHub.
    hooks = folder / "hooks"
    hooks.mkdir()
    (hooks / ".pre-commit-hooks.yaml").write_text(HOOKS, "utf-8")
    commit_all(hooks, "Hooks")
    ruff, _ = yaml.safe_load((project / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    git(hooks, "tag", ruff["rev"])
    instead = {
        "PATH": path,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{hooks}.insteadOf",
        "GIT_CONFIG_VALUE_0": ruff["repo"],
        "PRE_COMMIT_HOME": str(folder / "cache"),
    }
    run("pre-commit install && pre-commit run --all-files", project, **instead)
    config = project / "config.json"
    whole = config.read_text("utf-8")
    config.write_text(whole.replace('"epochs"', '"epoch"'), "utf-8")
    printed = run("! git commit --all -m Typo", project, **instead)
    assert "unknown key 'epoch'; did you mean 'epochs'?" in printed
    config.write_text(whole, "utf-8")


def _build_image(project: Path, image: Path, path: str) -> None:
    """What train.Dockerfile does but for its base and what root does: there may be no Docker."""
    image.mkdir()
    path = os.pathsep.join([str(image / ".venv" / "bin"), path])
    ignored = (project / ".dockerignore").read_text("utf-8").splitlines()
    sent = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    start: list[str] = []
    for line in (project / "train.Dockerfile").read_text("utf-8").splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "COPY":
            wanted = ["*" if source == "." else source for source in rest.split()[:-1]]
            for name in sent:
                if any(fnmatch(name, source) for source in wanted) and (project / name).exists():
                    copy = shutil.copytree if (project / name).is_dir() else shutil.copy
                    copy(project / name, image / name)
        elif instruction == "RUN" and rest.startswith("uv "):
            # A layer keeps no cache; this machine's spares a download of TensorFlow.
            run(rest.replace(" --no-cache", ""), image, PATH=path)
        elif instruction == "ENTRYPOINT":
            start = json.loads(rest)
    shutil.copytree(project / "data", image / "data")
    printed = run([*start, "-P", "solver.epochs=1"], image, PATH=path)
    assert "version:   models:/my_project/1" in printed
    (report,) = (line[11:] for line in printed.splitlines() if line.startswith("report:"))
    assert (project / report).exists()


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
    line = run("make -n train", project).strip().rpartition("&& ")[2]
    train = line.replace("--env-manager local", f"--env-manager {manager}")
    environments = str(tmp_path / "environments")
    printed = run(f"{train} -P solver.epochs=1", project, MLFLOW_ENV_ROOT=environments)
    assert "best epoch 1: " in printed
    if manager != "conda":
        (engine,) = tmp_path.glob("environments/**/barrage_mlflow/__init__.py")
        assert "site-packages" in str(engine)

    run("mlflow artifacts download -u models:/my_project/1 -d model", project)
    example = json.loads((project / "model" / "serving_input_example.json").read_text("utf-8"))
    rows = example["dataframe_split"]
    records = [dict(zip(rows["columns"], row, strict=True)) for row in rows["data"]]
    (project / "records.json").write_text(json.dumps(records))
    run("barrage-mlflow predict records.json models:/my_project/1 -o scores.json", project)
    scores = json.loads((project / "scores.json").read_text("utf-8"))
    with serving("models:/my_project/1", project) as address:
        assert_scores_agree(invoke(address, example), scores)
    (project / "server.log").unlink()
    lines = git(project, "status", "--porcelain").splitlines()
    assert {line[3:] for line in lines} == {"records.json", "scores.json"}


@pytest.mark.nightly(part="environments")
def test_a_model_that_was_searched_for_is_served_and_seen(workshop: Workshop, tmp_path: Path):
    project = borrow(workshop.make_one(tmp_path))
    run('make tune ARGS="-P trials=2 -P solver.epochs=1"', project)
    assert (project / "artifacts" / "search" / "best_config.json").exists()
    run('make train ARGS="-P solver.epochs=1"', project)
    ports = free_port(), free_port()
    serve, ui = f"make serve PORT={ports[0]}", f"make ui ARGS='--port {ports[1]}'"
    with started(shlex.split(serve), project, f"http://127.0.0.1:{ports[0]}/ping"):
        text = (project / "README.md").read_text("utf-8")
        (curl,) = (block for block in blocks(text, "bash") if block.startswith("curl"))
        answer = json.loads(run(curl.replace(":5001", f":{ports[0]}"), project))
        (shown,) = map(json.loads, blocks(text, "json"))
        assert [*answer["predictions"][0]] == [*shown["predictions"][0]]
    with started(shlex.split(ui), project, f"http://127.0.0.1:{ports[1]}/health"):
        pass
