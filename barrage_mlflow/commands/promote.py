"""Moves an alias of a registered model to another version if that is at least as good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from barrage_mlflow.config.paths import read_path, value_at
from barrage_mlflow.errors import PromotionError
from barrage_mlflow.evaluation.measure import Evaluation, evaluate
from barrage_mlflow.pyfunc import load_scorer
from barrage_mlflow.tracking.registry import check_alias, find_holder, find_version, set_alias

_ROUNDING = 1e-5
"""By how much targets may differ, relatively: they are computed in float32."""


@dataclass(frozen=True)
class Promotion:
    """What :func:`promote` did.

    Attributes:
        name: the registered model.
        alias: the alias.
        version: the version to be promoted, ``"4"``.
        holder: the version that the alias led to before; None if it led nowhere.
        metric: what was compared: the metric that the version's best epoch was chosen by.
        mode: ``"min"`` if a lower score is better, ``"max"`` if a higher one is.
        scores: the metric on the records, by version.

    Example:
        >>> scores = {"4": 0.25, "3": 0.375}
        >>> promotion = Promotion("penguins", "champion", "4", "3", "loss", "min", scores)
        >>> print(promotion.report)
        penguins version 4: loss 0.25
        penguins version 3: loss 0.375 (@champion)
        moved: @champion now leads to version 4 (loss: lower is better)
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


def promote(model_uri: str, records: Any, *, alias: str) -> Promotion:
    """Have an alias lead to a version of a registered model if it is at least as good on records.

    The version and the one that the alias leads to are each measured with what is packaged with
    it: code, fitted transformer, network, losses and metrics. What counts is the metric that the
    version's config chooses the best epoch by (``services.best_checkpoint``), which both must
    define alike. An alias that leads nowhere is set.

    Args:
        model_uri: the version, ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"``.
        records: whatever :meth:`Records.read` takes, with targets.
        alias: the alias.

    Raises:
        TrackingError: MLflow cannot be reached or refuses the alias, or there is no such version.
        ArtifactError: a version was not packaged by barrage-mlflow, or by one that cannot evaluate.
        RecordError: the records cannot be read, loaded or fed to a network.
        ComponentError: the records have no targets that fit the losses.
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
    scorers = [load_scorer(f"models:/{name}/{each}") for each in versions]
    configs = [scorer.config for scorer in scorers]
    evaluations = [evaluate(scorer, records) for scorer in scorers]
    best = configs[0]["services"]["best_checkpoint"]
    metric = best["monitor"].removeprefix("val_")
    scores = {}
    for each, evaluation in zip(versions, evaluations, strict=True):
        if metric not in evaluation.paths:
            raise PromotionError(
                f"{name} version {each} has no metric {metric!r}, which is what version {version} "
                f"is compared by; it has {', '.join(evaluation.paths)}"
            )
        scores[each] = evaluation.metrics[metric]
    if why := _difference(metric, configs, evaluations):
        raise PromotionError(
            f"{name} versions {' and '.join(versions)} cannot be compared by {metric}: {why}"
        )
    for each, score in scores.items():
        if not math.isfinite(score):
            raise PromotionError(
                f"{metric} of {name} version {each} is {score}: expected a finite number; "
                "look for records that are far from those that it was trained on"
            )
    promotion = Promotion(name, alias, version, holder, metric, best["mode"], scores)
    if promotion.promoted and holder != version:
        set_alias(name, alias, version)
    return promotion


def _difference(
    metric: str, configs: Sequence[Mapping[str, Any]], evaluations: Sequence[Evaluation]
) -> str:
    """Why two versions cannot be compared by a metric that both have; empty if they can be.

    Both configs must define it alike, and the targets and sample weights of the records must be
    the same: a transformer that was fitted on other records may have scaled targets otherwise.
    """
    new, old = evaluations[0], evaluations[-1]
    ours = _definition(configs[0], new.paths[metric])
    theirs = _definition(configs[-1], old.paths[metric])
    if ours != theirs:
        return f"their configs define it otherwise: {ours} and {theirs}"
    makers = "their loaders and transformers make"
    for output in ours:
        if not _is_same(new.targets.get(output), old.targets.get(output)):
            return f"{makers} other targets of output {output!r} of the same records"
        if not _is_same(new.weights.get(output), old.weights.get(output)):
            return f"{makers} other sample weights of output {output!r} of the same records"
    return ""


def _definition(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """How a config defines a loss or metric, by the outputs that it measures."""
    keys = read_path(path)
    if keys == ("model",):  # the whole loss
        return {
            output["name"]: {key: output[key] for key in output if key not in ("name", "metrics")}
            for output in config["model"]["outputs"]
        }
    output = value_at(config, keys[:3])
    return {output["name"]: [value_at(config, keys), output.get("sample_weight_mode")]}


def _is_same(ours: np.ndarray | None, theirs: np.ndarray | None) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    return ours.shape == theirs.shape and np.allclose(ours, theirs, _ROUNDING, equal_nan=True)
