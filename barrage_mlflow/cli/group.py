"""The ``barrage-mlflow`` command itself, and how one that fails ends.

Exit status: 0 all is well, 1 ``check`` found faults, ``diff`` and ``reproduce`` differences, or
``promote`` a version that is worse, 2 anything else that went wrong, 130 interrupted.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click

import barrage_mlflow
from barrage_mlflow.config.project import is_installed
from barrage_mlflow.distribution.cluster import LAUNCHER, LOST, read_cluster
from barrage_mlflow.errors import (
    BarrageError,
    ConfigError,
    GroupError,
    TrainingError,
    describe_error,
)

_PACKAGE = str(Path(__file__).parents[1])
_INTERRUPTED = 130
"""What a shell gives a command that Ctrl-C ended."""


@contextmanager
def _errors_explained() -> Iterator[None]:
    """Ends a command that fails with a message and without a traceback of ours."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
        raise  # click ends these as they should be
    except KeyboardInterrupt as error:
        _leave_to_launcher(error, _INTERRUPTED)
        fail("\n".join(["interrupted", *getattr(error, "__notes__", ())]), _INTERRUPTED)
    except Exception as error:
        if os.environ.get("BARRAGE_TRACEBACK"):
            raise
        _leave_to_launcher(error, 2)
        fail(explain_error(error), 2)


def _leave_to_launcher(error: BaseException, status: int) -> None:
    """End without a message a process of ``--processes`` whose error is another's to tell."""
    if LAUNCHER not in os.environ:
        return
    if isinstance(error, GroupError):
        sys.exit(LOST)
    alike = KeyboardInterrupt | TrainingError  # of which the first process has the same to say
    if read_cluster()[1] and isinstance(error, alike):
        sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(barrage_mlflow.__version__, prog_name="barrage-mlflow")
def main() -> None:
    """Deep learning from one config file, tracked in MLflow, deployed as one artifact."""
    _open_closed_streams()
    logger = logging.getLogger("barrage_mlflow")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.propagate = False  # libraries give the root logger a handler, which would write it again


count = functools.partial(click.option, type=click.IntRange(min=1), metavar="N", show_default=True)
"""An option that is a whole number from 1 on."""


def command(example: str, **options: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A command whose help ends with an example."""
    epilog = f"\b\nExample:\n  barrage-mlflow {example}"
    return lambda run: main.command(epilog=epilog, **options)(_errors_explained()(run))


def explain_error(error: BaseException) -> str:
    """Explain what went wrong: the message, its notes, and the frames of the project's own code.

    Example:
        >>> explain_error(BarrageError("train.csv: no such file"))
        'error: train.csv: no such file'
    """
    if isinstance(error, ConfigError):
        return describe_error(error)
    if isinstance(error, RuntimeError) and "home directory" in str(error):  # so says Path.home()
        return "error: no home folder is known, and MLflow needs one: set HOME to a folder"
    lines = [f"error: {describe_error(error)}"]
    if not isinstance(error, BarrageError):
        lines += [f"  at {frame}" for frame in _project_frames(error)]
        lines.append("  (set BARRAGE_TRACEBACK=1 to see the whole traceback)")
    return "\n".join(lines)


def _project_frames(error: BaseException) -> list[str]:
    """Frames outside the engine and outside installed packages, innermost last."""
    return [
        f"{frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_PACKAGE, "<")) and not is_installed(frame.filename)
    ]


def _open_closed_streams() -> None:
    """Have standard streams that are closed lead nowhere.

    Libraries write to them, and the next file that is opened would take their descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - stays open
            setattr(sys, name, stream)


def fail(message: str, status: int) -> NoReturn:
    """End the command with a message and an exit status."""
    click.echo(message, err=True)
    sys.exit(status)
