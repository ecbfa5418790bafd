"""Shows the trials of a search: as they end, and as a table."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config.paths import one_line
from barrage_mlflow.training.progress import Display, format_seconds
from barrage_mlflow.tuning.study import ERROR, Study
from barrage_mlflow.tuning.worker import folder_of
from barrage_mlflow.workspace.history import History
from barrage_mlflow.workspace.record import read_record

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

TRIALS = "trials.csv"
_WORDS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}


def show_search(study: Study, history: History, display: Display) -> Callable[[], None]:
    """Make what shows each trial that has ended, and how far the search is.

    Args:
        study: of the search.
        history: takes the best metric so far, by the number of trials that have ended.
        display: where to show it.

    Returns:
        To be called again and again.
    """
    began, shown = time.monotonic(), {t.number for t in _ended(study)}
    before = len(shown)

    def watch() -> None:
        ended, best = _ended(study), study.best()
        for trial in ended:
            if trial.number not in shown:
                shown.add(trial.number)
                display.show(_line(trial, study.search.metric), stays=True)
        known = len(history.epochs())
        if best is not None and len(ended) > known:
            history.add(len(ended), {f"best_{study.search.metric}": float(best.value or 0)})
        if display.is_live and display.is_due:
            display.show(_status(study, ended, best, time.monotonic() - began, before))

    return watch


def write_trials(study: Study, folder: Path) -> None:
    """Write a table of the trials: a row for each, with its values and its run.

    Args:
        study: of the search.
        folder: of the search.

    Raises:
        OSError: it cannot be written.
    """
    import pandas as pd

    rows = []
    for trial in study.trials():
        record = read_record(folder_of(folder, trial.number))
        rows.append(
            {
                "trial": trial.number,
                "state": _WORDS.get(trial.state.name, "waiting"),
                study.search.metric: trial.value if trial.state.name == "COMPLETE" else None,
                **trial.params,
                "epochs": len(trial.intermediate_values),
                "seconds": trial.duration and round(trial.duration.total_seconds(), 1),
                "run": record.run_id if record else None,
                "error": trial.user_attrs.get(ERROR),
            }
        )
    pd.DataFrame(rows).to_csv(folder / TRIALS, index=False)


def _ended(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.trials() if trial.state.is_finished()]


def _line(trial: FrozenTrial, metric: str) -> str:
    values = "  ".join(f"{path} {_short(value)}" for path, value in trial.params.items())
    found = {
        "COMPLETE": f"{metric} {trial.value:.4g}" if trial.value is not None else "",
        "PRUNED": f"after epoch {len(trial.intermediate_values)}",
        "FAIL": trial.user_attrs.get(ERROR, ""),
    }[trial.state.name]
    return f"trial {trial.number}: {_WORDS[trial.state.name]}  {found}  {values}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else one_line(value)


def _status(
    study: Study, ended: list[FrozenTrial], best: FrozenTrial | None, seconds: float, before: int
) -> str:
    wanted = study.search.data["trials"]
    parts = [f"{len(ended)}/{wanted} trials"]
    if best is not None:
        parts.append(f"best {study.search.metric} {best.value:.4g} (trial {best.number})")
    if len(ended) > before:
        left = seconds / (len(ended) - before) * (wanted - len(ended))
        parts.append(f"{format_seconds(left)} left")
    for trial in study.trials():
        if trial.state.name == "RUNNING" and trial.intermediate_values:
            last = max(trial.intermediate_values)
            value = trial.intermediate_values[last]
            parts.append(f"trial {trial.number}: epoch {last + 1} {value:.4g}")
    return "  ".join(parts)
