"""The ``barrage-mlflow`` command: reads arguments, calls one function, prints.

Exit status: 0 all is well, 1 ``check`` found faults, ``diff`` and ``reproduce`` differences, or
``promote`` a version that is worse, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

import click

from barrage_mlflow import __version__
from barrage_mlflow.errors import BarrageError, ConfigError, Fault, describe_error
from barrage_mlflow.scoring.tensorflow_alone import import_tensorflow_alone
from barrage_mlflow.stopping import INTERRUPTED

_PACKAGE = str(Path(__file__).parent)

_EXAMPLE = "\b\nExample:\n  "

_OVERRIDES = "overrides of the config"
_RESUMED = re.compile("auto|[0-9a-f]{32}")


class _Commands(click.Group):
    """Ends every command that fails with a message and without a traceback of ours."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as error:
            _fail("\n".join(["interrupted", *getattr(error, "__notes__", ())]), INTERRUPTED)
        except BrokenPipeError:
            # Whoever read our output has gone; nothing is left to say it to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            if os.environ.get("BARRAGE_TRACEBACK"):
                raise
            _fail(explain_error(error), 2)


class _WithOverrides(click.Command):
    """A command that takes a value of the config at any place: ``--section.key VALUE``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_OVERRIDES], args = _split_overrides(args)
        # The value may be left out, and what comes next is then an argument.
        following = zip(args, [*args[1:], ""], strict=True)
        args = [
            "--resume=folder" if arg == "--resume" and not _RESUMED.fullmatch(after) else arg
            for arg, after in following
        ]
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(
                f"no option {error.option_name}; config values are set with --section.key VALUE, "
                "such as --solver.epochs 3"
            ) from None


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="barrage-mlflow")
def main() -> None:
    """Deep learning from one config file, tracked in MLflow, deployed as one artifact."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logger = logging.getLogger("barrage_mlflow")
    logger.setLevel(logging.INFO)
    logger.handlers = [logging.StreamHandler(sys.stderr)]
    logger.propagate = False  # libraries give the root logger a handler, which would say it again


@main.command(
    cls=_WithOverrides,
    epilog=_EXAMPLE + "barrage-mlflow train config.json train.csv validation.csv --solver.epochs 3",
)
@click.argument("config")
@click.argument("train")
@click.argument("validation")
@click.option(
    "--artifact-dir",
    type=click.Path(),
    help="Folder for all that the run leaves; a new one, unless resumed.",
)
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
    "--resume-anyway", is_flag=True, help="Resume though config, code or records have changed."
)
@click.option("--offline", is_flag=True, help="Do without MLflow; `sync` logs the run later.")
@click.pass_context
def train(ctx: click.Context, /, config: str, train: str, validation: str, **options: Any) -> None:
    """Train as CONFIG says on the records in TRAIN, and validate on those in VALIDATION.

    TRAIN and VALIDATION are CSV, JSON, JSON Lines or Parquet. Any value of the config can be
    set here: --section.key VALUE.
    """
    from barrage_mlflow.stopping import StopSignals, stop_with_mlflow
    from barrage_mlflow.training.progress import format_logs
    from barrage_mlflow.training.train import train as run_training

    overrides = ctx.meta[_OVERRIDES]
    resume = options.pop("resume")
    named = options["artifact_dir"] is not None
    if resume not in (None, "folder") and not _RESUMED.fullmatch(resume):
        raise click.UsageError(
            f"--resume {resume}: expected auto, the ID of an MLflow run (32 characters), or nothing"
        )
    if not named and (resume == "folder" or (resume is None and options["resume_anyway"])):
        raise click.UsageError("--resume needs --artifact-dir, the folder of the training")
    # SIGTERM ends a training as Ctrl-C does, also before it has begun.
    with StopSignals() as signals:
        stop_with_mlflow()
        # Nothing is begun yet, and what loading TensorFlow runs might swallow an interrupt.
        with signals.ending_the_process():
            _load_tensorflow(spare=True)
        result = run_training(
            config,
            train,
            validation,
            overrides=overrides,
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


@main.command(epilog=_EXAMPLE + "barrage-mlflow reproduce RUN_ID")
@click.argument("run_id")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@click.option("--artifact-dir", type=click.Path(), help="Folder for all that the run leaves.")
def reproduce(
    run_id: str, train: str | None, validation: str | None, artifact_dir: str | None
) -> None:
    """Train again what the MLflow run RUN_ID was made of, and tell whether it comes out the same.

    TRAIN and VALIDATION are the files that the run names, unless they are given. Exit status 1 if
    a metric differs.
    """
    from barrage_mlflow.commands.reproduce import reproduce as run_reproduction
    from barrage_mlflow.stopping import StopSignals

    with StopSignals() as signals:
        with signals.ending_the_process():
            _load_tensorflow(spare=True)
        reproduction = run_reproduction(
            run_id, train, validation, artifact_dir=artifact_dir, progress=sys.stderr
        )
    click.echo(reproduction.report)
    click.echo(f"run: {reproduction.result.run_id}")
    sys.exit(1 if reproduction.difference else 0)


@main.command(epilog=_EXAMPLE + "barrage-mlflow sync artifacts/run1")
@click.argument("artifact_dir", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--new-run", is_flag=True, help="Log it as a new run: the store that had it is gone for good."
)
def sync(artifact_dir: str, new_run: bool) -> None:
    """Log to MLflow what a training in ARTIFACT_DIR could not, offline or without its server.

    What MLflow holds already is not logged twice.
    """
    _load_tensorflow()

    from barrage_mlflow.tracking.sync import sync as run_sync

    click.echo(f"run: {run_sync(artifact_dir, new_run=new_run)}")


@main.command(
    epilog=_EXAMPLE
    + "barrage-mlflow predict records.parquet models:/iris@champion -o scores.csv --keep id"
)
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
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Records that go through the network at once; 256 if left out.",
)
def predict(
    records: str, model: str, output: str | None, keep: tuple[str, ...], batch_size: int | None
) -> None:
    """Score the records in the file RECORDS, of any size, with MODEL.

    MODEL is an artifact folder or any MLflow model URI. Killed and started again, it goes on where
    it was.
    """
    from barrage_mlflow.dataset import Parts
    from barrage_mlflow.scoring.writers import make_writer

    # Before TensorFlow is loaded, which takes seconds: names are soon mistyped.
    if output is not None:
        make_writer(Path(output))
    parts = Parts(records, keep)
    _load_tensorflow(with_keras=False)

    from barrage_mlflow.commands.predict import print_scores, score_file
    from barrage_mlflow.scoring.scorer import BATCH_SIZE, Scorer
    from barrage_mlflow.training.progress import told_seconds
    from barrage_mlflow.workspace import folder as artifacts

    if (Path(model) / artifacts.MODEL).is_dir():
        scorer = Scorer.load(model)
    else:
        from barrage_mlflow.scoring.pyfunc import load_scorer

        scorer = load_scorer(model)
    size = batch_size or BATCH_SIZE
    if output is None:
        # Under a terminal the rows tell how far it is.
        shown = None if sys.stdout.isatty() else sys.stderr
        print_scores(scorer, parts, lambda rows: click.echo(rows, nl=False), size, shown)
        return
    scores = score_file(scorer, parts, output, batch_size=size, progress=sys.stderr)
    click.echo(f"{scores.records} scores in {output}, {told_seconds(scores.seconds)}")


@main.command(epilog=_EXAMPLE + "barrage-mlflow promote models:/iris/2 test.csv --alias champion")
@click.argument("model")
@click.argument("records")
@click.option("--alias", required=True, help="The alias to move, such as champion.")
def promote(model: str, records: str, alias: str) -> None:
    """Have an alias lead to MODEL if it is at least as good on RECORDS as what holds it now.

    MODEL is a version of a registered model, models:/NAME/VERSION; RECORDS is a file with
    targets. Exit status 1 if the alias stays with a better version.
    """
    _load_tensorflow()

    from barrage_mlflow.commands.promote import promote as run_promotion

    promotion = run_promotion(model, records, alias=alias)
    click.echo(promotion.report)
    sys.exit(0 if promotion.promoted else 1)


@main.command(
    cls=_WithOverrides,
    epilog=_EXAMPLE + "barrage-mlflow check config.json train.csv --solver.epochs 3",
)
@click.argument("config")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@click.option(
    "--records",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many records of each file a dry run reads.",
)
@click.pass_context
def check(
    ctx: click.Context,
    /,
    config: str,
    train: str | None,
    validation: str | None,
    records: int,
) -> None:
    """Find every fault of CONFIG: one line each and exit status 1, or say that all is well.

    With TRAIN it goes on to a dry run: it reads the first records, fits the transformer on them,
    builds the network and runs a batch of training, validation and scoring. Nothing is kept.
    """
    from barrage_mlflow.config import (
        add_project_path,
        apply_overrides,
        code_modules,
        find_faults,
        find_warnings,
        read_config,
        resolve_config,
    )

    overrides = ctx.meta[_OVERRIDES]
    warnings: list[Fault] = []
    try:
        document = apply_overrides(read_config(config), overrides)
        faults = find_faults(document)
        warnings = find_warnings(document)
    except ConfigError as error:
        faults = error.faults
    for fault in (*faults, *warnings):
        click.echo(str(fault))
    if faults:
        click.echo(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in {config}", err=True)
        sys.exit(1)
    if train is not None:
        from barrage_mlflow.dataset import Records

        # Before TensorFlow is loaded, which takes seconds: a file name is soon mistyped.
        train_head = Records.read(train, limit=records)
        validation_head = validation and Records.read(validation, limit=records)
        _load_tensorflow()

        from barrage_mlflow.commands.check import dry_run

        add_project_path(document)
        for module in code_modules(document.data):
            click.echo(f"importing {module}", err=True)
        run = dry_run(resolve_config(document, run_code=True), train_head, validation_head)
        click.echo(run.report)
        if run.error is not None:
            _fail(document.located(explain_error(run.error)), 1)
    click.echo(f"{config}: all is well")


@main.command(epilog=_EXAMPLE + "barrage-mlflow schema --project my_project > schema.json")
@click.option(
    "--project",
    metavar="PACKAGE",
    help="Add the names and params of this package's components, and of Keras's.",
)
def schema(project: str | None) -> None:
    """Print the JSON Schema of a config, which lets an editor complete and check it."""
    from barrage_mlflow.config import read_config
    from barrage_mlflow.config.editor_schema import editor_schema

    found = editor_schema(project, read_config({}).folders)
    click.echo(json.dumps(found, indent=1, ensure_ascii=False))


@main.command(epilog=_EXAMPLE + "barrage-mlflow diff config.json runs:/RUN_ID")
@click.argument("a")
@click.argument("b")
def diff(a: str, b: str) -> None:
    """Show by path how two configs differ: exit status 1 if they do, 0 if they do not.

    A and B are each a config file, an artifact folder, or an MLflow run: its ID or runs:/ID.
    Defaults are filled in first, so that it is told what would be trained otherwise.
    """
    from barrage_mlflow.config.diff import diff_configs
    from barrage_mlflow.tracking.configs import load_config_for_diff

    differences = diff_configs(load_config_for_diff(a), load_config_for_diff(b))
    for difference in differences:
        click.echo(str(difference))
    sys.exit(1 if differences else 0)


def explain_error(error: BaseException) -> str:
    """Say what went wrong: the message, its notes, and the frames of the project's own code.

    Example:
        >>> explain_error(BarrageError("train.csv: no such file"))
        'error: train.csv: no such file'
    """
    if isinstance(error, ConfigError):
        return describe_error(error)
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


def _load_tensorflow(spare: bool = False, with_keras: bool = True) -> None:
    """Load TensorFlow without its start-up notes, which no setting of its own silences.

    They are written by native code before its log level is read, so the file descriptor itself
    is turned away meanwhile. What goes wrong is an exception, and still seen.

    Args:
        spare: fork the clean process of a training, before TensorFlow is used.
        with_keras: load Keras too.
    """
    # From Python, a command may be called where it was used before.
    spare = spare and "tensorflow" not in sys.modules
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        import_tensorflow_alone()
        if spare:
            from barrage_mlflow.scoring.process import fork_spare

            fork_spare()
        if with_keras:
            import keras  # noqa: F401 - for what loading it does
        import tensorflow as tf

        tf.config.list_physical_devices()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _split_overrides(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Take ``--section.key VALUE`` and ``--section.key=VALUE`` out of a command's arguments.

    Example:
        >>> _split_overrides(["--solver.epochs", "3", "config.json", "--dataset.seed=7"])
        ({'solver.epochs': '3', 'dataset.seed': '7'}, ['config.json'])
    """
    overrides, others = {}, []
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or "." not in key:
            others.append(argument)
            continue
        if not equals:
            following = next(rest, None)
            if following is None:
                raise click.UsageError(f"--{key} has no value; write --{key} VALUE")
            value = following
        overrides[key] = value
    return overrides, others


def _fail(message: str, status: int) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(status)
