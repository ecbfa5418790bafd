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

# Rendered: the answers as JSON, which never holds three quotes in a row.
ANSWERS = r"""<< cookiecutter | jsonify >>"""

SHOWN = "'barrage-mlflow==0.1.0' or 'barrage-mlflow @ git+https://HOST/ORG/REPO@COMMIT'"


def main() -> None:
    """Do all of it, or end with one line that says what to answer instead."""
    answers = json.loads(ANSWERS)
    project = Path.cwd()
    # cruft makes projects too, in passing, to compare them: it wants the files and nothing else.
    by_cruft = "_output_dir" not in answers
    try:
        requirement = find_requirement(answers, by_cruft)
    except ValueError as error:
        sys.exit(str(error))
    move_kind(project, answers["kind"], answers["project"])
    fill_in(project, requirement, find_address(answers))
    if not by_cruft:
        commit(project, answers["author"])
        print_next(project)


def move_kind(project: Path, kind: str, package: str) -> None:
    """Put the files of one kind of data where they belong, and drop those of the others."""
    chosen = project / "kinds" / kind
    for source in sorted((chosen / "package").iterdir()):
        source.rename(project / package / source.name)
    (chosen / "data").rename(project / "data")
    (chosen / "config.json").rename(project / "config.json")
    shutil.rmtree(project / "kinds")


def find_requirement(answers: dict[str, Any], by_cruft: bool) -> str:
    """Tell the pip requirement of the engine.

    Raises:
        ValueError: there is none; the message says what to answer.
    """
    engine, template = answers["engine"], answers["_template"]
    if engine.strip() != "auto":
        return check_requirement(engine.strip())
    if by_cruft or re.match(r"\w[\w+.-]+:|[\w.-]+@[\w.-]+:", template):
        if address := find_address(answers):
            return f"barrage-mlflow @ {address}"
    elif folder := find_folder(answers):
        return f"barrage-mlflow @ {folder.as_uri()}"
    raise ValueError(
        f"engine: where {template!r} came from cannot be told; give the template's folder as an "
        f"absolute path, or a pip requirement in place of auto, such as {SHOWN}"
    )


def check_requirement(text: str) -> str:
    """Return what was typed, if pip can take it for the engine.

    Raises:
        ValueError: it cannot.
    """
    name = r"barrage[-_.]mlflow(\[[\w, -]*\])?"
    versions = r"(~=|==|!=|<=|>=|<|>)\s*[\w.*+!-]+"
    marker = r"(\s*;[^;]+)?"
    wanted = rf"{name}\s*(@\s*[a-z][a-z+]*:\S+|{versions}(\s*,\s*{versions})*)?{marker}"
    if re.fullmatch(wanted, text, re.I) and text.isprintable() and not set(text) & {'"', "\\"}:
        return text
    raise ValueError(
        f"engine: {text!r} is no requirement of barrage-mlflow; write auto, or a line such as "
        f"{SHOWN}"
    )


def find_address(answers: dict[str, Any]) -> str:
    """Tell the git address and commit of the template as pip takes them; empty if there is none."""
    origin, commit = answers.get("_origin") or "", answers.get("_commit") or ""
    origin = origin or answers["_template"]
    if not commit or not origin:
        return ""
    origin = origin.removeprefix("git+")
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


def find_folder(answers: dict[str, Any]) -> Path | None:
    """Find the folder that the template was copied from.

    A relative path is relative to where cookiecutter was called, which is told nowhere: it is
    tried from where that most likely was, and what is found must be the original of the copy.
    """
    template, output = Path(answers["_template"]).expanduser(), Path(answers["_output_dir"])
    if template.is_absolute():
        return Path(os.path.normpath(template))
    for start in (Path(os.environ.get("PWD", "/")), output, *output.parents):
        folder = Path(os.path.normpath(start / template))
        questions = folder / "cookiecutter.json"
        if questions.exists() and questions.stat().st_mtime_ns // 1000 == answers["_written"]:
            return folder
    return None


def fill_in(project: Path, requirement: str, address: str) -> None:
    """Write the engine's requirement into the files that name it."""
    note = ""
    if re.search(r"@\s*(git\+)?file:", requirement):
        line = f"barrage-mlflow @ {address}" if address and "file:" not in address else ""
        line = line or "barrage-mlflow @ git+https://HOST/ORG/REPO@COMMIT"
        note = (
            "\n\nThat is a folder of the machine that the project was made on. Before another "
            "machine sets it up, CI included, change the line in both files, to"
            f"\n\n```\n{line}\n```"
        )
    for name in ("README.md", "conda.yaml", "pyproject.toml"):
        path = project / name
        text = path.read_text("utf-8")
        text = text.replace("@engine@", requirement).replace("@engine-note@", note)
        path.write_text(text, "utf-8")


def commit(project: Path, author: str) -> None:
    """Start a git repository with one commit, where git is there."""
    if shutil.which("git") is None:
        return
    # Called from within a git hook, these would point to another repository.
    others = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
    variables = {name: value for name, value in os.environ.items() if name not in others}

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=project,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    message = ["commit", "--quiet", "-m", "Start from barrage-template"]
    # Where git does not know who commits, or how to sign, the author of the project does.
    who = re.sub(r"[<>]", "", author).strip(" .,:;'\"\\") or "author"
    stand_in = ["-c", f"user.name={who}", "-c", "user.email=author@localhost"]
    stand_in += ["-c", "commit.gpgsign=false"]
    for step in (["init", "--quiet"], ["add", "--all"]):
        done = git(*step)
        if done.returncode:
            break
    else:
        done = git(*message)
        if done.returncode:
            done = git(*stand_in, *message, "--no-verify")
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        print(f"git made no commit: {reason[-1]}", file=sys.stderr)


def print_next(project: Path) -> None:
    """Say what to do next: the set-up and the training of the README."""
    readme = (project / "README.md").read_text("utf-8")
    commands = re.findall(r"^```bash\n(.+)$", readme, re.M)
    print(f"\nThe project is ready. Next:\n\n  cd {shlex.quote(str(project))}")
    for command in commands[:2]:
        print(f"  {command}")


if __name__ == "__main__":
    main()
