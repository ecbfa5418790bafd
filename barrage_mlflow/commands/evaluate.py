"""Shows how good a model is on a file of any size, alone or beside another one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from barrage_mlflow.commands.check_report import aligned
from barrage_mlflow.evaluation.compare import Difference, compare
from barrage_mlflow.evaluation.evaluate import Evaluation, Options, read_options
from barrage_mlflow.evaluation.evaluate import evaluate as measure
from barrage_mlflow.evaluation.report import show
from barrage_mlflow.evaluation.reports import write_report
from barrage_mlflow.pyfunc import load_scorer
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.tracking.evaluations import log_evaluation
from barrage_mlflow.workspace import layout as artifacts


def evaluate(
    records: Any,
    model: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    *,
    name: str | None = None,
    run_id: str | None = None,
    roots: Sequence[str] = (),
) -> Evaluation:
    """Measure a packaged model on records with targets, in the data's own units.

    Args:
        records: whatever :meth:`Records.read` takes; a file of any size.
        model: an artifact folder, or any MLflow model URI.
        output: a folder for ``report.md`` with tables and pictures; none is written if left out.
        name: what the set is called; left out, the name of its file, ``"test"`` of ``test.csv``.
        run_id: an MLflow run that the report and its metrics are added to.
        roots: of columns in which strings are paths of files, each a folder or
            ``"COLUMN=FOLDER"``.

    Raises:
        RecordError: the records cannot be read, loaded or fed to the network.
        ArtifactError: there is no such model, or a version that does not evaluate packaged it.
        ComponentError: the loader loads no targets.
        TrackingError: MLflow cannot be reached, or has no such run.
        Exception: whatever the model's own components raise, with the place as a note.

    Example:
        >>> evaluate("test.csv", "models:/prices@champion").metrics  # doctest: +SKIP
        {'price_rmse': 541.2, 'price_mae': 270.8, ...}
    """
    scorer = load_model(model)
    options = read_options(scorer.config) or Options()
    evaluation = measure(scorer, records, options, roots)
    if output is None and run_id is None:
        return evaluation
    called = name or (Path(records).name.partition(".")[0] if _is_path(records) else "records")
    until = time.monotonic() + options.seconds
    with TemporaryDirectory() as temporary:
        folder = Path(temporary if output is None else output)
        title = f"How good {Path(model).name} is on {called}"
        write_report(scorer, evaluation, folder, title, options, until)
        if run_id is not None:
            log_evaluation(run_id, called, evaluation.metrics, folder)
    return evaluation


def compare_with(
    evaluation: Evaluation, records: Any, model: str | PathLike[str], roots: Sequence[str] = ()
) -> dict[str, dict[str, Difference]]:
    """Measure another model on the same records.

    Args:
        evaluation: of the first model.
        records: as they were given for it.
        model: the other one.
        roots: likewise.

    Returns:
        By the name of an answer that both have, every metric of both.

    Raises:
        PromotionError: what is true of the records differs between them.
        Exception: as :func:`evaluate`.
    """
    other = measure(load_model(model), records, roots=roots).by_name
    return {
        name: compare(outcome, other[name])
        for name, outcome in evaluation.by_name.items()
        if name in other
    }


def load_model(model: str | PathLike[str]) -> Scorer:
    """Load an artifact folder, or any MLflow model URI."""
    is_folder = Path(model, artifacts.MODEL).is_dir()
    return Scorer.load(model) if is_folder else load_scorer(str(model))


def figures_text(
    evaluation: Evaluation, differences: Mapping[str, Mapping[str, Difference]] = {}
) -> str:
    """Lay the figures out for a terminal; beside those of another model if there are any."""
    lines = [f"{show(evaluation.records)} records in {evaluation.seconds:.1f} s"]
    for outcome in evaluation.outcomes.values():
        name = outcome.name
        lines += ["", name if outcome.in_own_units else f"{name} (on the network's scale)"]
        if name in differences:
            heads = ["metric", "this", "the other", "difference, 95 %"]
            rows = [
                [metric, show(each.ours), show(each.theirs), _range(each.low, each.high)]
                for metric, each in differences[name].items()
            ]
        else:
            heads = ["metric", "value", "95 %", "without a model"]
            rows = [
                [metric, show(each.value), _range(each.low, each.high), show(each.baseline)]
                for metric, each in evaluation.figures[name].items()
            ]
        lines += [f"  {line}" for line in aligned([heads, *rows])]
    return "\n".join(lines)


def _range(low: float, high: float) -> str:
    return f"{show(low)} … {show(high)}" if low == low else "–"


def _is_path(records: Any) -> bool:
    return isinstance(records, str | PathLike)
