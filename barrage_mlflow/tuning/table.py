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
from barrage_mlflow.workspace.history import History
from barrage_mlflow.workspace.record import read_record

_WORDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


@contextmanager
def shown(study: Study, history: History, stream: TextIO | None) -> Iterator[Callable[[], None]]:
    """Show the trials that are under way in a table under a terminal, and a line for each end.

    Args:
        study: of the search.
        history: takes the best metric so far, by the number of trials that have ended.
        stream: where to; nowhere if it is None.

    Returns:
        What brings both up to date, to be called again and again.
    """
    console = Console(file=stream, quiet=stream is None, highlight=False, soft_wrap=True)
    live = Live(console=console, auto_refresh=False, transient=True)
    began = time.monotonic()
    told = {trial.number for trial in study.ended()}
    before = len(told)

    def update() -> None:
        ended, best = study.ended(), study.best()
        for trial in ended:
            if trial.number not in told:
                told.add(trial.number)
                console.print(_line(trial, study.search.metric), markup=False)
        if best is not None and len(ended) > len(history.epochs()):
            history.add(len(ended), {f"best_{study.search.metric}": float(best.value or 0)})
        if console.is_terminal:
            new = len(ended) - before
            each = (time.monotonic() - began) / new if new else math.nan
            live.update(_table(study, ended, best, each), refresh=True)

    with live:
        yield update


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
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for trial in [*([best] if best else []), *study.running()]:
        epochs = trial.intermediate_values
        value = epochs[max(epochs)] if epochs else None
        value = trial.value if trial is best else value
        state = "best" if trial is best else "running"
        metric = "–" if value is None else f"{value:.4g}"
        table.add_row(str(trial.number), state, str(len(epochs)), metric, _values(trial))
    return table
