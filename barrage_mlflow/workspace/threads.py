"""On how many threads TensorFlow works at one operation: the last bits of some depend on it."""

from __future__ import annotations

import os
import sys

_VARIABLE = "TF_NUM_INTRAOP_THREADS"
"""Where TensorFlow takes the number from, unless its own settings have one."""


def operation_threads() -> int:
    """How many threads TensorFlow works at one operation on, or will.

    Example:
        >>> operation_threads() > 0
        True
    """
    tensorflow = sys.modules.get("tensorflow")
    own = tensorflow.config.threading.get_intra_op_parallelism_threads() if tensorflow else 0
    # On macOS no process is bound to cores.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return own or int(os.environ.get(_VARIABLE, 0)) or cores or 1


def set_operation_threads(count: int | None) -> None:
    """Set the number for this process, before TensorFlow computes anything, and for its children.

    Args:
        count: at least 1; None leaves it as it is.

    Example:
        >>> set_operation_threads(None)
    """
    if count is not None:
        os.environ[_VARIABLE] = str(count)


def share_threads(processes: int) -> dict[str, str]:
    """The environment of one of several processes that share this machine's threads.

    Example:
        >>> set(share_threads(2))
        {'TF_NUM_INTRAOP_THREADS'}
    """
    set_already = os.environ.get(_VARIABLE)
    return {_VARIABLE: set_already or str(max(1, operation_threads() // processes))}
