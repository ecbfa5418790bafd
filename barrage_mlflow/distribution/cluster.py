"""Which processes train together, as the environment of each says."""

from __future__ import annotations

import json
import os

from barrage_mlflow.errors import GroupError

VARIABLE = "TF_CONFIG"
"""Where TensorFlow finds the other processes of a training, and which of them this one is."""
LAUNCHER = "BARRAGE_LAUNCHER"
"""Where ``--processes`` leaves the number of the process that started this one."""
LOST = 75
"""Exit status of a process that was started so, and that another one has left."""
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:7001", "10.0.0.2:7001"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def read_cluster() -> tuple[list[str], int]:
    """The addresses of all processes, the chief's first, and which of them this one is.

    Raises:
        GroupError: ``TF_CONFIG`` is not what TensorFlow reads.

    Example:
        >>> read_cluster()
        ([], 0)
    """
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return [], 0
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        kind, index = task["type"], int(task["index"])
        others = cluster.keys() - {"chief", "worker"}
        if others:
            raise ValueError(f"no {' or '.join(sorted(others))}")
        members = [*cluster.get("chief", []), *cluster.get("worker", [])]
        return members, members.index(cluster[kind][index])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise GroupError(
            f"{VARIABLE}: expected the addresses of all processes and the task of this one, as in "
            f"{_EXAMPLE}, got {text!r} ({type(error).__name__}: {error}); mend it, or unset it to "
            "train in one process"
        ) from None
