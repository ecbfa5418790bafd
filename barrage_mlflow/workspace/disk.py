"""What to do where the disk that a training writes to is full or must not be written to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from barrage_mlflow.errors import ArtifactError

_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}


def explain_unwritable(error: BaseException, folder: Path) -> BaseException:
    """Explain what to do where a file could not be written; return any other error as it is.

    Args:
        error: what ended a training.
        folder: the artifact folder.

    Example:
        >>> str(explain_unwritable(OSError(errno.ENOSPC, "No space left on device"), Path("out")))
        'out: a file could not be written ([Errno 28] No space left on device): free some space, or
         give back the right to write; then the same command goes on, train with --resume'
    """
    message = str(error)
    # By its words, since HDF5 and TensorFlow have errors of their own.
    unwritable = any(words in message for words in _FULL)
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        place = Path(str(error.filename or "")).absolute()
        unwritable = place.is_relative_to(folder.absolute())
    if not unwritable:
        return error
    return ArtifactError(
        f"{folder}: a file could not be written ({message}): free some space, or give back the "
        "right to write; then the same command goes on, train with --resume"
    )
