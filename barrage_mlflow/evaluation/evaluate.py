"""How good a packaged model is on records: the figures, and the report of a set."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from barrage_mlflow.config.import_blocks import build_import
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.feeding.blocks import read_ahead
from barrage_mlflow.dataset.records.parts import Parts
from barrage_mlflow.errors import RecordError
from barrage_mlflow.evaluation.collect import Outcomes
from barrage_mlflow.evaluation.figures import Figure, figures_of, starts
from barrage_mlflow.evaluation.kept import Kept
from barrage_mlflow.evaluation.observe import Observer
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.evaluation.pages import Report, show
from barrage_mlflow.scoring.scorer import Scorer


@dataclass(frozen=True)
class Options:
    """What ``services.evaluation`` of a config asks for.

    Attributes:
        plots: whether pictures are drawn.
        importance: whether the importance of columns is found.
        worst: how many of the worst records are shown.
        seconds: what the report may take, beside scoring.
        reports: a project's own.
    """

    plots: bool = True
    importance: bool = True
    worst: int = 20
    seconds: float = 60
    reports: Sequence[Report] = ()


def read_options(config: Mapping[str, Any]) -> Options:
    """The options of a resolved config; those that are usual where it has none.

    Raises:
        ImportPathError: a report is not to be found.
        ComponentError: its params do not fit.

    Example:
        >>> read_options({"services": {"evaluation": {"worst": 5}}}).worst
        5
    """
    section = config["services"].get("evaluation", True)
    if isinstance(section, bool):
        return Options()
    blocks = section.get("reports", [])
    place = "$.services.evaluation.reports"
    built = [build_import(block, "report", f"{place}[{i}]") for i, block in enumerate(blocks)]
    return Options(**{**section, "reports": built})


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on some records.

    Attributes:
        outcomes: what it answered beside what is true, by the name of the answer.
        kept: some of the records.
        records: how many there were.
        seconds: what scoring took.
        left_out: how many records the transformer refused.
        why: what it said of the first one.

    Example:
        >>> evaluate(Scorer.load(folder), "test.csv").metrics  # doctest: +SKIP
        {'species_accuracy': 0.99, 'body_mass_g_mae': 240.1, ...}
    """

    outcomes: Mapping[str, Outcome]
    kept: Kept
    records: int
    seconds: float
    left_out: int = 0
    why: str = ""

    @property
    def summary(self) -> list[str]:
        """What was evaluated, in sentences."""
        said = [f"{show(self.records)} records, scored in {self.seconds:.1f} s."]
        share = min(outcome.share for outcome in self.outcomes.values())
        if share < 1:
            said.append(f"The figures are of {share:.2%} of them, drawn at random.")
        if self.left_out:
            said.append(f"{show(self.left_out)} of them were left out: {self.why}.")
        for answer, outcome in self.outcomes.items():
            judged = len(starts(outcome))
            if outcome.share == 1 and 0 < judged < self.records - self.left_out:
                said.append(f"{show(judged)} of them have a target {answer}.")
        return said

    @cached_property
    def figures(self) -> Mapping[str, Mapping[str, Figure]]:
        """The metrics of each outcome, by its name."""
        return {name: figures_of(outcome) for name, outcome in self.outcomes.items()}

    @property
    def metrics(self) -> dict[str, float]:
        """Every metric that is defined, as ``<answer>_<metric>``."""
        return {
            f"{name}_{metric}": figure.value
            for name, figures in self.figures.items()
            for metric, figure in figures.items()
            if not math.isnan(figure.value)
        }


def evaluate(
    scorer: Scorer, records: Any, options: Options = Options(), roots: Sequence[str] = ()
) -> Evaluation:
    """Measure a model on records with targets, piece by piece.

    Args:
        scorer: the model.
        records: whatever :meth:`Records.read` takes; a file of any size.
        options: of which ``worst`` counts here.
        roots: of columns in which strings are paths of files, each a folder or
            ``"COLUMN=FOLDER"``.

    Raises:
        RecordError: there are no records, or one cannot be loaded or fed to the network.
        ComponentError: a component broke its contract, or loads no targets.
        ArtifactError: the model was packaged by a version that does not evaluate.
        Exception: whatever loader and transformer raise, with the place as a note.
    """
    began, observer = time.monotonic(), Observer(scorer)
    outcomes, kept = Outcomes(), Kept(scorer.inputs.columns, options.worst)
    for piece in _pieces(scorer, observer, records, roots):
        kept.add(piece, outcomes.add(observer.observe(piece)))
    if not outcomes.count:
        raise RecordError("no records to evaluate on")
    by_name, seconds = outcomes.all(), time.monotonic() - began
    return Evaluation(by_name, kept, outcomes.count, seconds, outcomes.left_out, outcomes.why)


def _pieces(
    scorer: Scorer, observer: Observer, records: Any, roots: Sequence[str]
) -> Iterator[Records]:
    if not isinstance(records, str | os.PathLike):
        schema = scorer.schema.with_roots(roots)
        yield from observer.pieces(Records.read(records, schema=schema))
        return
    parts = Parts(records, (), roots).read(scorer.schema, scorer.piece_size())
    with closing(read_ahead(parts)) as ahead:
        for part in ahead:
            yield from observer.pieces(part.records)
