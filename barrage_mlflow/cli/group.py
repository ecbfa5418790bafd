"""The ``barrage-mlflow`` command itself, and how one that fails ends.

Exit status: 0 all is well, 1 ``check`` found faults, ``diff`` and ``reproduce`` differences, or
``promote`` a version that is worse, 2 anything else that went wrong, 130 interrupted.
"""

from __future__ import annotations

import functools
import logging
import os
import shlex
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
from barrage_mlflow.workspace.layout import MODEL

_PACKAGE = str(Path(__file__).parents[1])
_INTERRUPTED = 130
"""What a shell gives a command that Ctrl-C ended."""
_JSON = "barrage_json"
"""Where a command keeps whether it is to answer in JSON."""


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
        faults = {"faults": [*map(vars, error.faults)]} if isinstance(error, ConfigError) else {}
        fail(explain_error(error), 2, **faults)


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
    if os.environ.get("NO_COLOR"):
        click.get_current_context().color = False


count = functools.partial(click.option, type=click.IntRange(min=1), metavar="N", show_default=True)
"""An option that is a whole number from 1 on."""


_json_option = click.option(
    "--json",
    _JSON,
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=lambda context, option, asked: context.meta.update({_JSON: asked}),
    help="Answer with one JSON object on standard output.",
)


def command(
    example: str, answers: bool = True, **options: Any
) -> Callable[[Callable[..., None]], click.Command]:
    """A command whose help ends with an example, and that takes ``--json`` if it answers."""
    epilog = f"\b\nExample:\n  barrage-mlflow {example}"

    def made(run: Callable[..., None]) -> click.Command:
        explained = _errors_explained()(run)
        return main.command(epilog=epilog, **options)(
            _json_option(explained) if answers else explained
        )

    return made


def show(text: str, **style: Any) -> None:
    """Write what people read of an answer; nothing with ``--json``. Colours are for terminals."""
    if not wants_json():
        click.secho(text, **style)


def show_next(*words: object) -> None:
    """Show the command that may well come next."""
    show(f"next:      {shlex.join(map(str, words))}", fg="cyan")


def show_serve(model: str | Path) -> None:
    """Show how a model is served; of an artifact folder, the model in it."""
    within = Path(model, MODEL)
    found = within if within.is_dir() else model
    # The port that is MLflow's own choice is that of its pages, too.
    show_next("mlflow", "models", "serve", "-m", found, "--env-manager", "local", "--port", 5001)


def answer(values: dict[str, Any], status: int = 0) -> None:
    """End a command: with ``--json`` what it has found, and with an exit status.

    Args:
        values: JSON, in which paths are text, and NaN and infinity are null.
        status: of the command.
    """
    if wants_json():
        from barrage_mlflow.scoring.writers import to_json

        click.echo(to_json(values))
    if status:
        sys.exit(status)


def wants_json() -> bool:
    """Whether the command is to answer in JSON."""
    return bool(click.get_current_context().meta.get(_JSON))


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


def fail(message: str, status: int, **values: Any) -> NoReturn:
    """End the command with a message, an exit status, and what else ``--json`` is to hold."""
    text = message.removeprefix("error: ")
    head = message.removesuffix(text)
    click.echo(click.style(head, fg="red", bold=True) + text, err=True)
    answer({"error": text, **values})
    sys.exit(status)
