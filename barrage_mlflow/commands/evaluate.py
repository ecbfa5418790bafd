"""Shows how good a model is on a file of any size, alone or beside another one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from barrage_mlflow.commands.check_report import aligned
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.evaluation.compare import Difference, compare
from barrage_mlflow.evaluation.evaluate import Evaluation, read_options
from barrage_mlflow.evaluation.evaluate import evaluate as measure
from barrage_mlflow.evaluation.html_page import PAGE, write_page
from barrage_mlflow.evaluation.pages import REPORT, show, show_range
from barrage_mlflow.evaluation.set_report import write_report
from barrage_mlflow.pyfunc import load_scorer
from barrage_mlflow.tracking.evaluations import find_run, log_evaluation

_Differences: TypeAlias = Mapping[str, Difference]


def evaluate(
    records: Any,
    model: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    against: str | PathLike[str] | None = None,
    run_id: str | None = None,
    name: str | None = None,
    roots: Sequence[str] = (),
    report: Callable[[str], object] | None = None,
) -> Evaluation:
    """Measure a packaged model on records with targets, in the data's own units.

    Args:
        records: whatever :meth:`Records.read` takes; a file of any size.
        model: an artifact folder, or any MLflow model URI.
        output: a folder for the report, with tables and pictures; none is written if left out.
        against: another model, whose figures ``report`` shows beside these.
        run_id: an MLflow run that the report and its metrics are added to.
        name: what the set is called there; left out, the name of its file, ``"test"`` of
            ``test.csv``.
        roots: of columns in which strings are paths of files, each a folder or
            ``"COLUMN=FOLDER"``.
        report: called with the figures as text, before anything is written.

    Raises:
        RecordError: the records cannot be read, loaded or fed to the network.
        ArtifactError: there is no such model, a version that does not evaluate packaged it, or the
            folder cannot be made.
        ComponentError: the loader loads no targets.
        PromotionError: what is true of the records differs between the two models.
        TrackingError: MLflow cannot be reached, has no such run, or it has figures of that name.
        Exception: whatever the model's own components raise, with the place as a note.

    Example:
        >>> evaluate("test.csv", "models:/prices@champion").metrics  # doctest: +SKIP
        {'price_rmse': 541.2, 'price_mae': 270.8, ...}
    """
    called = name or _name_of(records)
    # What would break at the end breaks now.
    found = None if run_id is None else find_run(run_id, called)
    if output is not None:
        try:
            Path(output).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArtifactError(
                f"{output}: the folder cannot be made ({error}); name another one"
            ) from error
    scorer = load_scorer(model)
    options = read_options(scorer.config)
    evaluation = measure(scorer, records, options, roots)
    differences = {}
    if against is not None:
        other = measure(load_scorer(against), records, options, roots).outcomes
        both = {name: one for name, one in evaluation.outcomes.items() if name in other}
        differences = {name: compare(one, other[name]) for name, one in both.items()}
    if report is not None:
        report(figures_text(evaluation, str(model), str(against), differences))
    if output is None and found is None:
        return evaluation
    until = time.monotonic() + options.seconds
    with TemporaryDirectory() as temporary:
        folder = Path(temporary if output is None else output)
        title = f"How good {model} is on {called}"
        files = write_report(scorer, evaluation, folder, title, options, until)
        write_page([folder / REPORT], folder / PAGE, title)
        if found is not None:
            paths = {path: folder / path for path in (*files, PAGE)}
            log_evaluation(*found, called, evaluation.metrics, paths)
    return evaluation


def _name_of(records: Any) -> str:
    """The name of a set; never one whose figures would be called as those of training are."""
    if not isinstance(records, str | PathLike):
        return "records"
    name = Path(records).name.partition(".")[0]
    return {"val": "validation", "best": "best_records"}.get(name, name)


def figures_text(
    evaluation: Evaluation, model: str, against: str, differences: Mapping[str, _Differences]
) -> str:
    """Lay the figures out for a terminal; beside those of another model if there are any."""
    lines = evaluation.summary
    for name, outcome in evaluation.outcomes.items():
        lines += ["", name if outcome.in_own_units else f"{name} (in the units of the network)"]
        if differences.get(name):
            heads = ["metric", model, against, "difference, 95 %"]
            rows = [
                [metric, show(each.ours), show(each.theirs), show_range(each.low, each.high)]
                for metric, each in differences[name].items()
            ]
        else:
            heads = ["metric", "value", "95 %", "baseline"]
            rows = [
                [metric, show(each.value), show_range(each.low, each.high), show(each.baseline)]
                for metric, each in evaluation.figures[name].items()
            ]
        lines += [f"  {line}" for line in aligned([heads, *rows])]
    return "\n".join(lines)
