"""Jobs for worker processes, in a module that these can import."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np

from barrage_mlflow.dataset.components.places import Place, set_place

PLACE = Place("train.csv, record 5", "load", "my.Loader")


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


class AnotherTextError(Exception):
    def __init__(self, names):
        super().__init__("/".join(names))


class HoldsALockError(ValueError):
    def __init__(self, message):
        super().__init__(message)
        self.lock = threading.Lock()


class BrokenTextError(ValueError):
    def __str__(self):
        raise RuntimeError


class NoNotesError(ValueError):
    def __reduce__(self):
        return type(self), self.args


ERRORS = {
    "value": lambda: ValueError("could not convert 'many'"),
    "key": lambda: KeyError("age"),
    "file": lambda: FileNotFoundError(2, "No such file", "a.png"),
    "beyond": lambda: BeyondPickleError(3, "age"),
    "text": lambda: AnotherTextError(["a", "b"]),
    "lock": lambda: HoldsALockError("locked"),
    "broken": lambda: BrokenTextError(),
    "no notes": lambda: NoNotesError("few"),
    "exit": lambda: SystemExit(3),
}


def fails(task):
    """Gives the task back, unless it is the name of an error or of an end."""
    if task in ERRORS:
        error = ERRORS[task]()
        set_place(error, PLACE)
        error.add_note("column 's' holds 'many'")
        raise error
    if task == "unpicklable":
        return threading.Lock()
    if task == "unknown here":
        return _OnlyThere()
    if task == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if task == "leaves":
        os._exit(3)
    return task


class _OnlyThere:
    """Cannot be unpickled in the process that gets it."""

    def __reduce__(self):
        return _there, (os.getpid(),)


def _there(made_in):
    if made_in != os.getpid():
        raise ImportError("not here")


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


class Held:
    """Tells how much of what it holds has arrived."""

    def __init__(self, values):
        self.values = values

    def __call__(self, task):
        return [len(value) for value in self.values]


class Dies:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (4,)
