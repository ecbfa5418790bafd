"""Commands on packaged models."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import Any

import click

import barrage_mlflow
from barrage_mlflow.cli.group import answer, command, count, show, show_next, show_serve, wants_json
from barrage_mlflow.evaluation.html_page import PAGE

_roots = click.option(
    "--root",
    "roots",
    metavar="[COLUMN=]FOLDER",
    multiple=True,
    help="In columns of bytes, or in this one, take strings as paths of files in this folder, not "
    "as base64; may be repeated.",
)


@command("predict records.parquet models:/penguins@champion -o scores.csv --keep id")
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
@count("--batch-size", default=256, help="Records that go through the network at once.")
@click.option("--param", metavar="NAME=VALUE", multiple=True, help="Set a param of the model.")
@_roots
def predict(records: str, model: str, output: str | None, **options: Any) -> None:
    """Score the records in the file RECORDS, of any size, with MODEL.

    MODEL is an artifact folder or any MLflow model URI. Killed and started again, it goes on where
    it was.
    """
    if output is None and wants_json():
        raise click.UsageError(
            "--json tells what was written, and without -o the scores themselves are printed, as "
            "JSON Lines; leave out --json, or add -o FILE"
        )
    from barrage_mlflow.commands.predict import predict as run_prediction
    from barrage_mlflow.training.progress import show_seconds

    # Under a terminal the rows themselves show how far it is.
    progress = None if output is None and sys.stdout.isatty() else sys.stderr
    write = functools.partial(click.echo, nl=False)
    scores = run_prediction(records, model, output, write=write, progress=progress, **options)
    if scores is not None:
        show(f"{scores.records} scores in {output}, {show_seconds(scores.seconds)}")
        show_next("barrage-mlflow", "evaluate", "TEST", model, *_repeated(roots=options["roots"]))
        answer({"file": output, **vars(scores)})


@command("evaluate test.csv models:/penguins@champion -o report")
@click.argument("records")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    help="Folder for report.md with tables and pictures; none is written if left out.",
)
@click.option("--against", metavar="MODEL", help="Show the figures beside those of another model.")
@click.option("--run", "run_id", metavar="RUN_ID", help="Add the report to this run of MLflow.")
@click.option("--name", help="What the set is called there; left out, the name of its file.")
@_roots
def evaluate(records: str, model: str, output: str | None, **options: Any) -> None:
    """Show how good MODEL is on the records in the file RECORDS, of any size, that have targets.

    MODEL is an artifact folder or any MLflow model URI. Figures are in the units of the data, each
    with its 95 % interval and beside a baseline.
    """
    found = barrage_mlflow.evaluate(records, model, output, report=show, **options)
    show("")
    if output:
        show(f"report:    {output}/{PAGE}")
        show_serve(model)
    else:
        repeated = _repeated(**options)
        show_next("barrage-mlflow", "evaluate", records, model, "-o", "report", *repeated)
    answer({"metrics": found.metrics, "report": output and f"{output}/{PAGE}"})


@command("promote models:/penguins/2 test.csv --alias champion")
@click.argument("model")
@click.argument("records")
@click.option("--alias", required=True, help="The alias to move, such as champion.")
@click.option("--metric", help="What decides, such as rmse or price_rmse.")
@_roots
def promote(model: str, records: str, **options: Any) -> None:
    """Have an alias lead to MODEL if it is at least as good on RECORDS as what has it now.

    MODEL is a version of a registered model, models:/NAME/VERSION; RECORDS is a file with
    targets. Exit status 1 if the alias stays with a better version.
    """
    promotion = barrage_mlflow.promote(model, records, **options)
    show(promotion.report)
    answer({**vars(promotion), "promoted": promotion.promoted}, 0 if promotion.promoted else 1)


def _repeated(
    roots: Sequence[str] = (),
    against: str | None = None,
    run_id: str | None = None,
    name: str | None = None,
) -> list[str]:
    """The options that a command to type next has in common with this one."""
    options = [("--against", against), ("--run", run_id), ("--name", name)]
    options += [("--root", root) for root in roots]
    return [word for option, value in options if value for word in (option, value)]
