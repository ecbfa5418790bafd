"""Before the questions: notes in ``cookiecutter.json`` which commit the template is at.

cookiecutter runs this in a temporary copy of the template, and renders it not. What is noted here
is read by ``post_gen_project.py``. cruft does not run it, and supplies the commit itself.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path


def main() -> None:
    """Write the commit, the address it was cloned from, and the time stamp of this very file."""
    path = Path("cookiecutter.json")
    # A copy keeps the time stamp of its original, so that this can be recognised later.
    written = path.stat().st_mtime_ns // 1000
    answers = json.loads(path.read_text("utf-8"))
    answers["_written"] = written
    answers["_commit"] = git("rev-parse", "HEAD")
    answers["_origin"] = git("config", "--get", "remote.origin.url")
    path.write_text(json.dumps(answers, indent=2, ensure_ascii=False) + "\n", "utf-8")


def git(*arguments: str) -> str:
    """Ask git; empty where it is not installed, or the template is no repository."""
    if shutil.which("git") is None or not Path(".git").exists():
        return ""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


if __name__ == "__main__":
    main()
