"""The code, the packages and the threads that a run was made with, as tags."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from barrage_mlflow import __version__
from barrage_mlflow.workspace.threads import operation_threads

_GIT_TIMEOUT = 10
"""Seconds; a repository on a slow disk must not delay a training."""

# TensorFlow's wheel for CPUs alone has another name.
_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "mlflow")


def environment_tags(folder: str | os.PathLike[str], threads: int | None = None) -> dict[str, str]:
    """Return tags for the code's commit, and for the versions and threads of what runs it.

    Without ``git``, or outside a repository, there are no tags about a commit. A tree is clean
    if it has neither changes nor untracked files.

    Args:
        folder: the project's folder.
        threads: for each operation of TensorFlow; those of this process if left out.

    Example:
        >>> tags = environment_tags(".")
        >>> tags["barrage.keras"].split(".")[0]
        '3'
    """
    tags = {
        "barrage.version": __version__,
        "barrage.python": platform.python_version(),
        "barrage.threads": str(threads or operation_threads()),
    }
    for package in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            tags[f"barrage.{package.removesuffix('-cpu')}"] = metadata.version(package)
    return {**tags, **_git_tags(Path(folder))}


def _git_tags(folder: Path) -> dict[str, str]:
    try:
        status = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"],
            capture_output=True,
            check=True,
            timeout=_GIT_TIMEOUT,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    changes = [line for line in lines if not line.startswith("#")]
    tags = {"barrage.git.clean": "false" if changes else "true"}
    commit, branch = heads.get("branch.oid", "(initial)"), heads.get("branch.head", "(detached)")
    if commit != "(initial)":
        tags |= {"mlflow.source.git.commit": commit, "barrage.git.commit": commit}
    if branch != "(detached)":
        tags["barrage.git.branch"] = branch
    return tags
