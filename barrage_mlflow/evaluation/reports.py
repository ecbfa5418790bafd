"""The report of a set: what is made of each outcome by its type, and the page it stands on."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.evaluation import cases, classes, numbers
from barrage_mlflow.evaluation.evaluate import Evaluation, Options
from barrage_mlflow.evaluation.figures import Figure
from barrage_mlflow.evaluation.importance import importance_picture, importance_table, permute
from barrage_mlflow.evaluation.metrics import LEADING, leading_metric
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.evaluation.report import Pages, Report, name_of, show
from barrage_mlflow.scoring.scorer import Scorer

if TYPE_CHECKING:
    import pandas as pd

_FIRST = ("accuracy", "mae", "roc_auc", "f1")
_REMEDY = (
    "the transformer's `targets` does not say what is true by a key of the answer, in its units."
)
_OF_CLASSES = (classes.confusion, classes.curves, classes.calibration)
_OF_RECORDS = (cases.images, cases.by_length)
PICTURES: Mapping[str, tuple[Report, ...]] = {
    "category": (*_OF_CLASSES, *_OF_RECORDS),
    "truth": (*_OF_CLASSES, *_OF_RECORDS),
    "multi_category": (classes.curves, classes.calibration, cases.images),
    "number": (numbers.predicted, numbers.residuals, *_OF_RECORDS),
    "series": (numbers.forecasts, numbers.by_horizon),
}
TABLES: Mapping[str, tuple[Report, ...]] = {
    "category": (classes.per_class, cases.groups, cases.worst),
    "truth": (
        *(classes.per_class, classes.recommended_threshold, classes.thresholds),
        *(cases.groups, cases.worst),
    ),
    "multi_category": (classes.per_class, cases.groups),
    "number": (cases.groups, cases.worst),
    "series": (cases.groups, cases.worst),
}
"""What is made of an outcome, by its type."""


def figures_table(figures: Mapping[str, Figure]) -> pd.DataFrame:
    """A row for each metric: its value, its 95 % interval, and what needs no model."""
    import pandas as pd

    rows = [[name, *figure] for name, figure in figures.items()]
    return pd.DataFrame(rows, columns=["metric", "value", "from", "to", "without a model"])


def write_report(
    scorer: Scorer,
    evaluation: Evaluation,
    folder: Path,
    title: str,
    options: Options,
    until: float,
    sections: Mapping[str, Any] = {},
    facts: Sequence[str] = (),
) -> None:
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

    Raises:
        OSError: a file cannot be written.
    """
    pages, left = Pages(folder), []
    pages.say(f"# {title}", "", *_about(evaluation, facts))
    for outcome in evaluation.outcomes.values():
        place = outcome.name.replace("/", "_")
        pages.say(f"## {outcome.name}")
        if not outcome.in_own_units:
            pages.say("Judged on the network's output, not on the answer: " + _REMEDY)
        if not outcome.type:
            pages.say("No metric is defined for an output of this shape.")
            continue
        if not len(outcome):
            pages.say("No record has a target.")
            continue
        pages.put("", figures_table(evaluation.figures[outcome.name]), f"{place}/metrics")
        pictures = (*PICTURES[outcome.type], *options.reports) if options.plots else options.reports
        for report in (*TABLES[outcome.type], *pictures):
            if time.monotonic() > until and report in pictures:
                left.append(f"{outcome.name}: {name_of(report)}")
            else:
                pages.add(report, outcome, evaluation.kept, place)
    if options.importance:
        left += _add_importance(pages, scorer, evaluation, options, until)
    for name, made in sections.items():
        pages.say(f"## {name}")
        pages.put("", made, f"data/{name.lower().replace(' ', '_')}")
    if left:
        pages.say(
            f"Left out for lack of time: {'; '.join(left)}. `barrage-mlflow evaluate RECORDS MODEL "
            "-o FOLDER` makes them too."
        )
    pages.write()


def _about(evaluation: Evaluation, facts: Sequence[str]) -> list[str]:
    lines = [f"{show(evaluation.records)} records, scored in {evaluation.seconds:.1f} s."]
    if evaluation.share < 1:
        lines += ["", f"The figures are of {evaluation.share:.2%} of them, drawn at random."]
    for fact in facts:
        lines += ["", fact]
    lines += ["", "| | metric | value | from | to | without a model |", "|---|---|--:|--:|--:|--:|"]
    for outcome in evaluation.outcomes.values():
        for name, figure in evaluation.figures[outcome.name].items():
            if name == LEADING.get(outcome.type) or name in _FIRST:
                lines.append(f"| {outcome.name} | {name} | {' | '.join(map(show, figure))} |")
    return lines


def _add_importance(
    pages: Pages, scorer: Scorer, evaluation: Evaluation, options: Options, until: float
) -> list[str]:
    """Add how important columns are; return what is left for lack of time."""
    pages.say("## Importance of columns")
    if scorer.schema.windows:
        pages.say("Not of windows: to deal a column anew would break its order in time.")
        return []
    kept = evaluation.kept
    rows = [kept.cells[row] for row in kept.sample]
    worse, left = permute(scorer, Observer(scorer), rows, until)
    pages.say("How much worse the model is where a column's values are dealt to other records.")
    for output, of_output in worse.items():
        outcome = evaluation.outcomes[output]
        if not of_output:
            continue
        table = importance_table(of_output)
        place = f"{outcome.name.replace('/', '_')}/importance"
        if options.plots and len(table) > 1:
            metric = leading_metric(outcome).name
            picture = importance_picture(outcome.name, metric, table)
            pages.put(outcome.name, picture, place)
        pages.put("", table, place)
    return [f"importance of {', '.join(left)}"] if left else []
