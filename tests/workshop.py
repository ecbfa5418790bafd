"""A copy of the template, and what tests ask of it and of the projects that it makes."""

from __future__ import annotations

import importlib.util
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
from typing import Any

from outside import ROOT

PARTS = ("cookiecutter.json", "hooks", "{{cookiecutter.cruft}}", "<<cookiecutter.project>>")
ENGINE_PARTS = ("barrage_mlflow", "pyproject.toml", "README.md", "LICENSE")
QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
KINDS = sorted(path.parent.name for path in ROOT.glob("<<cookiecutter.project>>/kinds/*/data"))


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


def open_workshop(home: Path) -> Workshop:
    """Copy the template into a folder, with something in it that cannot be copied."""
    template = home / "the template"
    template.mkdir()
    for name in (*PARTS, *ENGINE_PARTS):
        if (ROOT / name).is_dir():
            junk = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, template / name, ignore=junk)
        else:
            shutil.copy(ROOT / name, template)
    # As an environment that is in a checkout: nothing may copy it.
    (template / ".venv").mkdir()
    os.mkfifo(template / ".venv" / "pipe")
    settings = home / "settings.yaml"
    folders = {"cookiecutters_dir": str(home / "clones"), "replay_dir": str(home / "replay")}
    settings.write_text(json.dumps(folders))
    return Workshop(template, settings, commit_all(template, "One"))


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


def load_hook(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "hooks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def only_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line that our hook wrote; cookiecutter's own log goes to standard output."""
    (line,) = done.stderr.splitlines()
    return line
