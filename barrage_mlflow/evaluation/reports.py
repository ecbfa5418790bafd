"""The report of a set: what is made of each outcome by its type, and the page it stands on."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barrage_mlflow.evaluation import cases, classes, numbers
from barrage_mlflow.evaluation.evaluate import Evaluation, Options
from barrage_mlflow.evaluation.figures import Figure
from barrage_mlflow.evaluation.importance import importance_picture, importance_table, permute
from barrage_mlflow.evaluation.metrics import leading_metric
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.evaluation.report import (
    Pages,
    Report,
    as_markdown,
    name_of,
    plain,
    show,
    show_range,
)
from barrage_mlflow.evaluation.weak_spots import weak_spots
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.tracking.limits import legal_name

if TYPE_CHECKING:
    import pandas as pd

_FAR = 5.0
"""Times what the second column counts, from where on the first one counts far more."""
_FIRST = ("accuracy", "mae", "roc_auc", "f1")
_NETWORK_UNITS = (
    "In the units of the network: the transformer's `targets` gives nothing under a key of the "
    "answer."
)
_OF_CLASSES = (classes.confusion, classes.curves, classes.calibration)
_OF_RECORDS = (cases.images, cases.by_length)
PICTURES: Mapping[str, tuple[Report, ...]] = {
    "category": (*_OF_CLASSES, *_OF_RECORDS),
    "truth": (*_OF_CLASSES, *_OF_RECORDS),
    "multi_category": (classes.curves, classes.calibration, cases.images),
    "number": (numbers.predicted, *_OF_RECORDS),
    "series": (numbers.forecasts, numbers.by_horizon),
}
TABLES: Mapping[str, tuple[Report, ...]] = {
    "category": (classes.per_class,),
    "truth": (classes.per_class, classes.recommended_threshold, classes.thresholds),
    "multi_category": (classes.per_class,),
}
"""What is made of an outcome, by its type."""
_OF_ALL = (weak_spots, cases.groups, cases.worst)


def figures_table(figures: Mapping[str, Figure]) -> pd.DataFrame:
    """A row for each metric: its value, its 95 % interval, and the baseline's."""
    import pandas as pd

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
        until: by ``time.monotonic()``, from when on nothing more is begun.
        sections: tables and texts about the data, by title.
        facts: sentences that come first.

    Returns:
        What was written, by its path in the folder.

    Raises:
        OSError: the report cannot be written.
    """
    pages, left = Pages(folder), []
    pages.say(f"# {title}", "", *_about(evaluation, facts))
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
            pages.say(_NETWORK_UNITS)
        pages.add("", f"{place}/metrics", figures_table(evaluation.figures[answer]))
        pictures = (*PICTURES[outcome.type], *options.reports) if options.plots else options.reports
        for report in (*TABLES.get(outcome.type, ()), *_OF_ALL, *pictures):
            name = name_of(report)
            if report is classes.recommended_threshold and not _takes_threshold(scorer, evaluation):
                continue
            if time.monotonic() > until and report in pictures:
                left.append(f"{answer}: {name}")
                continue
            heading = name.replace("_", " ").capitalize()
            make = partial(report, outcome, evaluation.kept)
            pages.attempt(heading, f"{place}/{name}", make)
    if options.importance:
        find = partial(_add_importance, pages, scorer, evaluation, options, until, left)
        pages.attempt("", "importance", find)
    for name, made in sections.items():
        pages.say(f"## {name}")
        pages.add("", f"data/{name.lower().replace(' ', '_')}", made)
    if left:
        pages.say(
            f"Left out for lack of time: {plain('; '.join(left))}. `barrage-mlflow evaluate "
            "RECORDS MODEL -o FOLDER` makes them too."
        )
    pages.write()
    return pages.files


def _folder_of(answer: str) -> str:
    """The folder of an outcome; never that of another one, nor one above."""
    return legal_name(answer.replace("/", ":") if answer != "data" else "data:")


def _takes_threshold(scorer: Scorer, evaluation: Evaluation) -> bool:
    """Whether a request may set the threshold of one output alone."""
    asked = ("truth", "multi_category")
    decided = [one for one in evaluation.outcomes.values() if one.type in asked]
    return len(decided) == 1 and "threshold" in scorer.score_params


def leading_figures(evaluation: Evaluation) -> list[str]:
    """The figures that count most, of each answer, in Markdown."""
    import pandas as pd

    rows: list[list[Any]] = []
    beaten: list[str] = []
    for answer, figures in evaluation.figures.items():
        for place, (metric, figure) in enumerate(figures.items()):
            if (place == 0 or metric in _FIRST) and not math.isnan(figure.value):
                interval = show_range(figure.low, figure.high)
                rows.append([answer, metric, figure.value, interval, figure.baseline])
            if place == 0 and figure.value >= figure.baseline:  # of each first one, less is better
                beaten += ["", f"{plain(answer)}: {metric} is no better than the baseline's."]
    heads = ["answer", "metric", "value", "95 %", "baseline"]
    return [*as_markdown(pd.DataFrame(rows, columns=heads)), *beaten]


def _about(evaluation: Evaluation, facts: Sequence[str]) -> list[str]:
    """The first lines: what was evaluated, and the figures that count most."""
    lines = [f"{show(evaluation.records)} records, scored in {evaluation.seconds:.1f} s."]
    if evaluation.share < 1:
        lines += ["", f"The figures are of {evaluation.share:.2%} of them, drawn at random."]
    if evaluation.left_out:
        said = f"{show(evaluation.left_out)} of them were left out: {evaluation.why}."
        lines += ["", plain(said)]
    for answer, outcome in evaluation.outcomes.items():
        judged = len(np.unique(outcome.rows))
        if outcome.share == 1 and 0 < judged < evaluation.records - evaluation.left_out:
            lines += ["", f"{show(judged)} of them have a target {plain(answer)}."]
    for fact in facts:
        lines += ["", fact]
    return [*lines, "", *leading_figures(evaluation)]


def _add_importance(
    pages: Pages,
    scorer: Scorer,
    evaluation: Evaluation,
    options: Options,
    until: float,
    left: list[str],
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
        left.append(f"importance of {', '.join(late)}")
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
