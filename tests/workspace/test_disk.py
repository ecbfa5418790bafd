"""A disk that is full, or no longer to be written to, at every write of a training."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small import TRAIN, VALIDATION, small_config
from trainings import outcome

from barrage_mlflow import ArtifactError, train
from barrage_mlflow.workspace.disk import explain_unwritable


@pytest.mark.parametrize(
    ("error", "explained"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError("Unable to write (errno = 28, error message = 'No space left on device')"), True),
        (RuntimeError("out/tensorboard/events; No space left on device"), True),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), True),
        (OSError(errno.EROFS, "Read-only file system", "out/run.json"), True),
        (PermissionError(errno.EACCES, "Permission denied", "out/a/b"), True),
        (PermissionError(errno.EACCES, "Permission denied", "images/1.png"), False),
        (PermissionError(errno.EACCES, "Permission denied"), False),
        (ValueError("bad record"), False),
    ],
)
def test_only_what_could_not_be_written_is_explained(error: Exception, explained: bool) -> None:
    found = explain_unwritable(error, Path("out"))
    if not explained:
        assert found is error
        return
    assert isinstance(found, ArtifactError)
    assert str(found).startswith("out: a file could not be written (")
    assert str(found).endswith(
        "): free some space, or give back the right to write; then the same command goes on, train "
        "with --resume"
    )


def mount(folder: Path, options: str) -> None:
    """Mount a small file system in memory."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    subprocess.run(command, check=True, capture_output=True)


def unmount(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that is a file system."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mount(folder, "size=64m")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system may be mounted here: {error}")
    yield folder
    unmount(folder)


def used(folder: Path) -> int:
    """Kilobytes of whole pages."""
    return sum(4 + path.lstat().st_size // 1024 for path in folder.rglob("*"))


@pytest.mark.slow
def test_a_disk_that_is_full_at_any_write_damages_nothing(disk: Path) -> None:
    config = small_config(services__resume_checkpoint={"every_steps": 1})
    train(config, TRAIN, VALIDATION, artifact_dir="whole", offline=True)
    whole = outcome(Path("whole"))
    out = disk / "out"
    steps = np.linspace(8, used(Path("whole")), 12, dtype=int)
    told = []
    for size in steps:
        unmount(disk)
        mount(disk, f"size={size}k")
        try:
            train(config, TRAIN, VALIDATION, artifact_dir=out, offline=True)
        except ArtifactError as error:
            told.append(str(error))
        mount(disk, "remount,size=64m")
        train(config, TRAIN, VALIDATION, artifact_dir=out, offline=True, resume=True)
        assert outcome(out) == whole, f"{size} KB"
    assert len(told) > len(steps) / 2
    assert [message for message in told if "No space left on device" not in message] == []
