"""Commands that train, or log what was trained."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import barrage_mlflow
from barrage_mlflow.cli.group import answer, command, count, show, show_serve
from barrage_mlflow.commands.overrides import CommandWithOverrides
from barrage_mlflow.config.paths import one_line
from barrage_mlflow.evaluation.html_page import PAGE
from barrage_mlflow.workspace.layout import EVALUATION, default_folder
from barrage_mlflow.workspace.threads import set_operation_threads

if TYPE_CHECKING:
    from barrage_mlflow.commands.tune import TuningResult
    from barrage_mlflow.training.train import TrainingResult

_artifact_dir = click.option(
    "--artifact-dir", help="Folder for all that the run leaves; a new one if left out."
)
_threads = count(
    "--threads",
    help="Threads for each operation of TensorFlow; last bits of some networks depend on them.",
    callback=lambda context, option, count: set_operation_threads(count),
    expose_value=False,
)
_test = click.option(
    "--test", "records_test", metavar="TEST", help="Evaluate the model on these too."
)
_TRACKED = (
    _test,
    click.option("--experiment", help="MLflow experiment; made if it is not there."),
    click.option("--run-name", help="Name of the MLflow run."),
    click.option("--register", metavar="NAME", help="Add the model to this registered model."),
    click.option("--alias", help="Alias of that registered model for the new version."),
    click.option(
        "--resume-anyway", is_flag=True, help="Go on though config, code or records changed."
    ),
    click.option("--offline", is_flag=True, help="Do without MLflow; the run can be logged later."),
)


def _tracked(run: Callable[..., None]) -> Callable[..., None]:
    """Add the options of what is tracked and packaged."""
    for option in reversed(_TRACKED):
        run = option(run)
    return run


@command("train config.json train.csv validation.csv --solver.epochs 3", cls=CommandWithOverrides)
@click.argument("config")
@click.argument("train")
@click.argument("validation")
@_artifact_dir
@click.option(
    "--resume",
    is_flag=False,
    flag_value="folder",
    metavar="[RUN_ID|auto]",
    help="Go on with the training in --artifact-dir, if any; with RUN_ID: with that run of MLflow, "
    "on any machine; auto: with the newest unfinished one.",
)
@count("--processes", help="Train in so many processes on this machine, one for each GPU.")
@click.option(
    "--restarts",
    type=click.IntRange(min=0),
    metavar="N",
    help="How often to go on in new --processes when one was killed.",
)
@_tracked
@_threads
def train(
    config: str,
    train: str,
    validation: str,
    resume: str | None,
    processes: int | None,
    restarts: int | None,
    **options: Any,
) -> None:
    """Train as CONFIG says on the records in TRAIN, and validate on those in VALIDATION.

    TRAIN and VALIDATION are CSV, JSON, JSON Lines or Parquet. Any value of the config can be
    set here: --section.key VALUE.
    """
    from barrage_mlflow.distribution.cluster import LAUNCHER, read_cluster
    from barrage_mlflow.training.progress import format_logs
    from barrage_mlflow.training.stop import stop_with_mlflow

    stop_with_mlflow()
    if processes is not None and LAUNCHER not in os.environ:
        from barrage_mlflow.commands.processes import train_in_processes
        from barrage_mlflow.training.prepare import read_document

        read_document(config, options["overrides"])  # a fault is told once
        arguments = [*sys.argv[1:]]
        if options["artifact_dir"] is None and resume is None:
            arguments += ["--artifact-dir", str(default_folder())]
        sys.exit(train_in_processes(arguments, processes, restarts or 0))
    # What `mlflow run` passes where there is none.
    options["records_test"] = options["records_test"] or None
    result = barrage_mlflow.train(
        config,
        train,
        validation,
        progress=sys.stderr,
        resume=True if resume == "folder" else resume or False,
        **options,
    )
    if read_cluster()[1]:
        return  # the first process says it
    show(f"best epoch {result.best_epoch}: {format_logs(result.metrics)}")
    _show_model(result, "not in MLflow yet", result.artifact_dir)
    answer(vars(result))


@command(
    "tune config.json search.json train.csv validation.csv --artifact-dir search --jobs 2",
    cls=CommandWithOverrides,
)
@click.argument("config")
@click.argument("search")
@click.argument("train")
@click.argument("validation")
@click.option(
    "--artifact-dir", required=True, help="Folder of the search; one that was begun goes on."
)
@count("--jobs", default=1, help="Trials at once, each in a process of its own.")
@count("--trials", help="Trials in all, instead of what SEARCH says.")
@click.option("--storage", metavar="URL", help="Database in which several machines share a search.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Seconds after which no trial is begun.",
)
@count("--threads", help="Threads of each trial; left out, the jobs share the cores.")
@_tracked
def tune(config: str, search: str, train: str, validation: str, **options: Any) -> None:
    """Search the values of CONFIG that SEARCH names for those that train the best model.

    Killed, or called with more trials, the same command goes on.
    """
    from barrage_mlflow.training.stop import stop_with_mlflow

    stop_with_mlflow()
    options["records_test"] = options["records_test"] or None
    result = barrage_mlflow.tune(config, search, train, validation, progress=sys.stderr, **options)
    show(f"best trial {result.best_trial}: {result.best_value:.6g}")
    for path, value in result.best_values.items():
        show(f"  {path}: {one_line(value)}")
    best = f"{result.artifact_dir}/best_config.json"
    show(f"config:    {best}; it comes out the same with --threads {result.threads}")
    _show_model(result, "not in MLflow", result.best_dir)
    answer(vars(result))


@command("reproduce RUN_ID")
@click.argument("run_id")
@click.argument("train", required=False)
@click.argument("validation", required=False)
@_test
@_artifact_dir
@_threads
def reproduce(run_id: str, train: str | None, validation: str | None, **options: Any) -> None:
    """Train again what the MLflow run RUN_ID was made of, and show whether it comes out the same.

    TRAIN, VALIDATION and TEST are the files that the run names, unless they are given. Exit status
    1 if a metric differs.
    """
    reproduction = barrage_mlflow.reproduce(
        run_id, train, validation, progress=sys.stderr, **options
    )
    show(reproduction.report)
    show(f"run: {reproduction.result.run_id}")
    values = {**vars(reproduction), "result": vars(reproduction.result)}
    answer(values, status=1 if reproduction.difference else 0)


@command("sync artifacts/run1")
@click.argument("artifact_dir")
@click.option(
    "--new-run", is_flag=True, help="Log it anew: the store that had it is gone for good."
)
def sync(artifact_dir: str, new_run: bool) -> None:
    """Log to MLflow what a training in ARTIFACT_DIR could not, offline or without its server.

    What MLflow has already is not logged twice.
    """
    run_id = barrage_mlflow.sync(artifact_dir, new_run=new_run)
    show(f"run: {run_id}")
    answer({"run_id": run_id})


def _show_model(result: TrainingResult | TuningResult, missing: str, folder: Path | None) -> None:
    """Show where the run, its report and its model are, and what may be done with it."""
    if folder is not None:
        show(f"artifacts: {folder}")
        report = folder / EVALUATION / PAGE
        if report.exists():
            show(f"report:    {report}")
    show(f"run:       {result.run_id or missing}")
    if result.run_page:
        show(f"page:      {_before_page()}{result.run_page}")
    if folder is None:
        show("model:     packaged where the trial was trained; trials.csv has its run")
        return
    show(f"model:     {result.model_uri or folder}")
    if result.version_uri:
        show(f"version:   {result.version_uri}")
    show_serve(result.version_uri or result.model_uri or folder)


def _before_page() -> str:
    """What to type before MLflow's pages are there, unless a server has them."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if uri.startswith("http"):
        return ""
    file = "mlflow.db"  # which `mlflow ui` takes where it is called
    is_usual = uri.removeprefix("sqlite:///") in ("", file, str(Path.cwd() / file))
    store = "" if is_usual else ' --backend-store-uri "$MLFLOW_TRACKING_URI"'
    return f"mlflow ui{store}, then "
