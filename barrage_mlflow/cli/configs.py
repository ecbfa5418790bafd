"""Commands on data and configs, before any training."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import Any

import click

import barrage_mlflow
from barrage_mlflow.cli.group import answer, command, count, explain_error, fail, show, show_next
from barrage_mlflow.commands.overrides import CommandWithOverrides

_column = functools.partial(click.option, metavar="COLUMN")


@command("split penguins.csv --validation 0.15 --test 0.15 --stratify species -o sets")
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
    files = barrage_mlflow.split(data, **options, report=show)
    if Path("config.json").is_file():
        show_next("barrage-mlflow", "check", "config.json", files["train"], files["validation"])
    answer({"files": files})


@command("init train.csv --target species -o config.yaml")
@click.argument("data")
@_column("--target", "targets", multiple=True, required=True, help="Predicted; may be repeated.")
@click.option(
    "-o",
    "--output",
    default="config.yaml",
    show_default=True,
    help="File to write: .yaml, with the reasons as comments, or .json.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@count("--horizon", help="Of a long table: how many rows are predicted.")
@count("--history", help="Rows before them.  [default: four times as many]")
@_column("--time", help="The column by which rows follow each other.")
@_column("--group", multiple=True, help="A column that names a series; may be repeated.")
def init(data: str, output: str, time: str | None, **options: Any) -> None:
    """Write a config to begin with: what the columns of DATA are meant as, and a network.

    DATA is CSV, JSON, JSON Lines or Parquet; or a folder with a folder of images for each class,
    whose --target is label. With --horizon and --time, DATA is a long table, of which the next
    values of the --target are predicted.
    """
    from barrage_mlflow.commands.init import init as run_init
    from barrage_mlflow.commands.init import validation_beside

    start = run_init(data, output=output, time=time, **options)
    show(start.table)
    for hint in start.hints:
        show(f"\n{hint}")
    if validation := validation_beside(data):
        show(f"\n{output} is written; next:")
        sets = [data, str(validation)]
    else:
        show(f"\n{output} is written; next, make sets of the data and train:")
        by = ["--time", time] if time else []
        _show_command("split", data, "--validation", f"{start.validation:g}", *by)
        sets = ["TRAIN", "VALIDATION"]
    for name in ("check", "train"):
        _show_command(name, output, *sets)
    columns = [dict(zip(start.HEADS, row, strict=True)) for row in start.columns]
    answer({"file": output, "config": start.config, "columns": columns, "hints": start.hints})


def _show_command(*words: str) -> None:
    show(f"  {shlex.join(['barrage-mlflow', *words])}")


@command("check config.json train.csv --solver.epochs 3", cls=CommandWithOverrides)
@click.argument("config")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@count("--records", default=1000, help="How many records of each file a dry run reads.")
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
        show(str(fault))
    found: dict[str, Any] = {
        "faults": [*map(vars, faults)],
        "warnings": [*map(vars, warnings)],
    }
    if faults:
        fail(f"{len(faults)} fault{'s' if len(faults) > 1 else ''} in {config}", 1, **found)
    if train is not None:
        from barrage_mlflow.commands.check import dry_run

        for module in code_modules(document.data):
            click.echo(f"importing {module}", err=True)
        report, error = dry_run(document, train, validation, records)
        show(report)
        found["report"] = report
        if error is not None:
            fail(document.located(explain_error(error)), 1, **found)
    show(f"{config}: all is well", fg="green")
    answer(found)


@command("schema --project penguins > schema.json", answers=False)
@click.option(
    "--project",
    metavar="PACKAGE",
    help="Add the names and params of this package's components, and of Keras's.",
)
@click.option("--search", is_flag=True, help="Print that of a search, the file that tune takes.")
def schema(project: str | None, search: bool) -> None:
    """Print the JSON Schema of a config, which lets an editor complete and check it."""
    from barrage_mlflow.config import read_config
    from barrage_mlflow.config.editor_schema import editor_schema, show_schema

    if search:
        from barrage_mlflow.tuning.search_file import SEARCH_SCHEMA

        click.echo(show_schema(SEARCH_SCHEMA), nl=False)
        return
    folders = read_config({}).folders
    projects = None if project is None else [project]
    click.echo(show_schema(editor_schema(projects, folders)), nl=False)


@command("diff config.json runs:/RUN_ID")
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
        show(str(difference))
    found = [{"path": difference.path, **difference.values} for difference in differences]
    answer({"differences": found}, status=1 if differences else 0)
