"""After the files are made: puts the chosen kind in place, names the engine, makes a commit."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# Rendered: the answers as JSON, which never has three quotes in a row.
ANSWERS = r"""<< cookiecutter | jsonify >>"""

# No answer can contain these: pre_gen_project.py refuses two angle brackets.
ENGINE, ELSEWHERE = (f"{'<' * 2}{name}{'>' * 2}" for name in ("engine", "elsewhere"))
SHOWN = "'barrage-mlflow==0.1.0' or 'barrage-mlflow @ git+https://HOST/ORG/REPO@COMMIT'"


def main() -> None:
    """Do all of it, or end with one line that names what to answer instead."""
    answers = json.loads(ANSWERS)
    project = Path.cwd()
    try:
        requirement, address = find_engine(answers)
    except ValueError as error:
        sys.exit(str(error))
    move_kind(project, answers["kind"], answers["project"])
    write_engine(project, requirement, address)
    # cruft makes projects too, in passing, to compare them: it needs the files and nothing else.
    if "_output_dir" in answers:
        commit(project, answers["author"])
        print_next(project)


def move_kind(project: Path, kind: str, package: str) -> None:
    """Put the files of one kind of data where they belong, and drop those of the others."""
    chosen = project / "kinds" / kind
    for source in sorted((chosen / "package").iterdir()):
        source.rename(project / package / source.name)
    (chosen / "data").rename(project / "data")
    for name in ("config.json", "search.json"):
        (chosen / name).rename(project / name)
    shutil.rmtree(project / "kinds")


def find_engine(answers: dict[str, Any]) -> tuple[str, str]:
    """Find the pip requirement of the engine, and the template's git address, empty if unknown.

    Raises:
        ValueError: no requirement is known; the message has what to answer.
    """
    engine, template = answers["engine"].strip(), answers["_template"]
    if engine != "auto":
        return check_requirement(engine), ""
    if "_output_dir" not in answers:  # cruft, which takes nothing but git repositories
        address = pip_address(template, answers["_commit"])
    elif re.match(r"\w[\w+.-]+:|[\w.-]+@[\w.-]+:", template):
        address = find_address(Path(answers["_repo_dir"]))
    elif folder := find_folder(template, answers["_output_dir"]):
        return f"barrage-mlflow @ {folder.as_uri()}", find_address(folder)
    else:
        address = ""
    if not address:
        raise ValueError(
            f"engine: where {template!r} came from is not known; give the template's folder as an "
            f"absolute path, or a pip requirement in place of auto, such as {SHOWN}"
        )
    return f"barrage-mlflow @ {address}", address


def check_requirement(text: str) -> str:
    """Return what was typed, if pip can take it for the engine.

    Raises:
        ValueError: it cannot.
    """
    name = r"barrage[-_.]mlflow(\[[\w, -]*\])?"
    versions = r"(~=|==|!=|<=|>=|<|>)\s*[\w.*+!-]+"
    marker = r"(\s*;[^;]+)?"
    expected = rf"{name}\s*(@\s*[a-z][a-z+]*:\S+|{versions}(\s*,\s*{versions})*)?{marker}"
    if re.fullmatch(expected, text, re.I) and text.isprintable() and not set(text) & {'"', "\\"}:
        return text
    raise ValueError(
        f"engine: {text!r} is no requirement of barrage-mlflow; write auto, or a line such as "
        f"{SHOWN}"
    )


def find_folder(template: str, output_dir: str) -> Path | None:
    """Find the template's folder; a relative path starts where cookiecutter was called.

    A shell keeps that in PWD, and projects are made there unless another folder was named.
    """
    for start in (os.environ.get("PWD", "/"), output_dir):
        folder = Path(os.path.normpath(Path(start, template)))
        if (folder / "barrage_mlflow").is_dir():
            return folder
    return None


def find_address(folder: Path) -> str:
    """Find origin and commit of a git repository as pip takes them; empty if it has none."""
    if shutil.which("git") is None or not (folder / ".git").exists():
        return ""
    questions = (["config", "--get", "remote.origin.url"], ["rev-parse", "HEAD"])
    return pip_address(*(git(folder, *question).stdout.strip() for question in questions))


def pip_address(origin: str, commit: str) -> str:
    """Write a git address and a commit as pip takes them; empty if either is missing."""
    origin = origin.removeprefix("git+")
    if not commit or not origin:
        return ""
    if "://" in origin:
        parts = urlsplit(origin)
        if parts.scheme in ("http", "https"):
            # A name or password that the template was fetched with is nobody else's business.
            parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
        return f"git+{parts.geturl().replace(' ', '%20')}@{commit}"
    if Path(origin).is_absolute():
        return f"git+{Path(origin).as_uri()}@{commit}"
    if found := re.fullmatch(r"([\w.-]+@[\w.-]+):/?(\S+)", origin):
        return f"git+ssh://{found[1]}/{found[2]}@{commit}"
    return ""


def write_engine(project: Path, requirement: str, address: str) -> None:
    """Write the engine's requirement into the files that name it."""
    elsewhere = ""
    if re.search(r"@\s*(git\+)?file:", requirement):
        if not address or "file:" in address:
            address = "git+https://HOST/ORG/REPO@COMMIT"
        elsewhere = (
            "\n\nThat is a folder of the machine that the project was made on. Before another "
            "machine sets it up, CI included, change the line in both files, to"
            f"\n\n```\nbarrage-mlflow @ {address}\n```"
        )
    for name in ("README.md", "conda.yaml", "pyproject.toml"):
        path = project / name
        text = path.read_text("utf-8").replace(ELSEWHERE, elsewhere).replace(ENGINE, requirement)
        path.write_text(text, "utf-8")


def git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run git in a folder; called from within a git hook, it could act on another repository."""
    others = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in others},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def commit(project: Path, author: str) -> None:
    """Start a git repository with one commit, where git is there."""
    if shutil.which("git") is None:
        return
    # Where git does not know who commits, or how to sign, the author of the project does.
    who = re.sub(r"[<>]", "", author).strip(" .,:;'\"\\") or "author"
    settings = (f"user.name={who}", "user.email=author@localhost", "commit.gpgsign=false")
    by_author = [word for setting in settings for word in ("-c", setting)]
    message = ["commit", "--quiet", "-m", "Start from barrage-template"]
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    if git(project, *message).returncode:
        done = git(project, *by_author, *message, "--no-verify")
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
            print(f"git made no commit: {reason[-1]}", file=sys.stderr)


def print_next(project: Path) -> None:
    """Print what to do next: the set-up and the training of the README."""
    readme = (project / "README.md").read_text("utf-8")
    commands = re.findall(r"^```bash\n(.+)$", readme, re.M)
    print(f"\nThe project is ready. Next:\n\n  cd {shlex.quote(str(project))}")
    for command in commands[:2]:
        print(f"  {command}")


if __name__ == "__main__":
    main()
