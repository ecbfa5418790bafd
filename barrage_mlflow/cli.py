"""The ``barrage-mlflow`` command: reads arguments, calls one function, prints.

Exit status: 0 all is well, 1 ``check`` found faults, ``diff`` and ``reproduce`` differences, or
``promote`` a version that is worse, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import functools
import json
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
from barrage_mlflow.commands.overrides import CommandWithOverrides
from barrage_mlflow.errors import BarrageError, ConfigError, describe_error
from barrage_mlflow.workspace.threads import set_operation_threads

_PACKAGE = str(Path(__file__).parent)
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
        _fail("\n".join(["interrupted", *getattr(error, "__notes__", ())]), _INTERRUPTED)
    except Exception as error:
        if os.environ.get("BARRAGE_TRACEBACK"):
            raise
        _fail(explain_error(error), 2)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(barrage_mlflow.__version__, prog_name="barrage-mlflow")
def main() -> None:
    """Deep learning from one config file, tracked in MLflow, deployed as one artifact."""
    _open_closed_streams()
    logger = logging.getLogger("barrage_mlflow")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.propagate = False  # libraries give the root logger a handler, which would write it again


def _command(example: str, **options: Any) -> Callable[[Callable[..., None]], click.Command]:
    """A command whose help ends with an example."""
    epilog = f"\b\nExample:\n  barrage-mlflow {example}"
    return lambda run: main.command(epilog=epilog, **options)(_errors_explained()(run))


_count = functools.partial(click.option, type=click.IntRange(min=1), show_default=True)
_artifact_dir = click.option(
    "--artifact-dir", help="Folder for all that the run leaves; a new one if left out."
)
_threads = _count(
    "--threads",
    help="Threads for each operation of TensorFlow; last bits of some networks depend on them.",
    callback=lambda context, option, count: set_operation_threads(count),
    expose_value=False,
)


@_command("train config.json train.csv validation.csv --solver.epochs 3", cls=CommandWithOverrides)
@click.argument("config")
@click.argument("train")
@click.argument("validation")
@_artifact_dir
@click.option("--experiment", help="MLflow experiment; made if it is not there.")
@click.option("--run-name", help="Name of the MLflow run.")
@click.option("--register", metavar="NAME", help="Add the model to this registered model.")
@click.option("--alias", help="Alias of that registered model that is to lead to the new version.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="folder",
    metavar="[RUN_ID|auto]",
    help="Go on with the training in --artifact-dir, if any; with RUN_ID: with that run of MLflow, "
    "on any machine; auto: with the newest unfinished one.",
)
@click.option(
    "--resume-anyway", is_flag=True, help="Resume though config, code or records changed."
)
@click.option("--offline", is_flag=True, help="Do without MLflow; `sync` logs the run later.")
@_threads
def train(config: str, train: str, validation: str, resume: str | None, **options: Any) -> None:
    """Train as CONFIG says on the records in TRAIN, and validate on those in VALIDATION.

    TRAIN and VALIDATION are CSV, JSON, JSON Lines or Parquet. Any value of the config can be
    set here: --section.key VALUE.
    """
    from barrage_mlflow.training.progress import format_logs
    from barrage_mlflow.training.stop import stop_with_mlflow

    stop_with_mlflow()
    result = barrage_mlflow.train(
        config,
        train,
        validation,
        progress=sys.stderr,
        resume=True if resume == "folder" else resume or False,
        **options,
    )
    click.echo(f"best epoch {result.best_epoch}: {format_logs(result.metrics)}")
    click.echo(f"artifacts: {result.artifact_dir}")
    click.echo(f"run:       {result.run_id or 'not in MLflow yet'}")
    click.echo(f"model:     {result.model_uri or result.artifact_dir}")
    if result.version_uri:
        click.echo(f"version:   {result.version_uri}")


@_command("reproduce RUN_ID")
@click.argument("run_id")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@_artifact_dir
@_threads
def reproduce(run_id: str, train: str | None, validation: str | None, **options: Any) -> None:
    """Train again what the MLflow run RUN_ID was made of, and show whether it comes out the same.

    TRAIN and VALIDATION are the files that the run names, unless they are given. Exit status 1 if
    a metric differs.
    """
    reproduction = barrage_mlflow.reproduce(
        run_id, train, validation, progress=sys.stderr, **options
    )
    click.echo(reproduction.report)
    click.echo(f"run: {reproduction.result.run_id}")
    sys.exit(1 if reproduction.difference else 0)


@_command("sync artifacts/run1")
@click.argument("artifact_dir")
@click.option(
    "--new-run", is_flag=True, help="Log it anew: the store that had it is gone for good."
)
def sync(artifact_dir: str, new_run: bool) -> None:
    """Log to MLflow what a training in ARTIFACT_DIR could not, offline or without its server.

    What MLflow has already is not logged twice.
    """
    click.echo(f"run: {barrage_mlflow.sync(artifact_dir, new_run=new_run)}")


@_command("predict records.parquet models:/iris@champion -o scores.csv --keep id")
@click.argument("records")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="File to write: .json, .jsonl, .csv or .parquet; JSON Lines on the terminal if left out.",
)
@click.option(
    "--keep",
    metavar="COLUMN",
    multiple=True,
    help="Put this column of the records first in each row; may be repeated.",
)
@_count("--batch-size", default=256, help="Records that go through the network at once.")
@click.option("--param", metavar="NAME=VALUE", multiple=True, help="Set a param of the model.")
@click.option(
    "--root",
    "roots",
    metavar="[COLUMN=]FOLDER",
    multiple=True,
    help="In columns of bytes, or in this one, take strings as paths of files in this folder, not "
    "as base64; may be repeated.",
)
def predict(records: str, model: str, output: str | None, **options: Any) -> None:
    """Score the records in the file RECORDS, of any size, with MODEL.

    MODEL is an artifact folder or any MLflow model URI. Killed and started again, it goes on where
    it was.
    """
    from barrage_mlflow.commands.predict import predict as run_prediction
    from barrage_mlflow.training.progress import show_seconds

    # Under a terminal the rows themselves show how far it is.
    progress = None if output is None and sys.stdout.isatty() else sys.stderr
    write = functools.partial(click.echo, nl=False)
    scores = run_prediction(records, model, output, write=write, progress=progress, **options)
    if scores is not None:
        click.echo(f"{scores.records} scores in {output}, {show_seconds(scores.seconds)}")


@_command("promote models:/iris/2 test.csv --alias champion")
@click.argument("model")
@click.argument("records")
@click.option("--alias", required=True, help="The alias to move, such as champion.")
def promote(model: str, records: str, alias: str) -> None:
    """Have an alias lead to MODEL if it is at least as good on RECORDS as what has it now.

    MODEL is a version of a registered model, models:/NAME/VERSION; RECORDS is a file with
    targets. Exit status 1 if the alias stays with a better version.
    """
    promotion = barrage_mlflow.promote(model, records, alias=alias)
    click.echo(promotion.report)
    sys.exit(0 if promotion.promoted else 1)


_column = functools.partial(click.option, metavar="COLUMN")


@_command("split birds.csv --validation 0.15 --test 0.15 --stratify species")
@click.argument("data")
@click.option("--validation", type=float, required=True, help="Share of the records, from 0 to 1.")
@click.option("--test", type=float, default=0.0, help="The same of a test set; none if left out.")
@_column("--stratify", help="Give every set the same share of each value of this column.")
@_column("--group", help="Keep the records of each value of this column in one set.")
@_column("--time", help="Validate on records later than those of train; test on the last ones.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("-o", "--output", "folder", metavar="FOLDER", help="Left out, that of DATA.")
@click.option("--force", is_flag=True, help="Write over files that are there.")
def split(data: str, **options: Any) -> None:
    """Split DATA into the files that train takes: train.csv, validation.csv and test.csv.

    DATA is CSV, JSON, JSON Lines or Parquet, and so are the files; each record is passed on as it
    is written there. Of a folder with a folder of images for each class, such as
    photos/cat/1.png, they are CSV files with path and label, stratified by label.
    """
    barrage_mlflow.split(data, **options, report=click.echo)


@_command("check config.json train.csv --solver.epochs 3", cls=CommandWithOverrides)
@click.argument("config")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@_count("--records", default=1000, help="How many records of each file a dry run reads.")
def check(
    config: str, train: str | None, validation: str | None, records: int, overrides: dict[str, str]
) -> None:
    """Find every fault of CONFIG: one line each and exit status 1, or print that all is well.

    With TRAIN it goes on to a dry run: it reads the first records, fits the transformer on them,
    builds the network and runs a batch of training, validation and scoring. Nothing is kept.
    """
    from barrage_mlflow.config.project import code_modules
    from barrage_mlflow.config.resolve import check_config

    document, faults, warnings = check_config(config, overrides)
    for fault in (*faults, *warnings):
        click.echo(str(fault))
    if faults:
        _fail(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in {config}", 1)
    if train is not None:
        from barrage_mlflow.commands.check import dry_run

        for module in code_modules(document.data):
            click.echo(f"importing {module}", err=True)
        report, error = dry_run(document, train, validation, records)
        click.echo(report)
        if error is not None:
            _fail(document.located(explain_error(error)), 1)
    click.echo(f"{config}: all is well")


@_command("init train.csv --target price -o config.yaml")
@click.argument("data")
@click.option(
    "--target",
    "targets",
    metavar="COLUMN",
    multiple=True,
    required=True,
    help="What is to be foretold; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    default="config.yaml",
    show_default=True,
    help="File to write: .yaml, with the reasons as comments, or .json.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@_count("--horizon", help="Of a long table: rows that are to be foretold.")
@_count("--history", help="Rows before them.  [default: four times as many]")
@click.option("--time", metavar="COLUMN", help="The column by which rows follow each other.")
@click.option("--group", metavar="COLUMN", multiple=True, help="What tells series apart.")
def init(
    data: str,
    targets: tuple[str, ...],
    output: str,
    force: bool,
    horizon: int | None,
    history: int | None,
    time: str | None,
    group: tuple[str, ...],
) -> None:
    """Write a config to begin with: what the columns of DATA are meant as, and a network.

    DATA is CSV, JSON, JSON Lines or Parquet; or a folder with a folder of images for each class,
    whose --target is label. With --horizon and --time, DATA is a long table, of which the next
    values of the --target are foretold.
    """
    from barrage_mlflow.commands.init import init as run_init
    from barrage_mlflow.commands.init import windows_of

    windows = windows_of(horizon, history, time, group)
    start = run_init(data, targets, output, force, windows)
    click.echo(start.table)
    for hint in start.hints:
        click.echo(f"\n{hint}")
    click.echo(f"\n{output} is written; next, unless you have them, make sets, then train:")
    by = f" --time {shlex.quote(time)}" if time else ""
    click.echo(f"  barrage-mlflow split {data} --validation {start.validation:g}{by}")
    for command in ("check", "train"):
        click.echo(f"  barrage-mlflow {command} {output} TRAIN VALIDATION")


@_command("schema --project my_project > schema.json")
@click.option(
    "--project",
    metavar="PACKAGE",
    help="Add the names and params of this package's components, and of Keras's.",
)
def schema(project: str | None) -> None:
    """Print the JSON Schema of a config, which lets an editor complete and check it."""
    from barrage_mlflow.config import read_config
    from barrage_mlflow.config.editor_schema import editor_schema

    folders = read_config({}).folders
    click.echo(json.dumps(editor_schema(project, folders), indent=1, ensure_ascii=False))


@_command("diff config.json runs:/RUN_ID")
@click.argument("a")
@click.argument("b")
def diff(a: str, b: str) -> None:
    """Show by path how two configs differ: exit status 1 if they do, 0 if they do not.

    A and B are each a config file, an artifact folder, or an MLflow run: its ID or runs:/ID.
    Defaults are filled in first, so that what would be trained otherwise is shown. What a run
    settled by itself, such as the seed, is no difference from a file that leaves it out.
    """
    from barrage_mlflow.commands.diff import find_differences

    differences = find_differences(a, b)
    for difference in differences:
        click.echo(difference)
    sys.exit(1 if differences else 0)


def explain_error(error: BaseException) -> str:
    """Explain what went wrong: the message, its notes, and the frames of the project's own code.

    Example:
        >>> explain_error(BarrageError("train.csv: no such file"))
        'error: train.csv: no such file'
    """
    if isinstance(error, ConfigError):
        return describe_error(error)
    if isinstance(error, RuntimeError) and os.path.expanduser("~") == "~":  # noqa: PTH111 - it raises
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
        if not frame.filename.startswith((_PACKAGE, sys.prefix, sys.base_prefix, "<"))
        and "site-packages" not in frame.filename
    ]


def _open_closed_streams() -> None:
    """Have standard streams that are closed lead nowhere.

    Libraries write to them, and the next file that is opened would take their descriptor.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - stays open
            setattr(sys, name, stream)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
