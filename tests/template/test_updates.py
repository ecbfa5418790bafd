"""A project follows the template by cruft."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from outside import ROOT, run
from pages import blocks
from workshop import Workshop, commit_all, git, requirement_of


def test_cruft_updates_a_project_and_keeps_its_edits(workshop: Workshop, tmp_path: Path):
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
        "my_project/loader.py": ("# change here: a column", "# a column"),
        "README.md": ("## Train\n", "## Train it\n"),
        "data/README.md": ("# The data\n", "# Our data\n"),
    }
    for name, (old, new) in edits.items():
        replace(project / name, old, new)
    commit_all(project, "Ours")

    replace(template / "README.md", "## Licence\n", "## The licence\n")
    replace(template / ".dockerignore", "!model\n", "!model\n!extra\n")
    replace(template / "kinds/tabular/data/README.md", "# The data\n", "# Other data\n")
    release = commit_all(upstream, "Two")
    assert "out of date" in cruft("check", "--project-dir", project)
    cruft("update", "--project-dir", project, "--skip-apply-ask")
    assert requirement_of(project) == f"{at}{release}"
    # Neither a conflict nor a rejected part, which git would list as a file of its own.
    lines = git(project, "status", "--porcelain").splitlines()
    changed = {".cruft.json", ".dockerignore", "README.md", "conda.yaml", "pyproject.toml"}
    assert {line[2:].strip() for line in lines} == changed
    commit_all(project, "Updated")
    for name, (_, new) in edits.items():
        assert new in (project / name).read_text("utf-8")
    assert "## The licence\n" in (project / "README.md").read_text("utf-8")
    assert "\n!model\n!extra\n" in (project / ".dockerignore").read_text("utf-8")
    assert "up to date" in cruft("check", "--project-dir", project)


def test_the_commands_of_the_page_make_link_and_follow(workshop: Workshop, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    given = {
        "ADDRESS": str(tmp_path / "upstream"),
        "COMMIT": workshop.commit,
        "PROJECT": "my_project",
    }
    page = (ROOT / "docs" / "template.md").read_text("utf-8")
    make, create, link, follow = blocks(page, "sh")
    who = {
        f"GIT_{role}_{what}": "a@b"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    variables = {**who, "COOKIECUTTER_CONFIG": str(workshop.settings), "PWD": str(tmp_path)}

    def type_in(block: str, folder: Path, *answers: str) -> str:
        for word, text in given.items():
            block = block.replace(word, text)
        typed = shlex.join([*answers, *[""] * 9])
        return run(["bash", "-ec", f"printf '%s\\n' {typed} | {{ {block} }}"], folder, **variables)

    type_in(make, tmp_path, "birds", "", "", "2")
    assert (tmp_path / "birds" / "data" / "images").is_dir()
    type_in(link, tmp_path / "birds")
    assert "up to date" in type_in(follow, tmp_path / "birds")
    type_in(create, tmp_path)
    assert git(tmp_path / "my_project", "log", "--format=%s") == "Start from barrage-template"


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(old) == 1, f"{path}: {old}"
    path.write_text(text.replace(old, new), "utf-8")
