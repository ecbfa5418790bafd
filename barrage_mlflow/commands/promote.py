"""Moves an alias of a registered model to another version if that is at least as good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from barrage_mlflow.config.names import show_names, suggest
from barrage_mlflow.errors import PromotionError
from barrage_mlflow.evaluation.compare import aligned
from barrage_mlflow.evaluation.evaluate import evaluate
from barrage_mlflow.evaluation.metrics import METRICS, Metric, leading_metric
from barrage_mlflow.evaluation.outcome import Outcome
from barrage_mlflow.pyfunc import load_scorer
from barrage_mlflow.tracking.registry import check_alias, find_holder, find_version, set_alias


@dataclass(frozen=True)
class Promotion:
    """What :func:`promote` did.

    Attributes:
        name: the registered model.
        alias: the alias.
        version: the version to be promoted, ``"4"``.
        holder: the version that the alias led to before; None if it led nowhere.
        metric: what was compared, ``"rmse"``.
        mode: ``"min"`` if a lower score is better, ``"max"`` if a higher one is.
        scores: the metric on the records, by version.

    Example:
        >>> scores = {"4": 0.25, "3": 0.375}
        >>> promotion = Promotion("penguins", "champion", "4", "3", "rmse", "min", scores)
        >>> print(promotion.report)
        penguins version 4: rmse 0.25
        penguins version 3: rmse 0.375 (@champion)
        moved: @champion now leads to version 4 (rmse: lower is better)
    """

    name: str
    alias: str
    version: str
    holder: str | None
    metric: str
    mode: str
    scores: Mapping[str, float]

    @property
    def promoted(self) -> bool:
        """Whether the version is at least as good, so that the alias leads to it now."""
        if self.holder is None:
            return True
        new, old = self.scores[self.version], self.scores[self.holder]
        return new <= old if self.mode == "min" else new >= old

    @property
    def report(self) -> str:
        """The scores and what was done, in lines to read."""
        lines = []
        for version, score in self.scores.items():
            alias = f" (@{self.alias})" if version == self.holder else ""
            lines.append(f"{self.name} version {version}: {self.metric} {score:.6g}{alias}")
        better = f"({self.metric}: {'lower' if self.mode == 'min' else 'higher'} is better)"
        if self.holder == self.version:
            lines.append(f"not moved: @{self.alias} leads to version {self.version} already")
        elif self.holder is None:
            lines.append(f"set: @{self.alias} leads to version {self.version}; it led nowhere")
        elif self.promoted:
            lines.append(f"moved: @{self.alias} now leads to version {self.version} {better}")
        else:
            lines.append(f"not moved: @{self.alias} stays with version {self.holder} {better}")
        return "\n".join(lines)


def promote(
    model_uri: str,
    records: Any,
    *,
    alias: str,
    metric: str | None = None,
    roots: Sequence[str] = (),
) -> Promotion:
    """Have an alias lead to a version of a registered model if it is at least as good on records.

    The version and the one that the alias leads to are each measured with what is packaged with
    it, and compared in the data's own units: two versions may well transform their targets
    otherwise. An alias that leads nowhere is set.

    Args:
        model_uri: the version, ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"``.
        records: whatever :meth:`Records.read` takes, with targets.
        alias: the alias.
        metric: what decides, ``"rmse"``, or ``"price_rmse"`` of a model with several outputs.
            Left out, of the first output: the log loss of classes, the RMSE of numbers, the MASE
            of series.
        roots: of columns in which strings are paths of files, each a folder or
            ``"COLUMN=FOLDER"``.

    Raises:
        TrackingError: MLflow cannot be reached or refuses the alias, or there is no such version.
        ArtifactError: a version was not packaged by barrage-mlflow, or by one that does not
            evaluate.
        RecordError: the records cannot be read, loaded or fed to a network.
        ComponentError: the loader loads no targets.
        PromotionError: the two cannot be compared; nothing was moved.
        Exception: whatever the models' own components raise.

    Example:
        >>> promotion = promote("models:/iris/4", "test.csv", alias="champion")  # doctest: +SKIP
        >>> promotion.promoted, promotion.scores  # doctest: +SKIP
        (True, {'4': 0.25, '3': 0.375})
    """
    check_alias(alias)
    name, version = find_version(model_uri)
    holder = find_holder(name, alias)
    versions = [version] if holder in (None, version) else [version, holder]
    outcomes = [
        evaluate(load_scorer(f"models:/{name}/{each}"), records, roots=roots).outcomes
        for each in versions
    ]
    output, chosen = _find_metric(outcomes[0], metric)
    if output not in outcomes[-1]:
        raise PromotionError(
            f"{name} version {versions[-1]} answers no {output!r}, by which version {version} is "
            f"compared; it answers {show_names(outcomes[-1])}"
        )
    both = aligned(outcomes[0][output], outcomes[-1][output])
    measured = [chosen.measure(one) if len(one) else math.nan for one in both]
    scores = dict(zip(versions, measured, strict=False))
    for each, score in scores.items():
        if not math.isfinite(score):
            raise PromotionError(
                f"{chosen.name} of {name} version {each} is {score}: it is not defined on these "
                "records; name another metric, or take records of every class"
            )
    mode = "max" if chosen.best == "high" else "min"
    shown = chosen.name if len(outcomes[0]) == 1 else f"{output}_{chosen.name}"
    promotion = Promotion(name, alias, version, holder, shown, mode, scores)
    if promotion.promoted and holder != version:
        set_alias(name, alias, version)
    return promotion


def _find_metric(outcomes: Mapping[str, Outcome], asked: str | None) -> tuple[str, Metric]:
    """The answer and the metric of it that decide."""
    known = {
        f"{name}_{metric.name}": (name, metric)
        for name, outcome in outcomes.items()
        for metric in METRICS.get(outcome.type, ())
        if metric.best != "zero"
    }
    first = next(iter(outcomes))
    wanted = asked or f"{first}_{leading_metric(outcomes[first]).name}"
    found = [known[wanted]] if wanted in known else []
    found += [each for each in known.values() if each[1].name == wanted]
    if not found:
        names = [*known, *{metric.name for _, metric in known.values()}]
        raise PromotionError(f"there is no metric {wanted!r}; {suggest(wanted, names, 'metrics')}")
    return found[0]
