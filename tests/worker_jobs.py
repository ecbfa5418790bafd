"""Jobs for worker processes, in a module that these can import."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np

from barrage_mlflow.dataset.components.places import set_place

MAIN = int(os.environ.setdefault("WORKER_JOBS_MAIN", str(os.getpid())))
PLACE = "in train.csv, record 5, stage load, component my.Loader"


def block(task):
    """A data record of `rows` records, with arrays of every kind of memory."""
    rows, seed = task
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(rows, 7)).astype(np.float32)
    x = {
        "numbers": numbers,
        "turned": numbers.T,
        "apart": numbers[:, ::2],
        "words": np.array([f"wörd {seed}\0" * (i % 3) for i in range(rows)], object),
        "whole": rng.integers(0, 9, rows),
        "large": rng.normal(size=(rows, 900)),
    }
    # Some take much longer than others, so that they do not come out in order by chance.
    np.sort(rng.normal(size=(seed * 7919 % 11) * 20_000))
    return x, {"y": np.array(seed)}


def echo(task):
    return task


def pid(task):
    return os.getpid()


class BeyondPickleError(Exception):
    def __init__(self, record, column):
        super().__init__(f"record {record} has no {column}")


class BrokenTextError(ValueError):
    def __str__(self):
        raise RuntimeError


ERRORS = {
    "value": lambda: ValueError("could not convert 'many'"),
    "beyond": lambda: BeyondPickleError(3, "age"),
    "broken": lambda: BrokenTextError(),
    "exit": lambda: SystemExit(3),
}


def fails(task):
    """Gives the task back, unless it is the name of an error or of an end."""
    if task in ERRORS:
        error = ERRORS[task]()
        set_place(error, "train.csv, record 5", "load", "my.Loader")
        error.add_note("column 's' holds 'many'")
        raise error
    if task == "unpicklable":
        return threading.Lock()
    if task == "there alone" and os.getpid() != MAIN:
        raise ValueError("not in a worker process")
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "leaves":
        os._exit(3)
    return task


def surroundings(task):
    return {
        "modules": set(sys.modules),
        "path": sys.path,
        "environment": dict(os.environ),
        "stdin": sys.stdin.read(),
    }


def says(task):
    sys.stdout.write(f"out {task}\n")
    sys.stderr.write(f"err {task}\n")
    return task


def forever(task):
    if task:
        threading.Event().wait()
    return task


class Dies:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (4,)
