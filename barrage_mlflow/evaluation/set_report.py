"""The report of a set: what is made of each outcome by its type, and the page it stands on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from barrage_mlflow.evaluation import class_reports, number_reports, record_reports
from barrage_mlflow.evaluation.evaluate import Evaluation, Options
from barrage_mlflow.evaluation.figures import Figure
from barrage_mlflow.evaluation.importance import importance_picture, importance_table, permute
from barrage_mlflow.evaluation.metrics import leading_metric
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.evaluation.pages import Pages, Report, as_markdown, plain, show, show_range
from barrage_mlflow.evaluation.weak_spots import weak_spots
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.tracking.limits import legal_name
from barrage_mlflow.workspace.layout import digest_of

_FAR = 5.0
"""Times what the second column counts, from where on the first one counts far more."""
FIRST = ("accuracy", "mae", "roc_auc", "f1")
"""Metrics that everybody knows: the first of them that an answer has speaks for it."""
_NAME_BYTES = 200
"""Of a folder's name; a file system takes 255."""
_OF_CLASSES = (class_reports.confusion, class_reports.curves, class_reports.calibration)
REPORTS: Mapping[str, tuple[tuple[Report, ...], tuple[Report, ...]]] = {
    "category": ((class_reports.per_class,), _OF_CLASSES),
    "truth": (
        (class_reports.per_class, class_reports.recommended_threshold, class_reports.thresholds),
        _OF_CLASSES,
    ),
    "multi_category": (
        (class_reports.per_class,),
        (class_reports.curves, class_reports.calibration),
    ),
    "number": ((), (number_reports.predicted,)),
    "series": ((), (number_reports.forecasts, number_reports.by_horizon)),
}
"""The tables and pictures that are made of an outcome, by its type; then those of all."""
_TABLES, _PICTURES = (
    (weak_spots, record_reports.groups, record_reports.worst),
    (record_reports.images, record_reports.by_length),
)


def figures_table(figures: Mapping[str, Figure]) -> pd.DataFrame:
    """A row for each metric: its value, its 95 % interval, and the baseline's."""
    rows = [[name, *figure] for name, figure in figures.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "95 % low", "95 % high", "baseline"])


def write_report(
    scorer: Scorer,
    evaluation: Evaluation,
    folder: Path,
    title: str,
    options: Options,
    until: float,
    sections: Mapping[str, Any] = {},
    facts: Sequence[str] = (),
) -> list[str]:
    """Write the report of a set: ``report.md``, and a folder of pictures and tables an output.

    Args:
        scorer: the model.
        evaluation: what :func:`evaluate` found.
        folder: where to.
        title: of the report.
        options: what to make.
        until: by ``time.monotonic()``, from when on no picture and no report of one's own is begun.
        sections: tables and texts about the data, by title.
        facts: sentences that come first.

    Returns:
        What was written, by its path in the folder.

    Raises:
        OSError: the report cannot be written.
    """
    pages = Pages(folder)
    for said in (f"# {plain(title)}", *map(plain, evaluation.summary), *facts):
        pages.say(said)
    pages.say(*leading_figures(evaluation))
    for answer, outcome in evaluation.outcomes.items():
        place = _folder_of(answer)
        pages.say(f"## {plain(answer)}")
        if not outcome.type:
            pages.say("No metric is defined for an output of this shape.")
            continue
        if not len(outcome):
            pages.say("No record has a target.")
            continue
        if not outcome.in_own_units:
            pages.say(
                "In the units of the network: the transformer's `targets` gives nothing under a "
                "key of the answer."
            )
        pages.add("", f"{place}/metrics", figures_table(evaluation.figures[answer]))
        tables, pictures = REPORTS[outcome.type]
        drawn = (*pictures, *_PICTURES) if options.plots else ()
        later = (*drawn, *options.reports)
        for report in (*tables, *_TABLES, *later):
            name = str(getattr(report, "func", report).__name__)  # of one with params too
            if report is class_reports.recommended_threshold and not _takes_threshold(
                scorer, evaluation
            ):
                continue
            if time.monotonic() > until and report in later:
                pages.left.append(f"{answer}: {name}")
                continue
            heading = name.replace("_", " ").capitalize()
            make = partial(report, outcome, evaluation.kept)
            pages.attempt(heading, f"{place}/{name}", make)
    if options.importance:
        find = partial(_add_importance, pages, scorer, evaluation, options, until)
        pages.attempt("", "importance", find)
    for name, made in sections.items():
        pages.say(f"## {name}")
        pages.add("", f"data/{name.lower().replace(' ', '_')}", made)
    if pages.left:
        pages.say(
            f"Left out for lack of time: {plain('; '.join(pages.left))}. `barrage-mlflow evaluate "
            "RECORDS MODEL -o FOLDER` makes them too."
        )
    pages.write()
    return pages.files


def _folder_of(answer: str) -> str:
    """The folder of an outcome; never that of another one, nor one above."""
    name = legal_name(answer.replace("/", ":") if answer != "data" else "data:")
    short = name.encode()[:_NAME_BYTES].decode(errors="ignore")
    return name if short == name else f"{short}_{digest_of(answer)[:8]}"


def _takes_threshold(scorer: Scorer, evaluation: Evaluation) -> bool:
    """Whether a request may set the threshold of one output alone."""
    asked = ("truth", "multi_category")
    decided = [one for one in evaluation.outcomes.values() if one.type in asked]
    return len(decided) == 1 and "threshold" in scorer.score_params


def leading_figures(evaluation: Evaluation) -> list[str]:
    """The figures that count most, of each answer, in Markdown."""
    rows: list[list[Any]] = []
    beaten: list[str] = []
    for answer, figures in evaluation.figures.items():
        for place, (metric, figure) in enumerate(figures.items()):
            if (place == 0 or metric in FIRST) and not math.isnan(figure.value):
                interval = show_range(figure.low, figure.high)
                rows.append([answer, metric, figure.value, interval, figure.baseline])
            if place == 0 and figure.value >= figure.baseline:  # of each first one, less is better
                beaten += ["", f"{plain(answer)}: {metric} is no better than the baseline's."]
    heads = ["answer", "metric", "value", "95 %", "baseline"]
    return [*as_markdown(pd.DataFrame(rows, columns=heads)), *beaten]


def _add_importance(
    pages: Pages, scorer: Scorer, evaluation: Evaluation, options: Options, until: float
) -> None:
    """Add how important columns are, and to what is left those for which there is no time."""
    pages.say("## Importance of columns")
    if scorer.schema.windows:
        pages.say("Not for windows: shuffling a column would break its order in time.")
        return
    kept = evaluation.kept
    rows = [kept.cells[row] for row in kept.sample]
    worse, late, count = permute(scorer, Observer(scorer), rows, until)
    if late:
        pages.left.append(f"importance of {', '.join(late)}")
    if not any(worse.values()):
        pages.say("There was no time for it, or no metric: see the end of this report.")
        return
    pages.say(
        "How much worse the model is where the values of a column are shuffled among "
        f"{show(count)} records."
    )
    for answer, by_column in worse.items():
        if not by_column:
            continue
        place, title = f"{_folder_of(answer)}/importance", answer
        table = importance_table(by_column)
        if options.plots and len(table) > 1:
            metric = leading_metric(evaluation.outcomes[answer]).name
            pages.add(title, place, importance_picture(answer, metric, table))
            title = ""
        pages.add(title, place, table)
        first, second = [*table["worse by"], 0.0, 0.0][:2]
        if len(table) > 1 and first > _FAR * max(0.0, second):
            name = plain(show(table["column"].iloc[0]))
            pages.say(f"{name} counts far more than all others: is it known before the target is?")
