"""The code and the packages that a run was made with, as tags."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

GIT_COMMIT = "mlflow.source.git.commit"
_GIT_TIMEOUT = 10
"""Seconds; a repository on a slow disk must not delay a training."""

_PACKAGES = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly"),
    "keras": ("keras", "keras-nightly"),
    "mlflow": ("mlflow",),
}


def environment_tags(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return tags for the code's commit and the versions of what runs it.

    Without ``git``, or outside a repository, there are no tags about a commit. A tree is clean
    if it has neither changes nor untracked files.

    Args:
        folder: the project's folder.

    Example:
        >>> tags = environment_tags(".")
        >>> tags["barrage.keras"].split(".")[0]
        '3'
    """
    tags = {
        "barrage.version": str(importlib.import_module("barrage_mlflow").__version__),
        "barrage.python": platform.python_version(),
    }
    for package, distributions in _PACKAGES.items():
        version = next(filter(None, map(_version, distributions)), None)
        if version:
            tags[f"barrage.{package}"] = version
    return {**tags, **_git_tags(Path(folder))}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _git_tags(folder: Path) -> dict[str, str]:
    # Within a hook, git names its own repository in these; the status must take no lock.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    }
    try:
        status = subprocess.run(
            ["git", "-C", str(folder), "status", "--porcelain=v2", "--branch"],
            capture_output=True,
            check=True,
            timeout=_GIT_TIMEOUT,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = status.splitlines()
    heads = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    changes = [line for line in lines if not line.startswith("#")]
    tags = {"barrage.git.clean": "false" if changes else "true"}
    commit, branch = heads.get("branch.oid", "(initial)"), heads.get("branch.head", "(detached)")
    if commit != "(initial)":
        tags |= {GIT_COMMIT: commit, "barrage.git.commit": commit}
    if branch != "(detached)":
        tags["barrage.git.branch"] = branch
    return tags
