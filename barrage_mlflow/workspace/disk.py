"""The disk that a training writes to: what it will take, and what to do when it is full."""

from __future__ import annotations

import errno
import logging
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.errors import ArtifactError

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)

_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
_FORBIDDEN = {errno.EROFS, errno.EACCES, errno.EPERM}
_UNITS = ("B", "KB", "MB", "GB", "TB")
_KEPT = 2
"""Resume checkpoints, if the config does not say how many."""


def say_space(network: keras.Model, config: Mapping[str, Any], folder: Path) -> None:
    """Log how much disk a training will take, and warn if there is less.

    Args:
        network: compiled; its optimizer is built.
        config: a resolved config.
        folder: the artifact folder, which is there.
    """
    if not network.optimizer.built:
        network.optimizer.build(network.trainable_variables)
    needed = needed_space(
        _size(network.variables), _size(network.optimizer.variables), config["services"]
    )
    free = shutil.disk_usage(folder).free
    said = f"needs about {_told(needed)} of disk in {folder}, where {_told(free)} are free"
    if needed > free:
        logger.warning("%s: it may end before its time", said)
    else:
        logger.info("%s", said)


def needed_space(network: int, optimizer: int, services: Mapping[str, Any]) -> int:
    """What checkpoints and the packaged model will take; logs and cached records come on top.

    Args:
        network: bytes of the network's variables.
        optimizer: bytes of the optimizer's.
        services: the section of a resolved config.

    Returns:
        Bytes, with those of files that are replaced by whole ones beside them, and of those that
        are held while they are copied to MLflow.

    Example:
        >>> needed_space(1_000, 2_000, {"resume_checkpoint": {"keep": 1}})
        13000
    """
    restoring = sum(
        bool(service.get("restore_best_weights"))
        for service in services.values()
        if isinstance(service, Mapping)
    )
    keep: int = services.get("resume_checkpoint", {}).get("keep", _KEPT)
    checkpoint = network + optimizer + restoring * network
    best, model = 3 * network, network
    return (keep + 2) * checkpoint + best + model


def explain_unwritable(error: BaseException, folder: Path | None) -> BaseException:
    """Say what to do where a file could not be written; return any other error as it is.

    Args:
        error: what ended a training.
        folder: the artifact folder.

    Example:
        >>> str(explain_unwritable(OSError(errno.ENOSPC, "No space left on device"), Path("out")))
        'out: a file could not be written ([Errno 28] No space left on device): free some space, or
         give back the right to write, and go on with: --artifact-dir out --resume'
    """
    told = str(error)
    # By its words, since HDF5 and TensorFlow have errors of their own.
    unwritable = any(words in told for words in _FULL)
    if isinstance(error, OSError) and error.errno in _FORBIDDEN:
        place = Path(str(error.filename or "")).absolute()
        unwritable = folder is not None and place.is_relative_to(folder.absolute())
    if not unwritable:
        return error
    return ArtifactError(
        f"{folder}: a file could not be written ({told}): free some space, or give back the right "
        f"to write, and go on with: --artifact-dir {folder} --resume"
    )


def _size(variables: Iterable[keras.Variable]) -> int:
    return sum(math.prod(variable.shape) * _bytes(str(variable.dtype)) for variable in variables)


def _bytes(dtype: str) -> int:
    """Bytes of one number: ``float32`` → 4."""
    bits = re.search(r"\d+$", dtype)
    return int(bits[0]) // 8 if bits else 1


def _told(size: float) -> str:
    """Write a number of bytes to two digits.

    Example:
        >>> _told(1_250_000), _told(12)
        ('1.2 MB', '12 B')
    """
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            break
        size /= 1000
    return f"{size:.{1 if size < 10 and unit != 'B' else 0}f} {unit}"
