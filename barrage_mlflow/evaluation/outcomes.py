"""The outcomes of a set of records, of what was observed piece by piece.

They are in the data's own units where the answer has a key for what is true (see
``RecordTransformer.targets``), else on the scale of the network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from barrage_mlflow.dataset.records.values import is_missing
from barrage_mlflow.dataset.types import Array
from barrage_mlflow.evaluation.observe import About, Observed
from barrage_mlflow.evaluation.outcome import Outcome

KEPT = 5_000_000
"""Records that are kept, at most; beyond, a seeded sample of them."""
KEPT_VALUES = 50_000_000
"""Likewise the values of one array, such as the probabilities of many classes."""

_SEED = 0


class Outcomes:
    """Takes in what was observed, piece by piece.

    Attributes:
        count: records that were observed.
        share: of them, how many are kept.
    """

    def __init__(self) -> None:
        self.count = 0
        self.share = 1.0
        self._rng = np.random.default_rng(_SEED)
        self._kept: list[dict[str, Outcome]] = []
        self._labels: dict[str, dict[int, Any]] = {}

    def add(self, observed: Observed) -> dict[str, Outcome]:
        """Take in a piece, and judge it.

        Returns:
            Its outcomes by output; a record without a target is not among them.
        """
        size = len(next(iter(observed.scores.values())))
        judged = {
            name: _judge(name, About(*about), observed, self._labels.setdefault(name, {}))
            for name, about in observed.about.items()
        }
        first, self.count = self.count, self.count + size
        judged = {name: replace(one, rows=one.rows + first) for name, one in judged.items()}
        self._kept.append(judged if self.share == 1 else self._thinned(judged, self.share))
        self._thin()
        return judged

    def _thin(self) -> None:
        """Let go of every second record, on average, until they are few enough."""
        while self.count * self.share > KEPT or self._values() > KEPT_VALUES:
            self.share /= 2
            self._kept = [self._thinned(piece, 0.5) for piece in self._kept]

    def _values(self) -> int:
        """How many values the largest array of all outcomes would have."""
        each = [[_largest(one) for one in piece.values()] for piece in self._kept]
        return int(np.sum(each, axis=0).max(initial=0))

    def _thinned(self, piece: Mapping[str, Outcome], share: float) -> dict[str, Outcome]:
        return {name: one.take(self._rng.random(len(one)) < share) for name, one in piece.items()}

    def all(self) -> dict[str, Outcome]:
        """The outcomes of all records that are kept, by output."""
        return {
            name: replace(
                _joined([piece[name] for piece in self._kept]), labels=self._names(name, one.labels)
            )
            for name, one in self._kept[0].items()
        }

    def _names(self, output: str, known: Sequence[Any]) -> Sequence[Any]:
        """Names of classes: those that the transformer knows, or that came with their codes."""
        seen = self._labels[output]
        return known or [seen.get(code, code) for code in range(max(seen, default=-1) + 1)]


def _largest(outcome: Outcome) -> int:
    return max(int(array.size) for array in outcome.arrays().values())


def _joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Outcomes of consecutive records as one."""
    each = [one.arrays() for one in outcomes]
    arrays: dict[str, Any] = {
        name: np.concatenate([one[name] for one in each])
        if all(name in one for one in each)
        else None
        for name in each[0]
    }
    # A few answers may all be labels that no record has; one number on another scale spoils all.
    told = [one.in_own_units for one in outcomes if len(one)] or [outcomes[0].in_own_units]
    is_told = all(told) if outcomes[0].type in ("number", "series") else any(told)
    return replace(outcomes[0], **arrays, in_own_units=is_told)


def type_of(about: About, score: Array, target: Array) -> str:
    """Find what kind of target an output has; empty where nothing is defined for it.

    Args:
        about: what is known of the output.
        score: the network's output, ``(records, ...)``.
        target: what it was to come to.

    Example:
        >>> about = About("", "sparse_categorical_crossentropy", False, [])
        >>> type_of(about, np.ones((5, 3)) / 3, np.zeros(5, int))
        'category'
        >>> type_of(about._replace(loss="mse"), np.ones((5, 1)), np.zeros(5))
        'number'
    """
    if about.type:
        return about.type
    loss = about.loss.lower().replace("_", "")
    gives_probability = any(word in loss for word in ("crossentropy", "bce", "focal"))
    width = score.shape[1] if score.ndim > 1 else 1
    if score.ndim > 2 or target.size not in (len(target), len(target) * width):
        return ""
    if width == 1:
        return "truth" if gives_probability else "number"
    if target.size == len(target):
        return "category"
    if gives_probability:
        return "multi_category" if "binary" in loss or "bce" in loss else "category"
    return "series"


def _judge(name: str, about: About, observed: Observed, seen: dict[int, Any]) -> Outcome:
    """The outcome of one output for one piece."""
    score, target = observed.scores[name], observed.targets[name]
    steps = math.prod(score.shape[1:-1])
    is_stepwise = score.ndim > 2 and target.size in (len(score) * steps, score.size)
    key = None if is_stepwise else _key_of(name, observed)
    answer, truth = (None, None) if key is None else (observed.answers[key], observed.truths[key])
    rows = np.arange(len(score))
    if is_stepwise:  # each word or pixel counts by itself
        score = score.reshape(-1, score.shape[-1])
        rows, target = np.repeat(rows, steps), target.reshape(len(score), -1)
    kind, size = type_of(about, score, target), len(score)
    weight = np.ones(size)
    for given in (observed.weights.get(name), observed.masks.get(name)):
        if given is not None and size % given.size == 0:
            weight = weight * np.repeat(given.ravel(), size // given.size)
    names = [*about.labels]
    outcome = Outcome(
        key or name, kind, target, score, weight, rows, labels=names, in_own_units=False
    )
    if kind in ("number", "series"):
        outcome = _numbers(outcome, answer, truth)
        past = observed.pasts.get(name)
        outcome = replace(outcome, past=None if past is None else past.astype(np.float64))
        known = np.isfinite(outcome.truth.reshape(size, -1)).all(axis=1)
        return outcome.take(known & (weight > 0))
    if kind:
        return _classes(outcome, about.has_logits, answer, truth, seen)
    return outcome.take(weight > 0)


def _key_of(output: str, observed: Observed) -> str | None:
    """The key of the answer that an output comes to: its own name, or one that begins with it."""
    keys = [key for key in observed.truths if key in observed.answers]
    if output in keys:
        return output
    if len(observed.scores) == 1:
        return keys[0] if len(keys) == 1 else None
    for key in keys:
        begins_with = [name for name in observed.scores if f"{key}_".startswith(f"{name}_")]
        if output == max(begins_with, key=len, default=None):
            return key
    return None


def _numbers(outcome: Outcome, answer: Array | None, truth: Array | None) -> Outcome:
    """Numbers in the data's own units, if both sides have them; else on the network's scale."""
    size, is_series = len(outcome), outcome.type == "series"
    shape = outcome.answer.shape if is_series else (size,)
    if answer is not None and truth is not None:
        try:
            both = [_floats(cells, shape) for cells in (truth, answer)]
            return replace(outcome, truth=both[0], answer=both[1], in_own_units=True)
        except (TypeError, ValueError):
            pass  # they are no numbers, or another number of them
    both = [_floats(cells, shape) for cells in (outcome.truth, outcome.answer)]
    return replace(outcome, truth=both[0], answer=both[1])


def _floats(cells: Array, shape: Sequence[int]) -> Array:
    """Cells as numbers; a missing one, or a list with a gap, is NaN."""
    if cells.dtype != object:
        return cells.astype(np.float64).reshape(shape)
    numbers = np.full(shape, np.nan)
    for place, cell in enumerate(cells.tolist()):
        if not is_missing(cell):
            numbers[place] = np.asarray(cell, np.float64).reshape(shape[1:])
    return numbers


def _probability(kind: str, score: Array, has_logits: bool) -> Array | None:
    """Probabilities, of what a network gives; None where that is something else."""
    made = score.astype(np.float32, copy=False)
    if kind == "truth":
        made = made.reshape(len(made))
    if has_logits and kind == "category":
        powers = np.exp(made - made.max(axis=1, keepdims=True))
        made = powers / powers.sum(axis=1, keepdims=True)
    elif has_logits:
        made = np.exp(-np.logaddexp(0, -made))
    return made if ((made >= 0) & (made <= 1)).all() else None


def _classes(
    outcome: Outcome,
    has_logits: bool,
    answer: Array | None,
    truth: Array | None,
    seen: dict[int, Any],
) -> Outcome:
    """Classes by their codes, of records of which one is known."""
    kind, target, score = outcome.type, outcome.truth, outcome.answer
    probability = _probability(kind, score, has_logits)
    codes = _codes(kind, target)
    chosen = _chosen(kind, score if probability is None else probability)
    known = outcome.weight > 0
    if kind == "category":  # a loss may pass over targets that are no class
        known &= (codes >= 0) & (codes < score.shape[1])
    if truth is not None and truth.dtype.kind in "fO":
        known &= np.array([not is_missing(cell) for cell in truth.tolist()], bool)
    outcome = replace(outcome, truth=codes, answer=chosen, probability=probability).take(known)
    if answer is None or truth is None:
        return outcome
    told = _told_lists if kind == "multi_category" else _told
    return told(outcome, answer[known], truth[known], seen)


def _codes(kind: str, target: Array) -> Array:
    """Classes, of what an output was to come to."""
    if kind == "multi_category":
        return target > 0.5
    if kind == "truth":
        return (target.reshape(len(target)) > 0.5).astype(int)
    is_one_hot = target.size > len(target)
    return target.argmax(axis=1) if is_one_hot else target.reshape(len(target)).astype(int)


def _chosen(kind: str, chance: Array) -> Array:
    """The classes that a network thinks most probable."""
    if kind == "truth":
        return (chance.reshape(len(chance)) >= 0.5).astype(int)
    return np.asarray(chance >= 0.5 if kind == "multi_category" else chance.argmax(axis=1))


def _told(outcome: Outcome, answer: Array, truth: Array, seen: dict[int, Any]) -> Outcome:
    """The classes that are answered, by labels that are known, or learnt of what is true."""
    if answer.ndim > 1 or truth.ndim > 1:
        return outcome
    codes, first = np.unique(outcome.truth, return_index=True)
    for code, label in zip(codes.tolist(), truth[first].tolist(), strict=True):
        seen.setdefault(code, label)
    labels = answer.tolist()
    try:
        by_label = {label: code for code, label in enumerate(outcome.labels)}
        by_label |= {label: code for code, label in seen.items()}
        is_told = any(label in by_label for label in labels)
        answered = [by_label.get(*pair) for pair in zip(labels, outcome.answer, strict=True)]
    except TypeError:  # no labels, but lists or dicts
        return outcome
    return replace(outcome, answer=np.array(answered, int), in_own_units=is_told)


def _told_lists(outcome: Outcome, answer: Array, *_: Any) -> Outcome:
    """Likewise of lists of labels."""
    places = {label: place for place, label in enumerate(outcome.labels)}
    chosen, is_told = np.zeros_like(outcome.truth), False
    try:
        for row, cell in zip(chosen, answer.tolist(), strict=True):
            labels = () if cell is None else cell
            told = [places[label] for label in labels if label in places]
            row[told] = True
            is_told |= bool(told) or not len(labels)
    except TypeError:  # no lists of labels
        return outcome
    if not (is_told and places):
        return outcome
    return replace(outcome, answer=chosen, in_own_units=True)
