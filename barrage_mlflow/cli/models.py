"""Commands on packaged models."""

from __future__ import annotations

import functools
import sys
from typing import Any

import click

import barrage_mlflow
from barrage_mlflow.cli.group import command, count


@command("predict records.parquet models:/iris@champion -o scores.csv --keep id")
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


@command("promote models:/iris/2 test.csv --alias champion")
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
