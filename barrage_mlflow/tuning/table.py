"""Shows the trials of a search: as they end, as a live table, and as a file."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.live import Live
from rich.table import Table

from barrage_mlflow.config.paths import one_line
from barrage_mlflow.training.progress import format_seconds
from barrage_mlflow.tuning.study import ERROR, RUN, Study
from barrage_mlflow.tuning.worker import folder_of
from barrage_mlflow.workspace.record import read_record
from barrage_mlflow.workspace.workspace import Workspace

_WORDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@contextmanager
def shown(study: Study, work: Workspace, stream: TextIO | None) -> Iterator[Callable[[], None]]:
    """Show the trials that are under way in a table under a terminal, and a line for each end.

    However the search ends, its table of trials is written.

    Args:
        study: of the search.
        work: its history takes the best metric so far, by the number of trials that have ended.
        stream: where to; nowhere if it is None.

    Returns:
        What brings both up to date, to be called again and again.

    Raises:
        OSError: the table cannot be written.
    """
    console = Console(file=stream, quiet=stream is None, highlight=False, soft_wrap=True)
    # Else what a caller of tune() writes would go to a console that shows nothing.
    live = Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=stream is not None,
        redirect_stderr=stream is not None,
    )
    began = time.monotonic()
    told = {trial.number for trial in study.ended()}
    before = len(told)

    def update() -> None:
        ended, best = study.ended(), study.best()
        for trial in ended:
            if trial.number not in told:
                told.add(trial.number)
                console.print(_line(trial, study.search.metric), markup=False)
        if best is not None and len(ended) > len(work.history.epochs()):
            work.history.add(len(ended), {f"best_{study.search.metric}": float(best.value or 0)})
        if console.is_terminal:
            new = len(ended) - before
            each = (time.monotonic() - began) / new if new else math.nan
            live.update(_table(study, ended, best, each), refresh=True)

    with live:
        try:
            yield update
        finally:
            update()
            write_trials(study, work.folder)


def write_trials(study: Study, folder: Path) -> None:
    """Write a table of the trials: a row for each, with its values and its run.

    Args:
        study: of the search.
        folder: of the search.

    Raises:
        OSError: it cannot be written.
    """
    rows = [
        {
            "trial": trial.number,
            "state": _WORDS[trial.state.name],
            study.search.metric: trial.value if trial.state.name == "COMPLETE" else None,
            **trial.params,
            "epochs": len(trial.intermediate_values),
            "seconds": trial.duration and round(trial.duration.total_seconds(), 2),
            "run": run_of(trial, folder),
            "error": trial.user_attrs.get(ERROR),
        }
        for trial in study.trials()
    ]
    pd.DataFrame(rows).to_csv(folder / "trials.csv", index=False)


def run_of(trial: FrozenTrial, folder: Path) -> str | None:
    """The MLflow run of a trial; one that was trained offline gets it when the search ends."""
    record = read_record(folder_of(folder, trial.number))
    return record.run_id if record else trial.user_attrs.get(RUN)


def _line(trial: FrozenTrial, metric: str) -> str:
    found = {
        "COMPLETE": f"{metric} {trial.value:.4g}" if trial.value is not None else "",
        "PRUNED": f"after epoch {len(trial.intermediate_values)}",
        "FAIL": trial.user_attrs.get(ERROR, ""),
    }[trial.state.name]
    return f"trial {trial.number}: {_WORDS[trial.state.name]}  {found}  {_values(trial)}"


def _values(trial: FrozenTrial) -> str:
    return "  ".join(f"{path} {_short(value)}" for path, value in trial.params.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else one_line(value)


def _table(study: Study, ended: list[FrozenTrial], best: FrozenTrial | None, each: float) -> Table:
    """The best trial and those that are under way; below, how many there are and the time left."""
    wanted = study.search.data["trials"]
    left = "–" if math.isnan(each) else format_seconds(each * (wanted - len(ended)))
    caption = f"{len(ended)} of {wanted} trials, {left} left"
    table = Table(caption=caption, caption_justify="left", expand=False)
    for name in ("trial", "state", "epoch", study.search.metric, "values"):
        table.add_column(name, no_wrap=name != "values")
    for trial in [*([best] if best else []), *study.running()]:
        epochs = trial.intermediate_values
        value = epochs[max(epochs)] if epochs else None
        value = trial.value if trial is best else value
        state = "best" if trial is best else "running"
        metric = "–" if value is None else f"{value:.4g}"
        table.add_row(str(trial.number), state, str(len(epochs)), metric, _values(trial))
    return table
