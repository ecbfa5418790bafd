"""Trains cases in a group of processes, one after the other: ``COUNT FOLDER CASE…``.

``dropout!1.5`` stops the training by a SIGTERM to process 1 at its fifth look for a stop, and
named again a case goes on. Each case leaves an artifact folder, and each process what it has
seen: how often its weights were not the chief's, the addresses that it listens on, and the chief
where each training stopped.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import numpy as np


def start(count: int, arguments: list[str]) -> int:
    """Start this script in each process of a group, and wait for all."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        worker = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    processes = []
    for index in range(count):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": worker}, "task": task})
        environment = {**os.environ, "TF_CONFIG": config, "TF_NUM_INTRAOP_THREADS": "1"}
        command = [sys.executable, __file__, "0", *arguments]
        processes.append(subprocess.Popen(command, env=environment))
    return max(process.wait() for process in processes)


class Watched:
    """What this process sees of its group, and when it is to stop."""

    def __init__(self, epochs: Any, shared: Any) -> None:
        self.apart = 0
        self.looks = 0
        self.stop_at: int | None = None
        agree_on, agree = epochs._Loop._agree_on, shared.agree

        def look(loop: Any, *asked: Any) -> int:
            self.looks += 1
            if self.looks == self.stop_at:
                signal.raise_signal(signal.SIGTERM)
            return agree_on(loop, *asked)

        def compare(group: Any, network: Any) -> None:
            digests = [shared._digest(each.numpy()) for each in network.trainable_variables]
            chiefs, *_ = group.gather(np.array(digests, np.int64))
            self.apart += bool((chiefs != digests).any())
            agree(group, network)

        epochs._Loop._agree_on, epochs.agree = look, compare


def main(folder: Path, specs: list[str]) -> None:
    """Train all cases in this process's place."""
    import psutil
    from group_cases import CASES, frame

    from barrage_mlflow.commands.train import join_others
    from barrage_mlflow.distribution import synchronize as shared
    from barrage_mlflow.services.checkpoint_file import Checkpoint
    from barrage_mlflow.training import epochs, train
    from barrage_mlflow.training.prepare import read_document
    from barrage_mlflow.training.stop import StopRequest
    from barrage_mlflow.workspace.layout import resume_checkpoints

    group = join_others()
    connections = psutil.Process().net_connections()
    listens = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    watched = Watched(epochs, shared)
    apart, stopped = {}, []
    for spec in specs:
        name, _, stop = spec.partition("!")
        index, _, look = stop.partition(".")
        watched.looks = watched.apart = 0
        watched.stop_at = int(look) if stop and int(index) == group.share.index else None
        sets: list[Any] = [frame(), frame(50, 1)]
        if name == "streamed":
            for place, records in enumerate(sets):
                sets[place] = folder / f"{place}-{group.share.index}.parquet"
                records.to_parquet(sets[place], row_group_size=20)
        document = read_document(CASES[name])
        with StopRequest(), suppress(KeyboardInterrupt):
            if group.is_chief:
                options = {"artifact_dir": folder / name, "resume": True, "packages": False}
                train.train(document, *sets, group=group, **options)
            else:
                train.follow(group, document, *sets)
        apart[name] = watched.apart
        if stop and group.is_chief:  # which has written it by now, as others cannot know
            last = Checkpoint.read(resume_checkpoints(folder / name)[0])
            stopped.append((name, last.epochs, last.batch))
    seen = {"apart": apart, "listens": listens, "stopped": stopped}
    (folder / f"seen-{group.share.index}.json").write_text(json.dumps(seen), "utf-8")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if (number := int(sys.argv[1])) > 1:
        sys.exit(start(number, sys.argv[2:]))
    main(Path(sys.argv[2]), sys.argv[3:])
