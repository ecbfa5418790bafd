"""The evaluation at the end of a training: of the packaged model, on what it was not trained on."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.dataset import Records
from barrage_mlflow.errors import describe_error
from barrage_mlflow.evaluation.data import count_overlap, profile
from barrage_mlflow.evaluation.evaluate import evaluate, read_options
from barrage_mlflow.evaluation.report import show
from barrage_mlflow.evaluation.reports import write_report
from barrage_mlflow.workspace import layout as artifacts

if TYPE_CHECKING:
    from barrage_mlflow.evaluation.evaluate import Options
    from barrage_mlflow.scoring.scorer import Scorer

logger = logging.getLogger(__name__)

_SHARE = 0.1
"""Of its time, what a training lets a report take …"""
_SECONDS = 3.0
"""… and at least so many seconds."""
_CELLS = 4_000_000
"""Cells of two sets that are compared in a second, about."""


def appraise(
    scorer: Scorer,
    sets: Mapping[str, Records],
    folder: Path,
    began: float = math.inf,
    facts: Sequence[str] = (),
) -> dict[str, dict[str, float]]:
    """Evaluate a packaged model on each set but the train set, and write the reports.

    What goes wrong is a warning on the log: nothing that was trained is lost.

    Args:
        scorer: the packaged model.
        sets: the records, ``"train"``, ``"validation"`` and perhaps ``"test"``.
        folder: the artifact folder.
        began: by ``time.monotonic()``, when the training began; left out, nothing was trained.
        facts: what is known of model and training, in sentences.

    Returns:
        The metrics by set.
    """
    found: dict[str, dict[str, float]] = {}
    for name in [each for each in sets if each != "train"]:
        try:
            options = read_options(scorer.config)
            if options is None:
                break
            now = time.monotonic()
            until = now + min(options.seconds, max(_SECONDS, _SHARE * (now - began)))
            home = folder / artifacts.EVALUATION / name
            found[name] = _appraise(scorer, sets, name, home, options, until, facts)
        except Exception as error:
            logger.warning(
                "the model could not be evaluated on %s: %s", name, describe_error(error)
            )
    return found


def _appraise(
    scorer: Scorer,
    sets: Mapping[str, Records],
    name: str,
    folder: Path,
    options: Options,
    until: float,
    facts: Sequence[str],
) -> dict[str, float]:
    evaluation = evaluate(scorer, sets[name], options)
    sections, overlap = _compare(scorer, sets["train"], sets[name], name, until)
    title = f"How good the model is on {name}"
    said = [*facts, *overlap]
    write_report(scorer, evaluation, folder, title, options, until, sections, said)
    return evaluation.metrics


def _compare(
    scorer: Scorer, train: Records, other: Records, name: str, until: float
) -> tuple[dict[str, Any], list[str]]:
    """A profile of both sets, and what is to be said of records that stand in both."""
    known = [each for each in other.columns if each in scorer.schema.columns]
    columns = [*dict.fromkeys([*scorer.inputs.columns, *known])]
    cells = (len(train) + len(other)) * len(columns)
    if cells > _CELLS * (until - time.monotonic()):
        return {"Data": "The sets are too large to be compared in the time that there is."}, []
    overlap = count_overlap(train, other, columns)
    sections = {"Data": profile(train, other, [*scorer.inputs.columns]).reset_index()}
    if not overlap:
        return sections, []
    said = (
        f"{show(overlap)} of {show(len(other))} {name} records stand in the train set too: figures "
        "on them tell nothing; make the sets anew, as with `barrage-mlflow split`"
    )
    logger.warning("%s", said)
    return sections, [said]
