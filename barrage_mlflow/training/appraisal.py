"""The evaluation at the end of a training: of the packaged model, on what it was not trained on."""

from __future__ import annotations

import logging
import math
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from barrage_mlflow.dataset import RecordMode, Records
from barrage_mlflow.dataset.components.reading import SAMPLE, columns_read
from barrage_mlflow.errors import describe_error
from barrage_mlflow.evaluation.card import card_of, headline
from barrage_mlflow.evaluation.data import count_overlap, profile
from barrage_mlflow.evaluation.evaluate import evaluate, read_options
from barrage_mlflow.evaluation.html_page import PAGE, write_page
from barrage_mlflow.evaluation.pages import REPORT, plain, show
from barrage_mlflow.evaluation.set_report import write_report
from barrage_mlflow.scoring.scorer import ProcessScorer, Scorer
from barrage_mlflow.workspace import layout as artifacts

logger = logging.getLogger(__name__)

_SHARE = 0.1
"""Of its time, what a training lets a report take …"""
_SECONDS = 3.0
"""… and at least so many seconds."""
_BEYOND_CHANCE, _ODD_ONES = 1.5, 3
"""More than so many times the equal records that chance gives, and some, are worth a warning."""
_NO_TIME = "There was no time to compare the sets, nor to look for records that are in both."


def appraise(
    scorer: Scorer,
    sets: Mapping[str, Records],
    names: Sequence[str],
    folder: Path,
    began: float = math.inf,
    facts: Sequence[str] = (),
) -> Iterator[tuple[str, dict[str, float]]]:
    """Evaluate a packaged model on some sets, and write the reports.

    What goes wrong is a warning on the log: nothing that was trained is lost.

    Args:
        scorer: the packaged model.
        sets: the records by name, ``"train"`` among them.
        names: of those to evaluate on.
        folder: the artifact folder.
        began: by ``time.monotonic()``, when the training began; left out, nothing was trained.
        facts: what is known of the model, in sentences.

    Returns:
        The metrics of each set, once its report is written.
    """
    spent, most = 0.0, max(_SECONDS, _SHARE * (time.monotonic() - began))
    home, said = folder / artifacts.EVALUATION, [plain(fact) for fact in facts]
    for left, name in zip(range(len(names), 0, -1), names, strict=True):
        try:
            options = read_options(scorer.config)
            evaluation = evaluate(scorer, sets[name], options)
            start = time.monotonic()
            metrics = evaluation.metrics
            until = start + (min(options.seconds, most) - spent) / left
            sections, overlap = _compare(scorer, sets["train"], sets[name], name, until)
            shutil.rmtree(home / name, ignore_errors=True)
            title, about = f"How good the model is on {name}", [*said, *overlap]
            write_report(scorer, evaluation, home / name, title, options, until, sections, about)
            card = card_of(scorer, evaluation, name, about)
            (folder / artifacts.CARD).write_text(card, "utf-8")
            reports = [home / each / REPORT for each in sets]
            write_page([path for path in reports if path.exists()], home / PAGE, "How good it is")
            spent += time.monotonic() - start
        except Exception as error:
            logger.warning(
                "the model could not be evaluated on %s: %s; mend it, and resume the training "
                "with --resume, or call barrage-mlflow evaluate",
                name,
                describe_error(error),
            )
        else:
            logger.info("on %s: %s", name, headline(evaluation))
            yield name, metrics


def _compare(
    scorer: Scorer, train: Records, other: Records, name: str, until: float
) -> tuple[dict[str, Any], list[str]]:
    """A profile of both sets, and what is to be said of records that are in both."""
    inputs = [*scorer.inputs.columns]
    columns = inputs
    if not isinstance(scorer, ProcessScorer):  # whose targets only its own process knows
        loader = scorer.load_pipeline(RecordMode.VALIDATION).loader
        columns = [*columns_read(loader, other[:SAMPLE])]
    overlap = count_overlap(train, other, columns, until)
    table = profile(train, other, inputs, until)
    data = _NO_TIME if table is None else table.reset_index()
    if overlap is None or overlap.count <= _BEYOND_CHANCE * overlap.expected + _ODD_ONES:
        return {"Data": data}, []
    said = (
        f"{show(overlap.count)} of {show(len(other))} {name} records are equal to a train record: "
        "figures on them say nothing about new ones; make the sets anew, as with `barrage-mlflow "
        "split`"
    )
    logger.warning("%s", said)
    return {"Data": data}, [said]
